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
private const val TAPS = 4 // source pixels that are weighed at a time

/**
 * What each of [count] neighbouring results is a sum of.
 *
 * @property starts first source pixel of each.
 * @property lengths how many source pixels each has.
 * @property weights [stride] of them for each, a multiple of [TAPS], with [PRECISION_BITS] bits behind the point; 0 beyond the length.
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
    val longest = ceil(reach).toInt() * 2 + 1
    val stride = (longest + TAPS - 1) / TAPS * TAPS
    val count = range.count()
    val sums = Sums(IntArray(count), IntArray(count), IntArray(count * stride), stride)
    val real = DoubleArray(longest)
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
    sums.resample(picture.rows(rows.first, sums.first), result.rows(), rows.count())
    return result
}

/** Each column on its own, as many rows as [sums], which count from [origin] on. */
private fun resampleRows(
    picture: Picture,
    sums: Sums,
    origin: Int,
): Picture {
    val result = Picture(sums.count, picture.width, picture.channels, ByteArray(sums.count * picture.width * picture.channels))
    sums.resample(picture.columns(sums.first - origin), result.columns(), picture.width)
    return result
}

/**
 * The rows of a picture, or its columns.
 *
 * @property start where in [bytes] the first pixel of the first line is.
 * @property pixelStep from one pixel of a line to the next, in bytes.
 * @property lineStep from one line to the next.
 */
private class Lines(
    val bytes: ByteArray,
    val channels: Int,
    val start: Int,
    val pixelStep: Int,
    val lineStep: Int,
) {
    fun at(
        line: Int,
        pixel: Int,
    ) = start + line * lineStep + pixel * pixelStep
}

private fun Picture.rows(
    row: Int = 0,
    column: Int = 0,
) = Lines(bytes, channels, (row * width + column) * channels, channels, width * channels)

private fun Picture.columns(row: Int = 0) = Lines(bytes, channels, row * width * channels, width * channels, channels)

private const val LANES = 32 // lines that are resampled together

/**
 * Each of [count] lines of [source], which begin at the first pixel that is summed, resampled into [target].
 *
 * Pixels at the same place of neighbouring lines have the same weight. They are gathered in an array of their own, so that the innermost
 * loop runs over arrays from 0 on, which compilers make vectors of.
 */
private fun Sums.resample(
    source: Lines,
    target: Lines,
    count: Int,
) {
    val length = end - first
    val places = Array(length + TAPS - 1) { IntArray(source.channels * LANES) }
    val totals = IntArray(source.channels * LANES)
    for (line in 0 until count step LANES) {
        val lanes = minOf(LANES, count - line)
        for (place in 0 until length) gather(source, source.at(line, place), lanes, places[place])
        for (index in starts.indices) {
            totals.fill(HALF)
            for (k in 0 until lengths[index] step TAPS) weigh(places, starts[index] - first + k, weights, index * stride + k, totals)
            for (channel in 0 until target.channels) scatter(totals, channel, target, target.at(line, index) + channel, lanes)
        }
    }
}

/** Adds [TAPS] places from [start] on, times the weights from [first] on. */
private fun weigh(
    places: Array<IntArray>,
    start: Int,
    weights: IntArray,
    first: Int,
    totals: IntArray,
) {
    val a = places[start]
    val b = places[start + 1]
    val c = places[start + 2]
    val d = places[start + 3]
    val ofA = weights[first]
    val ofB = weights[first + 1]
    val ofC = weights[first + 2]
    val ofD = weights[first + 3]
    for (lane in totals.indices) totals[lane] += a[lane] * ofA + b[lane] * ofB + c[lane] * ofC + d[lane] * ofD
}

/** The pixels of neighbouring lines, the first of which is at [from]: all reds, then all greens, then all blues. */
private fun gather(
    source: Lines,
    from: Int,
    lanes: Int,
    place: IntArray,
) {
    if (source.channels == 3) {
        gatherColours(source.bytes, from, source.lineStep, lanes, place)
    } else {
        gatherGreys(source.bytes, from, source.lineStep, lanes, place)
    }
}

private fun gatherColours(
    bytes: ByteArray,
    from: Int,
    step: Int,
    lanes: Int,
    place: IntArray,
) {
    for (lane in 0 until lanes) {
        val pixel = from + lane * step
        place[lane] = bytes[pixel].toInt() and 0xff
        place[LANES + lane] = bytes[pixel + 1].toInt() and 0xff
        place[2 * LANES + lane] = bytes[pixel + 2].toInt() and 0xff
    }
}

private fun gatherGreys(
    bytes: ByteArray,
    from: Int,
    step: Int,
    lanes: Int,
    place: IntArray,
) {
    for (lane in 0 until lanes) place[lane] = bytes[from + lane * step].toInt() and 0xff
}

private fun scatter(
    totals: IntArray,
    channel: Int,
    target: Lines,
    to: Int,
    lanes: Int,
) {
    for (lane in 0 until lanes) target.bytes[to + lane * target.lineStep] = clip(totals[channel * LANES + lane])
}
