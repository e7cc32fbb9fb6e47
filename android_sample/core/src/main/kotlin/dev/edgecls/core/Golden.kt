package dev.edgecls.core

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable

/**
 * Pictures of which the host knows what must come out.
 *
 * @property images each with the file of the picture, the file of the pixels that must enter the model, and each artifact's scores.
 */
@Serializable
data class Golden(
    @SerialName("schema_version") val schemaVersion: Int,
    val images: List<GoldenImage>,
) {
    companion object {
        private const val VERSION = 1

        /**
         * The golden set in [text].
         *
         * @throws SampleException it is damaged, or of a version that this app does not know.
         */
        fun read(text: String): Golden = readVersioned(text, "golden.json", VERSION, serializer())
    }
}

/**
 * One picture of the golden set.
 *
 * @property decoding `lossless`, or `jpeg`, which platforms decode a little differently.
 */
@Serializable
data class GoldenImage(
    val name: String,
    val file: String,
    val pixels: String,
    val decoding: String,
    val scores: Map<String, List<Float>>,
)
