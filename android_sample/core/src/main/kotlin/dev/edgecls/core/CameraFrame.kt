package dev.edgecls.core

import java.nio.ByteBuffer

/**
 * One plane of a camera's frame.
 *
 * @property rowStride bytes from one row to the next.
 * @property pixelStride bytes from one value to the next.
 */
class Plane(
    val bytes: ByteBuffer,
    val rowStride: Int,
    val pixelStride: Int,
) {
    internal fun value(
        row: Int,
        column: Int,
    ) = bytes.get(row * rowStride + column * pixelStride).toInt() and 0xff
}

/** A camera's YUV_420_888 frame as a picture: brightness of every pixel, colours of every second one, as JPEG files weigh them. */
fun pictureOf(
    height: Int,
    width: Int,
    luma: Plane,
    blueness: Plane,
    redness: Plane,
): Picture {
    val rgb = ByteArray(height * width * 3)
    var to = 0
    for (y in 0 until height) {
        for (x in 0 until width) {
            val light = luma.value(y, x) shl 16
            val cb = blueness.value(y / 2, x / 2) - 128
            val cr = redness.value(y / 2, x / 2) - 128
            rgb[to++] = level(light + 91881 * cr)
            rgb[to++] = level(light - 22554 * cb - 46802 * cr)
            rgb[to++] = level(light + 116130 * cb)
        }
    }
    return Picture(height, width, 3, rgb)
}

/** A fixed-point number with 16 bits behind the point, rounded and clipped. */
private fun level(fixed: Int): Byte = ((fixed + 0x8000) shr 16).coerceIn(0, 255).toByte()
