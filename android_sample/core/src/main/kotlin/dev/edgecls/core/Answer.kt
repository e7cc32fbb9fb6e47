package dev.edgecls.core

import kotlin.math.exp

/** A class and how sure the model is of it, 0..1. */
data class Answer(
    val label: String,
    val probability: Double,
)

/**
 * The best [count] classes, best first; of equal ones the earlier first. A single score means two classes: the second where it is high.
 *
 * @throws SampleException there are other labels than scores.
 */
fun topClasses(
    scores: FloatArray,
    kind: OutputKind,
    labels: List<String>,
    count: Int,
): List<Answer> {
    val probabilities = probabilities(scores, kind)
    if (labels.size != probabilities.size) {
        throw SampleException("The model answers with ${probabilities.size} classes, ${Contract.FILE} names ${labels.size}.")
    }
    return probabilities.indices
        .sortedByDescending { probabilities[it] }
        .take(count)
        .map { Answer(labels[it], probabilities[it]) }
}

private fun probabilities(
    scores: FloatArray,
    kind: OutputKind,
): List<Double> {
    val real = scores.map { it.toDouble() }
    if (real.size == 1) {
        val second = if (kind == OutputKind.LOGITS) 1 / (1 + exp(-real[0])) else real[0]
        return listOf(1 - second, second)
    }
    if (kind != OutputKind.LOGITS) return real
    val powers = real.map { exp(it - real.max()) }
    return powers.map { it / powers.sum() }
}
