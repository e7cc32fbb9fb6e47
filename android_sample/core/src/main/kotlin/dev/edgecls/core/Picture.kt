package dev.edgecls.core

/**
 * Pixels of 8 bits: [bytes] holds height x width x [channels] of them, row after row.
 *
 * @property channels 3 (red, green, blue) or 1 (grey).
 */
class Picture(
    val height: Int,
    val width: Int,
    val channels: Int,
    val bytes: ByteArray,
) {
    init {
        require(height > 0 && width > 0) { "expected a picture of one pixel or more, found $width x $height" }
        require(bytes.size == height * width * channels) {
            "expected ${height * width * channels} bytes for $width x $height x $channels, found ${bytes.size}"
        }
    }

    /** The part of [height] x [width] pixels that begins at row [top] and column [left]. */
    fun cutOut(
        top: Int,
        left: Int,
        height: Int,
        width: Int,
    ): Picture {
        if (top == 0 && left == 0 && height == this.height && width == this.width) return this
        val part = ByteArray(height * width * channels)
        for (row in 0 until height) {
            val from = ((top + row) * this.width + left) * channels
            bytes.copyInto(part, row * width * channels, from, from + width * channels)
        }
        return Picture(height, width, channels, part)
    }

    /** One channel: luma as ITU-R 601 weighs it, in the fixed-point numbers of Pillow's `convert("L")`. */
    fun grey(): Picture {
        if (channels == 1) return this
        val luma = ByteArray(height * width) { pixel -> luma(value(3 * pixel), value(3 * pixel + 1), value(3 * pixel + 2)).toByte() }
        return Picture(height, width, 1, luma)
    }

    /** Three channels: a grey one three times. */
    fun inColour(): Picture {
        if (channels == 3) return this
        return Picture(height, width, 3, ByteArray(3 * bytes.size) { index -> bytes[index / 3] })
    }

    /** The picture turned upright, as EXIF's orientation (1 to 8) asks; other numbers leave it as it is. */
    fun upright(orientation: Int): Picture {
        if (orientation !in 2..8) return this
        val sideways = orientation >= 5
        val turned = Picture(if (sideways) width else height, if (sideways) height else width, channels, ByteArray(bytes.size))
        var to = 0
        for (y in 0 until turned.height) {
            for (x in 0 until turned.width) {
                val from = channels * sourceOf(orientation, x, y)
                for (channel in 0 until channels) turned.bytes[to++] = bytes[from + channel]
            }
        }
        return turned
    }

    /** The pixel that stands at [x], [y] once the picture is upright. */
    private fun sourceOf(
        orientation: Int,
        x: Int,
        y: Int,
    ): Int {
        val right = width - 1
        val bottom = height - 1
        return when (orientation) {
            2 -> y * width + right - x
            3 -> (bottom - y) * width + right - x
            4 -> (bottom - y) * width + x
            5 -> x * width + y
            6 -> (bottom - x) * width + y
            7 -> (bottom - x) * width + right - y
            else -> x * width + right - y
        }
    }

    private fun value(index: Int) = bytes[index].toInt() and 0xff

    companion object {
        /** A picture out of four bytes a pixel: [red] says which of them is red (0 or 2; blue is the other); the last is alpha, and dropped. */
        fun withoutAlpha(
            height: Int,
            width: Int,
            pixels: ByteArray,
            red: Int = 0,
        ): Picture {
            val rgb = ByteArray(height * width * 3)
            var from = 0
            var to = 0
            while (to < rgb.size) {
                rgb[to] = pixels[from + red]
                rgb[to + 1] = pixels[from + 1]
                rgb[to + 2] = pixels[from + 2 - red]
                to += 3
                from += 4
            }
            return Picture(height, width, 3, rgb)
        }

        /** How bright a colour is, 0..255. */
        fun luma(
            red: Int,
            green: Int,
            blue: Int,
        ): Int = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) shr 16
    }
}
