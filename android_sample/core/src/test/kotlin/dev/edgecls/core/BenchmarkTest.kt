package dev.edgecls.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

class BenchmarkTest {
    private val calm = Circumstances(powerSaving = false, throttled = false, emulated = false)
    private val tensor = Tensor("t", "float32", listOf(1, 1, 1, 1))
    private val contract =
        Contract(
            schemaVersion = 1,
            model = "m",
            edgeclsVersion = "1",
            labels = listOf("a"),
            outputKind = OutputKind.SOFTMAX,
            imageSpec = ImageSpec(1, 1, 1),
            artifacts = listOf("fast", "slow", "damaged").map { Artifact(it, it, "onnx", "float32", 1, "", tensor, tensor) },
        )

    @Test
    fun `artifacts take turns in rotated order and keep every sample`() {
        val phone = FakePhone(calm)
        val turns = mutableListOf<Pair<Int, Int>>()
        val (fast, slow, damaged) = Benchmark(contract, phone::open, phone).run { done, all -> turns += done to all }

        assertEquals(15 to 15, turns.last())
        assertEquals(listOf(5.0, 5.0, 5.0, 5.0, 5.0), fast.latency!!.roundsP50Ms)
        assertEquals(10.0, slow.latency!!.p99Ms, 0.0)
        assertEquals(5 * 40, fast.latency!!.runs) // 0.2 s of 5 ms in each of five rounds
        assertEquals("valid", fast.latency!!.validity.verdict)
        assertEquals("failed", damaged.status)
        assertEquals("it is damaged", damaged.reason)
        assertNull(damaged.latency)
        // opened, warmed up; then fast and slow, slow and fast, fast and slow, fast and slow, slow and fast, each after two untimed
        assertEquals(listOf(1, 1, 20, 10, 42, 22 + 22, 42 + 42, 22, 42, 22 + 22, 42), phone.runs.map { it.second })
        assertTrue(phone.closed.containsAll(listOf("fast", "slow")))
    }

    @Test
    fun `what speaks against a time is said`() {
        fun codes(
            circumstances: Circumstances,
            options: BenchmarkOptions,
        ): List<String> {
            val phone = FakePhone(circumstances)
            return Benchmark(contract, phone::open, phone, options)
                .run { _, _ -> }[0]
                .latency!!
                .validity.reasons
                .map { it.code }
        }
        assertEquals(listOf("frequency_changed", "frequency_changed"), codes(Circumstances(true, true, false), BenchmarkOptions()))
        assertEquals(listOf("emulated"), codes(Circumstances(true, true, true), BenchmarkOptions()))
        assertEquals(listOf("too_few_runs", "too_noisy"), codes(calm, BenchmarkOptions(minSeconds = 0.1, minRuns = 1, rounds = 1)))
    }

    @Test
    fun `percentiles lie between neighbours`() {
        assertEquals(2.5, percentile(listOf(1.0, 2.0, 3.0, 4.0), 0.5), 0.0)
        assertEquals(3.7, percentile(listOf(1.0, 2.0, 3.0, 4.0), 0.9), 1e-12)
    }
}

/** A clock that only inferences move: 5 ms a run of `fast`, 10 ms one of `slow`. */
private class FakePhone(
    private val circumstances: Circumstances,
) : Phone {
    private var now = 0L

    /** Inferences of one artifact after another. */
    val runs = mutableListOf<Pair<String, Int>>()
    val closed = mutableListOf<String>()

    override fun nanoTime() = now

    override fun circumstances() = circumstances

    fun open(
        artifact: Artifact,
        threads: Int,
    ): OpenArtifact {
        if (artifact.name == "damaged") throw SampleException("it is damaged")
        return object : OpenArtifact {
            override val used = EngineUsed("fake", "$threads", "", true)

            override fun prepare(input: FloatArray) = Unit

            override fun invoke() {
                now += if (artifact.name == "fast") 5_000_000 else 10_000_000
                val before = runs.lastOrNull()?.takeIf { it.first == artifact.name }
                if (before != null) runs.removeAt(runs.lastIndex)
                runs += artifact.name to (before?.second ?: 0) + 1
            }

            override fun scores() = floatArrayOf(1f)

            override fun close() {
                closed += artifact.name
            }
        }
    }
}
