package dev.edgecls.core

/** A part of a picture, in its pixels. */
data class Box(
    val left: Double,
    val top: Double,
    val right: Double,
    val bottom: Double,
)

/**
 * Where a picture goes in the model's image: [box] of it is resampled to [width] x [height], whose first pixel stands at [left], [top] of
 * the model's image. What reaches beyond that image is cut off, what it does not cover is padding.
 */
data class Placement(
    val box: Box,
    val width: Int,
    val height: Int,
    val left: Int,
    val top: Int,
)

/** Where a picture of [height] x [width] goes, each way as the library computes it that people train with. */
fun ImageSpec.place(
    height: Int,
    width: Int,
): Placement {
    val share = cropShare
    return when {
        fit == Fit.PAD -> pad(height, width)
        fit == Fit.SQUEEZE -> Placement(whole(height, width), this.width, this.height, 0, 0)
        share != null -> cropShared(height, width, share)
        filter == Filter.NEAREST || filter == Filter.BILINEAR -> cropWholePixels(height, width)
        else -> crop(height, width)
    }
}

private fun whole(
    height: Int,
    width: Int,
) = Box(0.0, 0.0, width.toDouble(), height.toDouble())

private val ImageSpec.aspect get() = width.toDouble() / height

/** As Keras' `smart_resize`: whole pixels. */
private fun ImageSpec.cropWholePixels(
    height: Int,
    width: Int,
): Placement {
    val w = minOf(width, (height.toDouble() * this.width / this.height).toInt()).coerceAtLeast(1)
    val h = minOf(height, (width.toDouble() * this.height / this.width).toInt()).coerceAtLeast(1)
    val left = ((width - w) / 2).toDouble()
    val top = ((height - h) / 2).toDouble()
    return Placement(Box(left, top, left + w, top + h), this.width, this.height, 0, 0)
}

/** As Pillow's `ImageOps.fit`: parts of pixels count. */
private fun ImageSpec.crop(
    height: Int,
    width: Int,
): Placement {
    val given = width.toDouble() / height
    val w = if (given > aspect) aspect * height else width.toDouble()
    val h = if (given < aspect) width / aspect else height.toDouble()
    val left = (width - w) * 0.5
    val top = (height - h) * 0.5
    return Placement(Box(left, top, left + w, top + h), this.width, this.height, 0, 0)
}

/** As torchvision's `Resize` and `CenterCrop`: the side that is short for the model becomes its size over [share], the middle is kept. */
private fun ImageSpec.cropShared(
    height: Int,
    width: Int,
    share: Double,
): Placement {
    val toWidth = Math.rint(this.width / share).toLong()
    val toHeight = Math.rint(this.height / share).toLong()
    val widthDecides = toWidth * height >= toHeight * width
    val w = if (widthDecides) toWidth else ((toHeight * width).toDouble() / height).toLong().coerceAtLeast(this.width.toLong())
    val h = if (widthDecides) ((toWidth * height).toDouble() / width).toLong().coerceAtLeast(this.height.toLong()) else toHeight
    return placedInTheMiddle(height, width, w.toInt(), h.toInt())
}

/** As Pillow's `ImageOps.pad`. */
private fun ImageSpec.pad(
    height: Int,
    width: Int,
): Placement {
    val given = width.toDouble() / height
    val w = if (given < aspect) Math.rint(width.toDouble() / height * this.height).toInt().coerceAtLeast(1) else this.width
    val h = if (given > aspect) Math.rint(height.toDouble() / width * this.width).toInt().coerceAtLeast(1) else this.height
    return placedInTheMiddle(height, width, w, h)
}

/** The whole of a picture of [height] x [width], resampled to [h] x [w], with its middle on the model's. */
private fun ImageSpec.placedInTheMiddle(
    height: Int,
    width: Int,
    w: Int,
    h: Int,
) = Placement(whole(height, width), w, h, middle(this.width, w), middle(this.height, h))

/** Where [size] begins so that its middle is that of [frame]; halves go to the even number, as in Python. */
private fun middle(
    frame: Int,
    size: Int,
): Int = if (size > frame) -Math.rint((size - frame) / 2.0).toInt() else Math.rint((frame - size) * 0.5).toInt()
