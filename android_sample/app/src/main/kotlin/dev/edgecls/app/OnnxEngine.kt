package dev.edgecls.app

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtLoggingLevel
import ai.onnxruntime.OrtSession
import dev.edgecls.core.Artifact
import dev.edgecls.core.Engine
import dev.edgecls.core.EngineUsed
import dev.edgecls.core.OpenArtifact
import dev.edgecls.core.SampleException

/** ONNX Runtime on the CPU, for `.onnx` files. */
object OnnxEngine : Engine {
    override fun open(
        artifact: Artifact,
        content: ByteArray,
        threads: Int,
    ): OpenArtifact =
        try {
            val environment = OrtEnvironment.getEnvironment()
            val options = OrtSession.SessionOptions()
            options.setIntraOpNumThreads(threads)
            options.setInterOpNumThreads(1)
            options.setExecutionMode(OrtSession.SessionOptions.ExecutionMode.SEQUENTIAL)
            options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR)
            OpenSession(artifact, environment, environment.createSession(content, options))
        } catch (error: OrtException) {
            throw SampleException("ONNX Runtime does not take ${artifact.file}: ${error.message}", error)
        } catch (error: LinkageError) {
            throw SampleException("ONNX Runtime is not there for this processor: choose a TFLite artifact.", error)
        }
}

private class OpenSession(
    artifact: Artifact,
    environment: OrtEnvironment,
    private val session: OrtSession,
) : OpenArtifact {
    private val input = ModelBuffer(artifact.input)
    private val output = ModelBuffer(artifact.output)
    private val inputs = mapOf(artifact.input.name to tensor(environment, input, artifact.input.dtype))
    private val outputs = mapOf(artifact.output.name to tensor(environment, output, artifact.output.dtype))

    override val used = EngineUsed("ONNX Runtime", environment.version, "CPUExecutionProvider", verified = false)

    override fun prepare(input: FloatArray) = this.input.write(input)

    override fun invoke() = session.run(inputs, outputs).close()

    override fun scores() = output.read()

    override fun close() {
        (inputs.values + outputs.values).forEach(OnnxTensor::close)
        session.close()
    }

    private fun tensor(
        environment: OrtEnvironment,
        buffer: ModelBuffer,
        dtype: String,
    ): OnnxTensor =
        when (dtype) {
            "float32" -> OnnxTensor.createTensor(environment, buffer.bytes, buffer.shape, OnnxJavaType.FLOAT)
            "int8" -> OnnxTensor.createTensor(environment, buffer.bytes, buffer.shape, OnnxJavaType.INT8)
            else -> OnnxTensor.createTensor(environment, buffer.bytes, buffer.shape, OnnxJavaType.UINT8)
        }
}
