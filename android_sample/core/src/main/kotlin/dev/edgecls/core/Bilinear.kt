package dev.edgecls.core

import kotlin.math.floor

/** Bilinear without antialiasing, in the float32 steps of TensorFlow's `ResizeBilinear`; the result is rounded to 8 bits. */
internal fun bilinear(
    picture: Picture,
    placement: Placement,
    rows: IntRange,
    columns: IntRange,
): Picture {
    val box = placement.box
    val part = picture.cutOut(box.top.toInt(), box.left.toInt(), (box.bottom - box.top).toInt(), (box.right - box.left).toInt())
    val across = neighbours(part.width, placement.width, columns)
    val down = neighbours(part.height, placement.height, rows)
    val channels = part.channels
    val result = ByteArray(down.size * across.size * channels)
    var to = 0
    for (y in down) {
        for (x in across) {
            for (channel in 0 until channels) {
                fun value(
                    row: Int,
                    column: Int,
                ) = (part.bytes[(row * part.width + column) * channels + channel].toInt() and 0xff).toFloat()
                val top = between(value(y.low, x.low), value(y.low, x.high), x.share)
                val bottom = between(value(y.high, x.low), value(y.high, x.high), x.share)
                result[to++] = Math.rint(between(top, bottom, y.share).toDouble()).toInt().toByte()
            }
        }
    }
    return Picture(down.size, across.size, channels, result)
}

/** A result lies between the pixels [low] and [high], [share] of the way. */
private class Neighbours(
    val low: Int,
    val high: Int,
    val share: Float,
)

private fun neighbours(
    side: Int,
    size: Int,
    range: IntRange,
): List<Neighbours> {
    val scale = side.toFloat() / size.toFloat()
    return range.map { position ->
        val at = (position.toFloat() + 0.5f) * scale - 0.5f
        val below = floor(at)
        Neighbours(below.toInt().coerceAtLeast(0), (below.toInt() + 1).coerceAtMost(side - 1), at - below)
    }
}

private fun between(
    low: Float,
    high: Float,
    share: Float,
): Float = low + (high - low) * share
