package dev.edgecls.app

import dev.edgecls.core.Artifact
import dev.edgecls.core.Engine
import dev.edgecls.core.EngineUsed
import dev.edgecls.core.OpenArtifact
import dev.edgecls.core.SampleException
import org.tensorflow.lite.InterpreterApi
import org.tensorflow.lite.TensorFlowLite
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** LiteRT on the CPU, for `.tflite` files. */
object LiteRtEngine : Engine {
    override fun open(
        artifact: Artifact,
        content: ByteArray,
        threads: Int,
    ): OpenArtifact {
        val file = ByteBuffer.allocateDirect(content.size).order(ByteOrder.nativeOrder())
        file.put(content).rewind()
        return try {
            OpenInterpreter(artifact, InterpreterApi.create(file, InterpreterApi.Options().setNumThreads(threads)))
        } catch (error: IllegalArgumentException) {
            throw SampleException("LiteRT does not take ${artifact.file}: ${error.message}", error)
        } catch (error: IllegalStateException) {
            throw missing(error)
        } catch (error: LinkageError) {
            throw missing(error)
        }
    }

    private fun missing(error: Throwable) = SampleException("LiteRT is not there for this processor: choose an ONNX artifact.", error)
}

private class OpenInterpreter(
    artifact: Artifact,
    private val interpreter: InterpreterApi,
) : OpenArtifact {
    private val input = ModelBuffer(artifact.input)
    private val output = ModelBuffer(artifact.output)

    override val used =
        EngineUsed(
            name = "LiteRT",
            version = TensorFlowLite.runtimeVersion(),
            delegate = "XNNPACK",
            verified = false,
            note = "times include the copies of input and scores",
        )

    override fun prepare(input: FloatArray) = this.input.write(input)

    override fun invoke() {
        input.bytes.rewind()
        output.bytes.rewind()
        interpreter.run(input.bytes, output.bytes)
    }

    override fun scores() = output.read()

    override fun close() = interpreter.close()
}
