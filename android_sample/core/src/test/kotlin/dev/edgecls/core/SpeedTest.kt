package dev.edgecls.core

import kotlinx.serialization.encodeToString
import kotlinx.serialization.json.Json
import org.junit.Assert.assertEquals
import org.junit.Test
import java.io.File
import java.lang.management.ManagementFactory
import kotlin.random.Random

/** How long 12 megapixels take; what that may be is judged by who started the tests, beside Pillow's time. */
class SpeedTest {
    private val clock = ManagementFactory.getThreadMXBean()

    @Test
    fun `12 megapixels are timed`() {
        val picture = Picture(3000, 4000, 3, Random(0).nextBytes(3000 * 4000 * 3))
        val times = listOf(Filter.BILINEAR_ANTIALIASED, Filter.BICUBIC, Filter.LANCZOS).associate { it.name to bestMs(picture, it) }
        val file = File(System.getProperty("edgecls.times") ?: "build/resize_ms.json")
        file.parentFile.mkdirs()
        file.writeText(Json.encodeToString(times))
    }

    /** Processor time, once the compiler has done its work. */
    private fun bestMs(
        picture: Picture,
        filter: Filter,
    ): Double =
        List(RUNS) {
            val start = clock.currentThreadCpuTime
            assertEquals(224, ImageSpec(224, 224, 3, filter = filter).pixelsOf(picture).width)
            (clock.currentThreadCpuTime - start) / 1e6
        }.min()

    private companion object {
        const val RUNS = 15
    }
}
