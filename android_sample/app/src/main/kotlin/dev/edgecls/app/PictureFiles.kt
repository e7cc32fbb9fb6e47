package dev.edgecls.app

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Color
import android.media.ExifInterface
import dev.edgecls.core.Picture
import dev.edgecls.core.SampleException
import java.io.ByteArrayInputStream
import java.io.IOException
import java.nio.ByteBuffer

/**
 * The picture in a file's [content] as the host decodes it: at full size, upright, with the colours as they are stored.
 *
 * @throws SampleException it is no picture, or too large.
 */
fun readPicture(content: ByteArray): Picture =
    try {
        val options =
            BitmapFactory.Options().apply {
                inPreferredConfig = Bitmap.Config.ARGB_8888
                inPremultiplied = false // colours under transparent pixels stay what they are
            }
        val bitmap =
            BitmapFactory.decodeByteArray(content, 0, content.size, options)
                ?: throw SampleException("This file is no picture that the phone can read: choose another one.")
        pictureOf(bitmap).upright(orientation(content))
    } catch (error: OutOfMemoryError) {
        throw SampleException("This picture is too large for the phone's memory: choose a smaller one.", error)
    }

/** The bytes of the bitmap: `getPixels` would convert them from the picture's colour space. */
private fun pictureOf(bitmap: Bitmap): Picture =
    Picture.withoutAlpha(bitmap.height, bitmap.width, bytesOf(bitmap), red = if (redIsFirst) 0 else 2)

private fun bytesOf(bitmap: Bitmap) = ByteArray(bitmap.byteCount).also { bitmap.copyPixelsToBuffer(ByteBuffer.wrap(it)) }

/** So on phones; in Robolectric on a desktop blue comes first. */
private val redIsFirst: Boolean by lazy {
    val pixel = Bitmap.createBitmap(1, 1, Bitmap.Config.ARGB_8888).apply { setPixel(0, 0, Color.RED) }
    bytesOf(pixel).first() != 0.toByte()
}

private fun orientation(content: ByteArray): Int =
    try {
        ExifInterface(ByteArrayInputStream(content)).getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL)
    } catch (_: IOException) {
        // a kind of file that has no EXIF
        ExifInterface.ORIENTATION_NORMAL
    }

/** [picture] for the screen. */
fun bitmapOf(picture: Picture): Bitmap {
    val colours =
        IntArray(picture.height * picture.width) { pixel ->
            val at = pixel * picture.channels
            (0 until 3).fold(0xff) { color, channel -> (color shl 8) or (picture.bytes[at + channel % picture.channels].toInt() and 0xff) }
        }
    return Bitmap.createBitmap(colours, picture.width, picture.height, Bitmap.Config.ARGB_8888)
}
