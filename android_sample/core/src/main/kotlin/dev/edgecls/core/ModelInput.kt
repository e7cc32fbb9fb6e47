package dev.edgecls.core

/** [pixels] of the model's size as its input: colour order, normalisation in float32, and the axes of its layout. */
fun ImageSpec.inputOf(pixels: Picture): FloatArray {
    require(pixels.height == height && pixels.width == width && pixels.channels == channels) {
        "expected $width x $height x $channels pixels, found ${pixels.width} x ${pixels.height} x ${pixels.channels}"
    }
    val means = FloatArray(channels) { channel -> mean[channel % mean.size].toFloat() }
    val stds = FloatArray(channels) { channel -> std[channel % std.size].toFloat() }
    val planes = layout == Layout.CHW
    val area = height * width
    val input = FloatArray(area * channels)
    for (pixel in 0 until area) {
        for (channel in 0 until channels) {
            val from = pixel * channels + if (colorOrder == "BGR") channels - 1 - channel else channel
            val value = (pixels.bytes[from].toInt() and 0xff).toFloat()
            input[if (planes) channel * area + pixel else pixel * channels + channel] = (value - means[channel]) / stds[channel]
        }
    }
    return input
}

/** [input] as integers of [low] to [high], in the float32 steps of the host. */
fun Quantization.quantize(
    input: FloatArray,
    low: Int,
    high: Int,
): IntArray = IntArray(input.size) { index -> quantized(input[index]).coerceIn(low.toDouble(), high.toDouble()).toInt() }

private fun Quantization.quantized(value: Float): Double = Math.rint((value / scale.toFloat()).toDouble()) + zeroPoint

/** The real number that [integer] stands for. */
fun Quantization.dequantize(integer: Int): Float = (integer - zeroPoint) * scale.toFloat()
