package dev.edgecls.core

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.File

/** The vectors that all languages read: every byte, every number. */
class GoldenVectorsTest {
    private val folder = File(System.getProperty("edgecls.golden") ?: "../../tests/golden")

    @Test
    fun `every fit and filter gives the host's pixels`() {
        val vectors = json.decodeFromString<Vectors>(folder.resolve("vectors.json").readText())
        val sources = folder.resolve("sources.bin").readBytes()
        val pixels = folder.resolve("pixels.bin").readBytes()
        for (case in vectors.cases) {
            val source = vectors.sources[case.source]
            val bytes = sources.copyOfRange(source.offset, source.offset + source.sizeBytes)
            val found = case.spec(source.channels).pixelsOf(Picture(source.height, source.width, source.channels, bytes))
            val expected = pixels.copyOfRange(case.offset, case.offset + case.sizeBytes)
            assertArrayEquals("${source.name}: $case", expected, found.bytes)
        }
        assertEquals("cases of 5 filters, 4 fits and 12 sizes", 5 * 4 * 12, vectors.cases.size)
        assertEquals(5, vectors.cases.distinctBy { it.filter }.size)
    }

    @Test
    fun `normalisation gives the host's numbers`() {
        val cases = json.decodeFromString<Normalisations>(folder.resolve("normalisation.json").readText()).cases
        assertTrue("a dozen cases", cases.size >= 12)
        for (case in cases) {
            val bytes = ByteArray(case.pixels.size) { case.pixels[it].toByte() }
            val found = case.spec.inputOf(Picture(case.spec.height, case.spec.width, case.spec.channels, bytes))
            assertArrayEquals("${case.spec}", case.inputs.toFloatArray(), found, 0f)
        }
    }
}

@Serializable
private data class Vectors(
    val sources: List<Source>,
    val cases: List<Case>,
)

@Serializable
private data class Source(
    val name: String,
    val height: Int,
    val width: Int,
    val channels: Int,
    val offset: Int,
    @SerialName("size_bytes") val sizeBytes: Int,
)

@Serializable
private data class Case(
    val source: Int,
    val fit: Fit,
    @SerialName("crop_share") val cropShare: Double?,
    @SerialName("pad_color") val padColor: List<Int>,
    val filter: Filter,
    val height: Int,
    val width: Int,
    val offset: Int,
    @SerialName("size_bytes") val sizeBytes: Int,
) {
    fun spec(channels: Int) = ImageSpec(height, width, channels, fit = fit, cropShare = cropShare, padColor = padColor, filter = filter)
}

@Serializable
private data class Normalisations(
    val cases: List<Normalisation>,
)

@Serializable
private data class Normalisation(
    val spec: ImageSpec,
    val pixels: List<Int>,
    val inputs: List<Float>,
)
