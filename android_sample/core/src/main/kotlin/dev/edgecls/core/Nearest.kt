package dev.edgecls.core

/** The pixel at the middle of each result, as Pillow's NEAREST finds it: the step is added again and again, in float64. */
internal fun nearest(
    picture: Picture,
    placement: Placement,
    rows: IntRange,
    columns: IntRange,
): Picture {
    val box = placement.box
    val xs = steps(box.left, (box.right - box.left) / placement.width, columns)
    val ys = steps(box.top, (box.bottom - box.top) / placement.height, rows)
    val channels = picture.channels
    val result = ByteArray(ys.size * xs.size * channels)
    var to = 0
    for (y in ys) {
        for (x in xs) {
            val from = (y * picture.width + x) * channels
            for (channel in 0 until channels) result[to++] = picture.bytes[from + channel]
        }
    }
    return Picture(ys.size, xs.size, channels, result)
}

private fun steps(
    low: Double,
    step: Double,
    range: IntRange,
): IntArray {
    var position = low + step * 0.5
    repeat(range.first) { position += step }
    return IntArray(range.count()) { position.toInt().also { position += step } }
}
