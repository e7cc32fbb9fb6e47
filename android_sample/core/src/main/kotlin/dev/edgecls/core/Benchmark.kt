package dev.edgecls.core

import kotlin.random.Random

/**
 * How to measure; as on the host.
 *
 * @property minSeconds each artifact's latency is sampled for at least so long, and [minRuns] at least so often, over all [rounds].
 */
data class BenchmarkOptions(
    val threads: Int = 1,
    val minSeconds: Double = 1.0,
    val minRuns: Int = 50,
    val warmupSeconds: Double = 0.1,
    val warmupRuns: Int = 5,
    val rounds: Int = 5,
)

/** What the benchmark knows of the phone while it runs. */
interface Phone {
    /** Nanoseconds since some moment. */
    fun nanoTime(): Long

    /** Whether anything speaks against times taken now. */
    fun circumstances(): Circumstances
}

/** Times every artifact of [contract]; they take turns in rotated order, so that drift of the phone hits all alike. */
class Benchmark(
    private val contract: Contract,
    private val open: (Artifact, Int) -> OpenArtifact,
    private val phone: Phone,
    private val options: BenchmarkOptions = BenchmarkOptions(),
) {
    /** Every artifact's measurement; [onProgress] hears how many of how many turns are done. */
    fun run(onProgress: (Int, Int) -> Unit): List<Measurement> {
        val runs = contract.artifacts.map { Run(it) }
        try {
            runs.forEach { run -> run.attempt { start() } }
            val before = phone.circumstances()
            runs.forEach { run -> run.attempt { warmUp() } }
            for (round in 0 until options.rounds) {
                val shift = round % runs.size
                (runs.drop(shift) + runs.take(shift)).forEachIndexed { index, run ->
                    run.attempt { takeTurn() }
                    onProgress(round * runs.size + index + 1, options.rounds * runs.size)
                }
            }
            val after = phone.circumstances()
            val circumstances =
                Circumstances(before.powerSaving || after.powerSaving, before.throttled || after.throttled, before.emulated)
            return runs.map { it.measurement(circumstances) }
        } finally {
            runs.forEach { it.close() }
        }
    }

    /** One artifact; one that failed is not asked again. */
    private inner class Run(
        private val artifact: Artifact,
    ) : AutoCloseable {
        private var opened: OpenArtifact? = null
        private var failure: String? = null
        private var loadMs = 0.0
        private var firstMs = 0.0
        private var warmupRuns = 0
        private val rounds = mutableListOf<List<Double>>()

        fun attempt(step: Run.() -> Unit) {
            if (failure != null) return
            try {
                step()
            } catch (error: SampleException) {
                failure = error.message
            }
        }

        fun start() {
            val begin = phone.nanoTime()
            val found = open(artifact, options.threads)
            opened = found
            loadMs = (phone.nanoTime() - begin) / 1e6
            val spec = contract.imageSpec
            found.prepare(spec.inputOf(noise(spec)))
            firstMs = time()
        }

        fun warmUp() {
            warmupRuns = sample(options.warmupSeconds, options.warmupRuns).size
        }

        fun takeTurn() {
            repeat(UNTIMED) { time() }
            rounds += sample(options.minSeconds / options.rounds, -(-options.minRuns / options.rounds))
        }

        private fun sample(
            seconds: Double,
            runs: Int,
        ): List<Double> {
            val samples = mutableListOf<Double>()
            val end = phone.nanoTime() + (seconds * 1e9).toLong()
            do samples += time() while (phone.nanoTime() < end || samples.size < runs)
            return samples
        }

        private fun time(): Double {
            val found = checkNotNull(opened)
            val begin = phone.nanoTime()
            found.invoke()
            return (phone.nanoTime() - begin) / 1e6
        }

        fun measurement(circumstances: Circumstances): Measurement {
            val reason = failure
            val blank =
                Measurement(
                    artifact = artifact.name,
                    target = artifact.target,
                    scheme = artifact.scheme,
                    status = if (reason == null) "ok" else "failed",
                    reason = reason.orEmpty(),
                    sizeBytes = artifact.sizeBytes,
                    threads = options.threads,
                )
            if (reason != null) return blank
            return blank.copy(
                latency = summarize(rounds, warmupRuns, circumstances),
                loadMs = loadMs,
                firstInferenceMs = firstMs,
                engine = opened?.used,
            )
        }

        override fun close() {
            opened?.close()
        }
    }

    private companion object {
        /** Inferences before each turn: the caches hold another artifact's data. */
        const val UNTIMED = 2
    }
}

/** Pixels without a picture: every run of the benchmark computes on the same ones. */
private fun noise(spec: ImageSpec) =
    Picture(spec.height, spec.width, spec.channels, Random(0).nextBytes(spec.height * spec.width * spec.channels))
