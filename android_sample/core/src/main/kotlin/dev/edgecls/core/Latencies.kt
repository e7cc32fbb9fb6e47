package dev.edgecls.core

import java.util.Locale
import kotlin.math.floor

/** The value below which [share] (0..1) of [sorted] lies, linear between neighbours as on the host. */
fun percentile(
    sorted: List<Double>,
    share: Double,
): Double {
    val position = share * (sorted.size - 1)
    val below = floor(position).toInt()
    val above = (below + 1).coerceAtMost(sorted.size - 1)
    return sorted[below] + (sorted[above] - sorted[below]) * (position - below)
}

private fun median(values: List<Double>) = percentile(values.sorted(), 0.5)

/** What speaks against a time although the app ran well. */
data class Circumstances(
    val powerSaving: Boolean,
    val throttled: Boolean,
    val emulated: Boolean,
)

/**
 * All samples of one artifact together.
 *
 * @param rounds milliseconds of each inference, turn after turn.
 */
fun summarize(
    rounds: List<List<Double>>,
    warmupRuns: Int,
    circumstances: Circumstances,
): Latency {
    val samples = rounds.flatten()
    val sorted = samples.sorted()
    val medians = rounds.map(::median)
    return Latency(
        runs = samples.size,
        p50Ms = percentile(sorted, 0.5),
        p90Ms = percentile(sorted, 0.9),
        p99Ms = percentile(sorted, 0.99),
        minMs = sorted.first(),
        maxMs = sorted.last(),
        samplesMs = samples,
        warmupRuns = warmupRuns,
        roundsP50Ms = medians,
        validity = judge(samples, medians, circumstances),
    )
}

// The limits are the host's: see src/edgecls/timing/validity.py.
private const val LEAST_RUNS = 50
private const val LEAST_SECONDS = 1.0
private const val SAMPLED = 0.9
private const val MOST_SPREAD = 0.10

private fun judge(
    samples: List<Double>,
    medians: List<Double>,
    circumstances: Circumstances,
): Validity {
    if (circumstances.emulated) {
        val text = "emulated: a program takes the processor's place, and its times tell nothing about a real one"
        return Validity("invalid", listOf(Reason("emulated", text)))
    }
    val reasons =
        listOfNotNull(
            tooFew(samples),
            tooNoisy(medians, median(samples)),
            slowedBy("the battery saver was on").takeIf { circumstances.powerSaving },
            slowedBy("the phone was hot").takeIf { circumstances.throttled },
        )
    return Validity(if (reasons.isEmpty()) "valid" else "invalid", reasons)
}

private fun slowedBy(what: String) = Reason("frequency_changed", "frequency changed: $what, which lowers the clock")

private fun tooFew(samples: List<Double>): Reason? {
    val seconds = samples.sum() / 1000
    if (samples.size >= LEAST_RUNS && seconds >= SAMPLED * LEAST_SECONDS) return null
    val found = "%d in %.2f s".format(Locale.ROOT, samples.size, seconds)
    return Reason("too_few_runs", "too few runs: $found, needed $LEAST_RUNS and 1 s")
}

private fun tooNoisy(
    medians: List<Double>,
    p50: Double,
): Reason? {
    if (medians.size < 2) return Reason("too_noisy", "too noisy to tell: a single round")
    val sorted = medians.sorted()
    val spread = (percentile(sorted, 0.9) - percentile(sorted, 0.1)) / p50
    if (spread <= MOST_SPREAD) return null
    val percent = Math.round(spread * 100)
    return Reason("too_noisy", "too noisy: medians of the rounds lie $percent % apart, allowed ${Math.round(MOST_SPREAD * 100)} %")
}
