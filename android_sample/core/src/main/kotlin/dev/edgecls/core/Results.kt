package dev.edgecls.core

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.Json

/** `results.json` as `docs/results.schema.json` describes it, as far as a phone can fill it. */
@Serializable
data class Results(
    @SerialName("schema_version") val schemaVersion: Int = 2,
    val created: String,
    @SerialName("edgecls_version") val edgeclsVersion: String,
    @SerialName("source_sha256") val sourceSha256: String?,
    @SerialName("image_spec") val imageSpec: ImageSpec,
    val labels: List<String>,
    val environment: Environment,
    val notes: List<String>,
    val measurements: List<Measurement>,
) {
    /** The file's text. */
    fun toJson(): String = writer.encodeToString(serializer(), this)

    private companion object {
        val writer = Json { encodeDefaults = true }
    }
}

/** Where it was measured. */
@Serializable
data class Environment(
    val platform: String,
    val machine: String,
    val processor: String,
    @SerialName("instruction_sets") val instructionSets: List<String>,
    val cores: Int,
    @SerialName("memory_bytes") val memoryBytes: Long,
    val device: String,
    val packages: Map<String, String>,
)

/** One artifact, measured or not: then [reason] says why. */
@Serializable
data class Measurement(
    val artifact: String,
    val target: String,
    val scheme: String,
    val status: String,
    val reason: String = "",
    @SerialName("size_bytes") val sizeBytes: Long,
    val threads: Int,
    val latency: Latency? = null,
    @SerialName("load_ms") val loadMs: Double? = null,
    @SerialName("first_inference_ms") val firstInferenceMs: Double? = null,
    val engine: EngineUsed? = null,
)

/**
 * What ran the artifact.
 *
 * @property verified whether the engine itself told its delegate.
 */
@Serializable
data class EngineUsed(
    val name: String,
    val version: String,
    val delegate: String,
    val verified: Boolean,
    val note: String = "",
)

/** Times of one inference in milliseconds, preprocessing excluded; no sample is dropped. */
@Serializable
data class Latency(
    val runs: Int,
    @SerialName("p50_ms") val p50Ms: Double,
    @SerialName("p90_ms") val p90Ms: Double,
    @SerialName("p99_ms") val p99Ms: Double,
    @SerialName("min_ms") val minMs: Double,
    @SerialName("max_ms") val maxMs: Double,
    @SerialName("samples_ms") val samplesMs: List<Double>,
    @SerialName("warmup_runs") val warmupRuns: Int,
    @SerialName("rounds_p50_ms") val roundsP50Ms: List<Double>,
    val validity: Validity,
)

/** Whether a latency may be compared with others. */
@Serializable
data class Validity(
    val verdict: String,
    val reasons: List<Reason>,
)

/** Why a latency is not to be trusted. */
@Serializable
data class Reason(
    val code: String,
    val text: String,
)
