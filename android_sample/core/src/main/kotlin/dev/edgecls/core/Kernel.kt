package dev.edgecls.core

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.sin

/** Pillow's resampling of 8 bits: a kernel as wide as the reduction, weights as fixed-point numbers, one axis after the other. */
internal enum class Kernel(
    val support: Double,
    val weight: (Double) -> Double,
) {
    TRIANGLE(1.0, { x -> (1.0 - abs(x)).coerceAtLeast(0.0) }),
    CUBIC(2.0, ::cubic),
    LANCZOS(3.0, { x -> if (-3.0 <= x && x < 3.0) sinc(x) * sinc(x / 3) else 0.0 }),
}

private const val CUBIC_A = -0.5

private fun cubic(signed: Double): Double {
    val x = abs(signed)
    return when {
        x < 1.0 -> ((CUBIC_A + 2.0) * x - (CUBIC_A + 3.0)) * x * x + 1
        x < 2.0 -> (((x - 5) * x + 8) * x - 4) * CUBIC_A
        else -> 0.0
    }
}

private fun sinc(x: Double) = if (x == 0.0) 1.0 else sin(x * PI) / (x * PI)

private const val PRECISION_BITS = 32 - 8 - 2
private const val HALF = 1 shl (PRECISION_BITS - 1)

/**
 * What each of [count] neighbouring results is a sum of.
 *
 * @property starts first source pixel of each.
 * @property lengths how many source pixels each has.
 * @property weights [stride] of them for each, with [PRECISION_BITS] bits behind the point.
 */
private class Sums(
    val starts: IntArray,
    val lengths: IntArray,
    val weights: IntArray,
    val stride: Int,
) {
    val count get() = starts.size
    val first get() = starts.first()
    val end get() = starts.last() + lengths.last()
}

/**
 * Sums for the results [range] of [size], resampled from [low] to [high] of a side of [side] pixels.
 *
 * Pillow keeps the edges of the box as float32 and subtracts them so; all that follows is float64.
 */
private fun Kernel.sums(
    side: Int,
    low: Float,
    high: Float,
    size: Int,
    range: IntRange,
): Sums {
    val scale = (high - low).toDouble() / size
    val stretch = scale.coerceAtLeast(1.0)
    val reach = support * stretch
    val stride = ceil(reach).toInt() * 2 + 1
    val count = range.count()
    val sums = Sums(IntArray(count), IntArray(count), IntArray(count * stride), stride)
    val real = DoubleArray(stride)
    for ((index, position) in range.withIndex()) {
        val center = low + (position + 0.5) * scale
        val start = (center - reach + 0.5).toInt().coerceAtLeast(0)
        val length = (center + reach + 0.5).toInt().coerceAtMost(side) - start
        var total = 0.0
        for (k in 0 until length) {
            real[k] = weight((k + start - center + 0.5) * (1.0 / stretch))
            total += real[k]
        }
        for (k in 0 until length) sums.weights[index * stride + k] = fixed(if (total != 0.0) real[k] / total else real[k])
        sums.starts[index] = start
        sums.lengths[index] = length
    }
    return sums
}

private fun fixed(weight: Double): Int = ((if (weight < 0) -0.5 else 0.5) + weight * (1 shl PRECISION_BITS)).toInt()

private fun clip(sum: Int): Byte = (sum shr PRECISION_BITS).coerceIn(0, 255).toByte()

/** The results [columns] x [rows] of [picture], resampled as [placement] says. */
internal fun Kernel.resample(
    picture: Picture,
    placement: Placement,
    rows: IntRange,
    columns: IntRange,
): Picture {
    val box = placement.box
    val across = sums(picture.width, box.left.toFloat(), box.right.toFloat(), placement.width, columns)
    val down = sums(picture.height, box.top.toFloat(), box.bottom.toFloat(), placement.height, rows)
    if (rowsFirst(picture, placement)) return resampleColumns(resampleRows(picture, down, 0), across, 0 until down.count)
    return resampleRows(resampleColumns(picture, across, down.first until down.end), down, down.first)
}

/** Pillow's choice since version 13; the first pass rounds to 8 bits, so that the order shows. */
private fun rowsFirst(
    picture: Picture,
    placement: Placement,
): Boolean {
    val fewerRows = picture.height - placement.height
    val fewerColumns = picture.width - placement.width
    return fewerRows > 0 && fewerRows > 2 * fewerColumns
}

/** Each row of [rows] on its own: as many columns as [sums]. */
private fun resampleColumns(
    picture: Picture,
    sums: Sums,
    rows: IntRange,
): Picture {
    val result = Picture(rows.count(), sums.count, picture.channels, ByteArray(rows.count() * sums.count * picture.channels))
    for ((index, row) in rows.withIndex()) {
        val from = row * picture.width * picture.channels
        val to = index * sums.count * picture.channels
        val sum = if (picture.channels == 3) ::sumColours else ::sumGreys
        sum(picture.bytes, from, sums, result.bytes, to)
    }
    return result
}

private fun sumColours(
    source: ByteArray,
    from: Int,
    sums: Sums,
    target: ByteArray,
    to: Int,
) {
    val weights = sums.weights
    for (column in 0 until sums.count) {
        val pixel = from + 3 * sums.starts[column]
        val weight = column * sums.stride
        var red = HALF
        var green = HALF
        var blue = HALF
        for (k in 0 until sums.lengths[column]) {
            val factor = weights[weight + k]
            red += (source[pixel + 3 * k].toInt() and 0xff) * factor
            green += (source[pixel + 3 * k + 1].toInt() and 0xff) * factor
            blue += (source[pixel + 3 * k + 2].toInt() and 0xff) * factor
        }
        target[to + 3 * column] = clip(red)
        target[to + 3 * column + 1] = clip(green)
        target[to + 3 * column + 2] = clip(blue)
    }
}

private fun sumGreys(
    source: ByteArray,
    from: Int,
    sums: Sums,
    target: ByteArray,
    to: Int,
) {
    for (column in 0 until sums.count) {
        val weight = column * sums.stride
        var grey = HALF
        for (k in 0 until sums.lengths[column]) {
            grey += (source[from + sums.starts[column] + k].toInt() and 0xff) * sums.weights[weight + k]
        }
        target[to + column] = clip(grey)
    }
}

/** Each column on its own, as many rows as [sums], which count from [origin] on. */
private fun resampleRows(
    picture: Picture,
    sums: Sums,
    origin: Int,
): Picture {
    val line = picture.width * picture.channels
    val result = Picture(sums.count, picture.width, picture.channels, ByteArray(sums.count * line))
    val totals = IntArray(line)
    for (row in 0 until sums.count) {
        totals.fill(HALF)
        for (k in 0 until sums.lengths[row]) {
            val factor = sums.weights[row * sums.stride + k]
            val from = (sums.starts[row] + k - origin) * line
            for (index in 0 until line) totals[index] += (picture.bytes[from + index].toInt() and 0xff) * factor
        }
        for (index in 0 until line) result.bytes[row * line + index] = clip(totals[index])
    }
    return result
}
