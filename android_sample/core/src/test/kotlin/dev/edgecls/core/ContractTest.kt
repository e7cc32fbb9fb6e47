package dev.edgecls.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class ContractTest {
    private val text =
        """
        {"schema_version": 1, "model": "m", "edgecls_version": "1", "labels": ["a", "b"], "output_kind": "softmax", "new": {},
         "image_spec": {"height": 2, "width": 3, "channels": 1},
         "artifacts": [{"name": "onnx-float32", "file": "m.onnx", "target": "onnx", "scheme": "float32", "size_bytes": 5,
           "sha256": "0", "input": {"name": "x", "dtype": "float32", "shape": [1, 2, 3, 1], "quantization": null},
           "output": {"name": "y", "dtype": "float32", "shape": [1, 2]}}], "golden": null}
        """

    @Test
    fun `what a file leaves out is as in old files`() {
        val contract = Contract.read(text)
        assertEquals(Fit.SQUEEZE, contract.imageSpec.fit)
        assertEquals(Filter.BILINEAR_ANTIALIASED, contract.imageSpec.filter)
        assertEquals("onnx-float32", contract.artifacts.single().name)
    }

    @Test
    fun `an unknown version is a sentence`() {
        val newer = text.replace("\"schema_version\": 1", "\"schema_version\": 7")
        val error = assertThrows(SampleException::class.java) { Contract.read(newer) }
        assertTrue(error.message, error.message!!.contains("schema version 7, and this app knows 1"))
    }

    @Test
    fun `a damaged file is a sentence`() {
        for (damaged in listOf("", "[]", text.dropLast(40), text.replace("softmax", "argmax"), text.replace("\"labels\"", "\"names\""))) {
            val error = assertThrows(SampleException::class.java) { Contract.read(damaged) }
            assertTrue(error.message, error.message!!.startsWith("edgecls.json "))
        }
    }

    @Test
    fun `the best classes come first, of equal ones the earlier`() {
        val labels = listOf("a", "b", "c")
        val found = topClasses(floatArrayOf(0.25f, 0.5f, 0.25f), OutputKind.SOFTMAX, labels, 2)
        assertEquals(listOf(Answer("b", 0.5), Answer("a", 0.25)), found)
        assertEquals(listOf("no", "yes"), topClasses(floatArrayOf(0.25f), OutputKind.SIGMOID, listOf("no", "yes"), 3).map { it.label })
        assertEquals(0.5, topClasses(floatArrayOf(9f, 9f), OutputKind.LOGITS, labels.take(2), 1).single().probability, 0.0)
        assertThrows(SampleException::class.java) { topClasses(floatArrayOf(1f, 0f), OutputKind.SOFTMAX, labels, 1) }
    }

    @Test
    fun `integers are those of the host`() {
        val quantization = Quantization(0.5, -3)
        val found = quantization.quantize(floatArrayOf(0f, 0.25f, 0.75f, 1000f, -1000f), -128, 127)
        assertEquals(listOf(-3, -3, -1, 127, -128), found.toList()) // ties to even: 0.5 steps to 0, 1.5 steps to 2
        assertEquals(2.5f, quantization.dequantize(2), 0f)
    }
}
