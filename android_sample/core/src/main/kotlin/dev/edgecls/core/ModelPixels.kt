package dev.edgecls.core

/** The pixels that must enter the model for an upright [picture]: of the model's size, before colour order and normalisation. */
fun ImageSpec.pixelsOf(picture: Picture): Picture {
    require(channels == 1 || channels == 3) { "expected a model of 1 or 3 channels, found $channels" }
    val source = if (channels == 1) picture.grey() else picture.inColour()
    val placement = place(source.height, source.width)
    val rows = covered(placement.top, placement.height, height)
    val columns = covered(placement.left, placement.width, width)
    val resized =
        when (filter) {
            Filter.NEAREST -> nearest(source, placement, rows, columns)
            Filter.BILINEAR -> bilinear(source, placement, rows, columns)
            Filter.BILINEAR_ANTIALIASED -> Kernel.TRIANGLE.resample(source, placement, rows, columns)
            Filter.BICUBIC -> Kernel.CUBIC.resample(source, placement, rows, columns)
            Filter.LANCZOS -> Kernel.LANCZOS.resample(source, placement, rows, columns)
        }
    return if (resized.height == height && resized.width == width) resized else padded(resized, placement)
}

/** Which of [size] resampled pixels, the first of which stands at [start], lie in a frame of [frame]. */
private fun covered(
    start: Int,
    size: Int,
    frame: Int,
): IntRange = maxOf(0, -start) until minOf(size, frame - start)

private fun ImageSpec.padded(
    resized: Picture,
    placement: Placement,
): Picture {
    val (red, green, blue) = padColor
    val color = if (channels == 1) listOf(Picture.luma(red, green, blue)) else padColor
    val bytes = ByteArray(height * width * channels) { index -> color[index % channels].toByte() }
    val line = resized.width * channels
    for (row in 0 until resized.height) {
        resized.bytes.copyInto(bytes, ((placement.top + row) * width + placement.left) * channels, row * line, (row + 1) * line)
    }
    return Picture(height, width, channels, bytes)
}
