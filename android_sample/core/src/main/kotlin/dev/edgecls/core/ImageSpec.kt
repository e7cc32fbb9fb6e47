package dev.edgecls.core

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable

/** How a picture is brought to the model's aspect. */
@Serializable
enum class Fit {
    @SerialName("squeeze")
    SQUEEZE,

    @SerialName("crop")
    CROP,

    @SerialName("pad")
    PAD,
}

/** How pixels are computed from those of another size. */
@Serializable
enum class Filter {
    @SerialName("nearest")
    NEAREST,

    @SerialName("bilinear")
    BILINEAR,

    @SerialName("bilinear-antialiased")
    BILINEAR_ANTIALIASED,

    @SerialName("bicubic")
    BICUBIC,

    @SerialName("lanczos")
    LANCZOS,
}

/** Axes of the model's input behind the batch. */
@Serializable
enum class Layout {
    HWC,
    CHW,
    HW,

    @SerialName("flat")
    FLAT,
}

/**
 * The image that a model takes, as `edgecls` declares it; the defaults are those of files that say nothing.
 *
 * A pixel p (0..255, channels in [colorOrder]) enters the model as `(p - mean) / std`; [mean] and [std] hold one value, or one per channel.
 *
 * @property cropShare with [Fit.CROP]: the model's size over the size that the short side is brought to; null for the largest part of the
 *   model's aspect.
 * @property padColor with [Fit.PAD]: red, green and blue around the picture.
 */
@Serializable
data class ImageSpec(
    val height: Int,
    val width: Int,
    val channels: Int,
    val layout: Layout = Layout.HWC,
    @SerialName("color_order") val colorOrder: String = "RGB",
    val mean: List<Double> = listOf(0.0),
    val std: List<Double> = listOf(1.0),
    val provenance: String = "assumed",
    val note: String = "",
    val fit: Fit = Fit.SQUEEZE,
    @SerialName("crop_share") val cropShare: Double? = null,
    @SerialName("pad_color") val padColor: List<Int> = listOf(0, 0, 0),
    val filter: Filter = Filter.BILINEAR_ANTIALIASED,
    @SerialName("fit_provenance") val fitProvenance: String = "assumed",
    @SerialName("filter_provenance") val filterProvenance: String = "assumed",
)
