package dev.edgecls.app

import dev.edgecls.core.Artifact
import dev.edgecls.core.GoldenImage
import dev.edgecls.core.Picture
import dev.edgecls.core.SampleException
import dev.edgecls.core.classify
import dev.edgecls.core.pixelsOf
import java.util.Locale
import kotlin.math.abs

/** How far this phone's pixels of one golden picture are from the host's, in levels. */
data class PixelDifference(
    val image: GoldenImage,
    val most: Int,
    val average: Double,
) {
    /** What `edgecls embed` promises: JPEG decoders differ a little, others do not. */
    val allowed get() = if (image.decoding == "jpeg") most <= 2 && average < 0.1 else most == 0
}

/** How far one artifact's scores are from the host's on the golden pixels. */
data class ScoreDifference(
    val artifact: String,
    val images: Int,
    val sameWinner: Int,
    val most: Float,
)

/** Holds this phone against the host, on the golden set of [model]. */
class GoldenCheck(
    private val model: EmbeddedModel,
) {
    private val spec = model.contract.imageSpec
    private val images = model.golden()?.images.orEmpty()

    /** Every picture, decoded, fitted and resampled here. */
    fun pixels(): List<PixelDifference> =
        images.map { image ->
            val differences = difference(spec.pixelsOf(model.picture(image.file)), expected(image))
            PixelDifference(image, differences.max(), differences.average())
        }

    /** The scores of [artifact] for the host's pixels. */
    fun scores(artifact: Artifact): ScoreDifference {
        val known = images.filter { artifact.name in it.scores }
        return model.open(artifact, threads = 1).use { opened ->
            val pairs = known.map { image -> opened.classify(spec, expected(image)) to image.scores.getValue(artifact.name) }
            ScoreDifference(
                artifact = artifact.name,
                images = pairs.size,
                sameWinner = pairs.count { (found, host) -> found.indices.maxBy { found[it] } == host.indices.maxBy { host[it] } },
                most = pairs.maxOfOrNull { (found, host) -> host.indices.maxOf { abs(found[it] - host[it]) } } ?: 0f,
            )
        }
    }

    /** All of it in sentences. */
    fun sentences(): List<String> {
        if (images.isEmpty()) return emptyList()
        val good = pixels().count { it.allowed }
        return listOf("Pixels: $good of ${images.size} golden pictures enter the model as on the host.") +
            model.contract.artifacts.map(::sentence)
    }

    private fun sentence(artifact: Artifact): String =
        try {
            val found = scores(artifact)
            "${artifact.name}: the host's winner on ${found.sameWinner} of ${found.images} golden pictures, " +
                "scores at most ${"%.1e".format(Locale.ROOT, found.most)} apart."
        } catch (error: SampleException) {
            "${artifact.name}: ${error.message}"
        }

    private fun expected(image: GoldenImage): Picture {
        val picture = model.picture(image.pixels)
        return if (spec.channels == 1) picture.grey() else picture
    }

    private fun difference(
        found: Picture,
        expected: Picture,
    ): List<Int> {
        require(found.bytes.size == expected.bytes.size) { "expected ${expected.width} x ${expected.height} golden pixels" }
        return found.bytes.indices.map { abs((found.bytes[it].toInt() and 0xff) - (expected.bytes[it].toInt() and 0xff)) }
    }
}
