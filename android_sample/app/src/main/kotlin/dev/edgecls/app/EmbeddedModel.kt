package dev.edgecls.app

import android.content.res.AssetManager
import dev.edgecls.core.Artifact
import dev.edgecls.core.Contract
import dev.edgecls.core.Golden
import dev.edgecls.core.OpenArtifact
import dev.edgecls.core.Picture
import dev.edgecls.core.SampleException
import java.io.IOException
import java.security.MessageDigest

/** What `edgecls embed` put into this app's assets. */
class EmbeddedModel(
    private val assets: AssetManager,
) {
    /** Labels, preprocessing and artifacts. */
    val contract: Contract = Contract.read(text(Contract.FILE))

    /** The golden set, where one was embedded. */
    fun golden(): Golden? = contract.golden?.let { Golden.read(text(it)) }

    /**
     * The picture in one of the golden set's files.
     *
     * @throws SampleException it cannot be read.
     */
    fun picture(file: String): Picture = readPicture(content(file))

    /**
     * Open an artifact in the engine of its target.
     *
     * @throws SampleException its file is damaged, or its engine refuses it.
     */
    fun open(
        artifact: Artifact,
        threads: Int,
    ): OpenArtifact {
        val engine =
            ENGINES[artifact.target]
                ?: throw SampleException("This app has no engine for ${artifact.target} files: embed another one.")
        val content = content(artifact.file)
        if (sha256(content) != artifact.sha256) {
            throw SampleException("${artifact.file} is damaged: ${Contract.FILE} describes another. Run `edgecls embed` again.")
        }
        return engine.open(artifact, content, threads)
    }

    private fun text(file: String) = content(file).decodeToString()

    private fun content(file: String): ByteArray =
        try {
            assets.open("$FOLDER/$file").use { it.readBytes() }
        } catch (error: IOException) {
            throw SampleException("$FOLDER/$file is not in this app: put it there with `edgecls embed`, and build the app again.", error)
        }

    private fun sha256(content: ByteArray) = MessageDigest.getInstance("SHA-256").digest(content).joinToString("") { "%02x".format(it) }

    private companion object {
        const val FOLDER = "edgecls"
        val ENGINES = mapOf("tflite" to LiteRtEngine, "onnx" to OnnxEngine)
    }
}
