"""From a model under quantization-aware training to its int8 files and what they answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.compression.qat import QatModel
from edgecls.converters.onnx.convert import float_onnx
from edgecls.converters.onnx.qdq import emit_qdq
from edgecls.converters.tflite.convert import float_tflite
from edgecls.converters.tflite.metadata import add_signature
from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.models import load_model
from edgecls.models.layer_values import layer_values
from edgecls.quantization.learned import LearnedRanges, quantize_learned
from edgecls.quantization.parameters import read_parameters
from edgecls.system.extras import require


@dataclass(frozen=True)
class Int8Files:
    """TFLite and ONNX of one variant, and the float TFLite they were made from."""

    float_tflite: bytes
    tflite: bytes
    onnx: Any
    learned: LearnedRanges


def int8_files(qat: QatModel, inputs: np.ndarray, folder: Path, *, per_channel: bool = True) -> Int8Files:
    """As `edgecls convert` makes them of a variant: through the saved float model and the learned ranges."""
    path = folder / "model.keras"
    qat.settle()
    qat.float_model().save(path)
    loaded, ranges = load_model(path), qat.ranges()
    floats = frozenset(qat.plan.float_calls)
    learned = LearnedRanges(ranges, inputs, layer_values(loaded, {*ranges, *floats}, inputs), floats, per_channel=per_channel)
    graph = TFLiteGraph(add_signature(float_tflite(loaded.freeze(folder))))
    quantized = quantize_learned(graph, learned)
    return Int8Files(
        graph.file,
        quantized.model,
        emit_qdq(float_onnx(graph), read_parameters(quantized.model), quantized.float_layers),
        learned,
    )


def qat_scores(qat: QatModel, inputs: np.ndarray) -> np.ndarray:
    """Scores [n, outputs] of the model that rounds."""
    call = require("tensorflow").function(lambda batch: qat.model(batch, training=False), autograph=False)
    return np.concatenate([call(inputs[start : start + 16]).numpy() for start in range(0, len(inputs), 16)])


def tflite_scores(model: bytes, inputs: np.ndarray) -> np.ndarray:
    """Scores [n, outputs] of a TFLite file with float input and output."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    scores = []
    for image in inputs:
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        scores.append(interpreter.get_tensor(target)[0].copy())
    return np.stack(scores)


def onnx_scores(model: Any, inputs: np.ndarray) -> np.ndarray:
    """Scores [n, outputs] of an ONNX model."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([np.asarray(session.run(None, {"image": image[None]})[0]) for image in inputs])


def train_a_step(qat: QatModel, inputs: np.ndarray) -> None:
    """One step of gradient descent on labels drawn at random."""
    tf = require("tensorflow")
    labels = np.random.default_rng(5).integers(0, qat.model.output_shape[-1], len(inputs))

    @tf.function(autograph=False)
    def step() -> Any:
        with tf.GradientTape() as tape:
            scores = qat.model(inputs, training=True)
            loss = -tf.reduce_mean(tf.math.log(tf.gather(scores, labels, batch_dims=1) + 1e-7))
        gradients = tape.gradient(loss, qat.model.trainable_variables)
        for variable, gradient in zip(qat.model.trainable_variables, gradients, strict=True):
            variable.assign_sub(1e-6 * gradient)
        return loss

    assert np.isfinite(step().numpy())
