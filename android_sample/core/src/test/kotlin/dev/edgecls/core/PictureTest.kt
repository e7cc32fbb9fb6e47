package dev.edgecls.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Test
import java.nio.ByteBuffer

class PictureTest {
    // 1 2 3
    // 4 5 6
    private val picture = Picture(2, 3, 1, byteArrayOf(1, 2, 3, 4, 5, 6))

    @Test
    fun `every orientation of EXIF stands upright`() {
        val upright =
            mapOf(
                1 to "1 2 3 / 4 5 6",
                2 to "3 2 1 / 6 5 4",
                3 to "6 5 4 / 3 2 1",
                4 to "4 5 6 / 1 2 3",
                5 to "1 4 / 2 5 / 3 6",
                6 to "4 1 / 5 2 / 6 3",
                7 to "6 3 / 5 2 / 4 1",
                8 to "3 6 / 2 5 / 1 4",
            )
        for ((orientation, rows) in upright) assertEquals("orientation $orientation", rows, show(picture.upright(orientation)))
    }

    @Test
    fun `alpha is dropped and luma weighs the colours`() {
        val colour = Picture.withoutAlpha(1, 2, byteArrayOf(-1, 0, 0, 7, 0, -1, 0, 0))
        assertArrayEquals(byteArrayOf(-1, 0, 0, 0, -1, 0), colour.bytes)
        assertArrayEquals(colour.bytes, Picture.withoutAlpha(1, 2, byteArrayOf(0, 0, -1, 7, 0, -1, 0, 0), red = 2).bytes)
        assertArrayEquals(byteArrayOf(76, 150.toByte()), colour.grey().bytes) // 0.299 and 0.587 of 255, as Pillow has them
    }

    @Test
    fun `a camera's frame has the colours of JPEG`() {
        val light = Plane(ByteBuffer.wrap(byteArrayOf(76, 76, 0, 29, 29, 0)), rowStride = 3, pixelStride = 1)
        val blueness = Plane(ByteBuffer.wrap(byteArrayOf(85)), rowStride = 1, pixelStride = 2)
        val redness = Plane(ByteBuffer.wrap(byteArrayOf(-1)), rowStride = 1, pixelStride = 2)
        val found = pictureOf(2, 2, light, blueness, redness)
        assertArrayEquals(byteArrayOf(-2, 0, 0, -2, 0, 0), found.bytes.copyOf(6)) // red: (254, 0, 0) as libjpeg gives it
        assertArrayEquals(byteArrayOf(207.toByte(), 0, 0), found.bytes.copyOfRange(6, 9))
    }

    private fun show(picture: Picture) =
        picture.bytes
            .toList()
            .chunked(picture.width)
            .joinToString(" / ") { it.joinToString(" ") }
}
