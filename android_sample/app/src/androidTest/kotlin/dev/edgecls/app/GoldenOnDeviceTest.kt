package dev.edgecls.app

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

/** A device against the host, on the golden set that `edgecls embed` put into the app. */
@RunWith(AndroidJUnit4::class)
class GoldenOnDeviceTest {
    private val model = EmbeddedModel(InstrumentationRegistry.getInstrumentation().targetContext.assets)

    @Test
    fun pixelsAreTheHosts() {
        val found = GoldenCheck(model).pixels()
        assertTrue("a golden set", found.isNotEmpty())
        for (difference in found) assertTrue("$difference", difference.allowed)
    }

    @Test
    fun winnersAreTheHosts() {
        for (artifact in model.contract.artifacts) {
            val found = GoldenCheck(model).scores(artifact)
            assertEquals("$found", found.images, found.sameWinner)
        }
    }
}
