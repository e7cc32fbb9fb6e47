package dev.edgecls.app

import dev.edgecls.core.SampleException
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

/** The golden set that was embedded, with Android's own decoders and ONNX Runtime. */
@RunWith(RobolectricTestRunner::class)
class GoldenTest {
    private val model = EmbeddedModel(RuntimeEnvironment.getApplication().assets)

    @Test
    fun `every picture enters the model as on the host`() {
        val found = GoldenCheck(model).pixels()
        assertTrue("a golden set of several pictures, found ${found.size}", found.size >= 6)
        for (difference in found) assertTrue("$difference", difference.allowed)
    }

    @Test
    fun `ONNX files answer as on the host`() {
        val artifacts = model.contract.artifacts.filter { it.target == "onnx" }
        assertTrue("ONNX files in ${model.contract.artifacts.map { it.name }}", artifacts.isNotEmpty())
        for (artifact in artifacts) {
            val found = GoldenCheck(model).scores(artifact)
            assertTrue("$found", found.images >= 6 && found.most <= 1e-5f)
            assertEquals("$found", found.images, found.sameWinner)
        }
    }

    @Test
    fun `LiteRT without its library is a sentence`() {
        val artifact = model.contract.artifacts.first { it.target == "tflite" }
        val error = assertThrows(SampleException::class.java) { model.open(artifact, threads = 1) }
        assertEquals("LiteRT is not there for this processor: choose an ONNX artifact.", error.message)
    }

    @Test
    fun `a file that is not the one described is a sentence`() {
        val artifact =
            model.contract.artifacts
                .first()
                .copy(sha256 = "0")
        val error = assertThrows(SampleException::class.java) { model.open(artifact, threads = 1) }
        assertTrue(error.message, error.message!!.contains("${artifact.file} is damaged"))
    }

    @Test
    fun `what is no picture is a sentence`() {
        assertThrows(SampleException::class.java) { readPicture("text".toByteArray()) }
    }
}
