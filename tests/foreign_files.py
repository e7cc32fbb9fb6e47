"""Files of other tools' making, from a real model: what `formats` must read although edgecls did not write it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np


def tflite_files(keras_file: Path, folder: Path) -> dict[str, Path]:
    """TFLiteConverter's own schemes of the MLPerf Tiny ResNet (32 x 32 x 3, pixels 0..255), and two of litert-quantizer."""
    import tensorflow as tf
    import tf_keras
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = tf_keras.models.load_model(keras_file, compile=False)
    function = tf.function(lambda image: model(image, training=False))  # pyright: ignore[reportOptionalCall]
    image = tf.TensorSpec((1, 32, 32, 3), tf.float32, name="image")
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(image))

    def pixels() -> Iterator[list[np.ndarray]]:
        generator = np.random.default_rng(0)
        for _ in range(8):
            yield [generator.integers(0, 256, (1, 32, 32, 3)).astype(np.float32)]

    def convert(scheme: str) -> bytes:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        converter.optimizations = [] if scheme == "float32" else [tf.lite.Optimize.DEFAULT]
        if scheme == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if scheme.startswith("int8"):
            converter.representative_dataset = pixels
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if scheme == "int8-io":
            converter.inference_input_type = converter.inference_output_type = tf.int8
        return converter.convert()

    files = {scheme: folder / f"{scheme}.tflite" for scheme in ("float32", "float16", "dynamic", "int8", "int8-io")}
    for scheme, path in files.items():
        path.write_bytes(convert(scheme))
    files["behind"] = folder / "behind.tflite"
    files["behind"].write_bytes(_quantized_behind(files["float32"].read_bytes()))
    return files


def _quantized_behind(model: bytes) -> bytes:
    """litert-quantizer's dynamic file: its weights lie behind the FlatBuffer."""
    from litert_quantizer import quantizer, recipe

    from edgecls.converters.tflite.metadata import add_signature

    quantized = quantizer.Quantizer(add_signature(model), recipe.dynamic_wi8_afp32()).quantize().quantized_model
    return bytes(quantized or b"")


def onnx_files(float_tflite: Path, folder: Path) -> dict[str, Path]:
    """The same model by tf2onnx, and onnxruntime's static quantization of that in both of its forms."""
    import tf2onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Pixels(CalibrationDataReader):
        def __init__(self) -> None:
            generator = np.random.default_rng(0)
            self.images = iter([generator.integers(0, 256, (1, 32, 32, 3)).astype(np.float32) for _ in range(4)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.images, None)
            return None if image is None else {"image": image}

    files = {"float32": folder / "float32.onnx", "qdq": folder / "qdq.onnx", "qoperator": folder / "qoperator.onnx"}
    tf2onnx.convert.from_tflite(str(float_tflite), opset=17, output_path=str(files["float32"]))
    quantize_static(files["float32"], files["qdq"], Pixels(), quant_format=QuantFormat.QDQ, per_channel=True)
    quantize_static(files["float32"], files["qoperator"], Pixels(), quant_format=QuantFormat.QOperator, per_channel=True)
    return files
