package dev.edgecls.core

import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

/** What the user reads on the screen: one sentence. */
open class SampleException(
    message: String,
    cause: Throwable? = null,
) : Exception(message, cause)

/** What the scores of a model are. */
@Serializable
enum class OutputKind {
    @SerialName("softmax")
    SOFTMAX,

    @SerialName("sigmoid")
    SIGMOID,

    @SerialName("logits")
    LOGITS,
}

/** How an integer stands for a real number: `(integer - zeroPoint) * scale`. */
@Serializable
data class Quantization(
    val scale: Double,
    @SerialName("zero_point") val zeroPoint: Int,
)

/** Input or output of an artifact. */
@Serializable
data class Tensor(
    val name: String,
    val dtype: String,
    val shape: List<Int>,
    val quantization: Quantization? = null,
)

/** One converted file of the model. */
@Serializable
data class Artifact(
    val name: String,
    val file: String,
    val target: String,
    val scheme: String,
    @SerialName("size_bytes") val sizeBytes: Long,
    val sha256: String,
    val input: Tensor,
    val output: Tensor,
)

/**
 * What `edgecls embed` put into the app: labels, preprocessing and artifacts of one model.
 *
 * @property golden file of the pictures with known pixels and scores, if there are some.
 */
@Serializable
data class Contract(
    @SerialName("schema_version") val schemaVersion: Int,
    val model: String,
    @SerialName("edgecls_version") val edgeclsVersion: String,
    @SerialName("source_sha256") val sourceSha256: String? = null,
    val labels: List<String>,
    @SerialName("output_kind") val outputKind: OutputKind,
    @SerialName("image_spec") val imageSpec: ImageSpec,
    val artifacts: List<Artifact>,
    val golden: String? = null,
) {
    companion object {
        /** File of the contract in the folder that `edgecls embed` writes. */
        const val FILE = "edgecls.json"
        private const val VERSION = 1

        /**
         * The contract in [text].
         *
         * @throws SampleException it is damaged, or of a version that this app does not know.
         */
        fun read(text: String): Contract {
            val contract = readVersioned(text, FILE, VERSION, serializer())
            val channels = contract.imageSpec.channels
            if (channels !in PICTURES) throw SampleException("The model takes $channels channels, and pictures have 1 or 3.")
            return contract
        }

        /** Channels of grey and of coloured pictures. */
        private val PICTURES = setOf(1, 3)
    }
}

/** Numbers and texts of files that `edgecls` wrote; fields that this app does not use are left alone. */
internal val json = Json { ignoreUnknownKeys = true }

internal fun <T> readVersioned(
    text: String,
    file: String,
    known: Int,
    serializer: KSerializer<T>,
): T =
    try {
        val content = json.parseToJsonElement(text)
        val found = content.jsonObject["schema_version"]?.jsonPrimitive?.contentOrNull
        if (found != known.toString()) {
            throw SampleException("$file has schema version $found, and this app knows $known: use both of the same release of edgecls.")
        }
        json.decodeFromJsonElement(serializer, content)
    } catch (error: SerializationException) {
        throw damaged(file, error)
    } catch (error: IllegalArgumentException) {
        // what is no object, or no number
        throw damaged(file, error)
    }

private fun damaged(
    file: String,
    error: Exception,
) = SampleException("$file is damaged: run `edgecls embed` again. (${error.message?.lineSequence()?.first()})", error)
