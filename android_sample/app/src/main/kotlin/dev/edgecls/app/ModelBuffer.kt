package dev.edgecls.app

import dev.edgecls.core.Quantization
import dev.edgecls.core.SampleException
import dev.edgecls.core.Tensor
import dev.edgecls.core.dequantize
import dev.edgecls.core.quantize
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Memory outside Java's heap that holds a tensor, which engines read and write without another copy. */
class ModelBuffer(
    private val tensor: Tensor,
) {
    private val count = tensor.shape.fold(1) { product, side -> product * side }
    private val kind =
        Kind.entries.find { it.dtype == tensor.dtype }
            ?: throw SampleException("${tensor.name} holds ${tensor.dtype}, which this app does not know: embed another artifact.")
    private val quantization = tensor.quantization ?: Quantization(1.0, 0)

    /** The engine's side. */
    val bytes: ByteBuffer = ByteBuffer.allocateDirect(count * kind.size).order(ByteOrder.nativeOrder())

    /** The shape as ONNX Runtime wants it. */
    val shape: LongArray get() = tensor.shape.map { it.toLong() }.toLongArray()

    /** Fill it with real numbers, quantized where the tensor holds integers. */
    fun write(values: FloatArray) {
        bytes.rewind()
        if (kind == Kind.FLOAT) {
            bytes.asFloatBuffer().put(values)
        } else {
            for (integer in quantization.quantize(values, kind.low, kind.high)) bytes.put(integer.toByte())
            bytes.rewind()
        }
    }

    /** The real numbers that it holds. */
    fun read(): FloatArray {
        bytes.rewind()
        if (kind == Kind.FLOAT) return FloatArray(count).also { bytes.asFloatBuffer().get(it) }
        return FloatArray(count) { index ->
            val integer = bytes.get(index).toInt()
            quantization.dequantize(if (kind == Kind.UINT8) integer and 0xff else integer)
        }
    }

    private enum class Kind(
        val dtype: String,
        val size: Int,
        val low: Int,
        val high: Int,
    ) {
        FLOAT("float32", 4, 0, 0),
        INT8("int8", 1, -128, 127),
        UINT8("uint8", 1, 0, 255),
    }
}
