"""What `convert_speed.py` compares with: each library's documented calls, one after another, in one process.

    python benchmarks/_documented_calls.py MODEL.keras IMAGES.npz OUT

Writes the eight artifacts to OUT and prints the seconds of each step as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main(model_path: Path, images_path: Path, out: Path) -> None:
    """Make everything; the model is the Keras 3 file, the images are uint8 [N, 224, 224, 3]."""
    clock = _Clock()
    import numpy as np

    with clock("import tensorflow, keras"):
        import keras
        import tensorflow as tf
    with clock("load"):
        model = keras.models.load_model(model_path)
        images = np.load(images_path)["x_train"].astype(np.float32) / 127.5 - 1

    def representative() -> Iterator[list[np.ndarray]]:
        for image in images:
            yield [image[None]]

    for scheme in ("float32", "float16", "dynamic", "int8"):
        with clock(f"tflite {scheme}"):
            (out / f"{scheme}.tflite").write_bytes(_tflite(tf, model, scheme, representative))
    with clock("onnx float32"):
        _onnx(tf, model, out / "float32.onnx")
    with clock("onnx int8"):
        onnx_int8(out / "float32.onnx", out / "int8.onnx", images)
    with clock("coreml float16"):
        package = _coreml(tf, model, out / "float16.mlpackage")
    with clock("coreml weight8"):
        _coreml_weight8(package, out / "weight8.mlpackage")
    print(json.dumps(clock.seconds))


def _tflite(tf: Any, model: Any, scheme: str, representative: Any) -> bytes:
    """https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/post_training_quantization"""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if scheme != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if scheme == "int8":
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()


def _onnx(tf: Any, model: Any, path: Path) -> None:
    """https://github.com/onnx/tensorflow-onnx#python-api-reference"""
    import tf2onnx

    signature = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")]
    tf2onnx.convert.from_function(tf.function(model, input_signature=signature), input_signature=signature, output_path=str(path))


def onnx_int8(path: Path, out: Path, images: Any, *, unsigned: bool = False) -> None:
    """https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html

    Args:
        images: model inputs [n, …].
        unsigned: activations as uint8 (U8S8); the default is int8 (S8S8).
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self._images = iter(images)

        def get_next(self) -> dict[str, Any] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            image = next(self._images, None)
            return None if image is None else {"image": image[None]}

    prepared = path.with_suffix(".prepared.onnx")
    quant_pre_process(path, prepared)
    activations = QuantType.QUInt8 if unsigned else QuantType.QInt8
    quantize_static(prepared, out, Images(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=activations)


def _coreml(tf: Any, model: Any, path: Path) -> Any:
    """https://apple.github.io/coremltools/docs-guides/source/convert-tensorflow-2-models.html, from a concrete function: from a Keras 3
    model itself the conversion fails."""
    import coremltools as ct

    shape = (1, *model.input_shape[1:])
    concrete = tf.function(model).get_concrete_function(tf.TensorSpec(shape, tf.float32, name="image"))
    package: Any = ct.convert(
        [concrete],
        source="tensorflow",
        inputs=[ct.ImageType(name="image", shape=shape, scale=1 / 127.5, bias=[-1, -1, -1])],
        classifier_config=ct.ClassifierConfig([f"class_{index}" for index in range(model.output_shape[-1])]),
        minimum_deployment_target=ct.target.iOS16,
    )
    package.save(str(path))
    return package


def _coreml_weight8(package: Any, path: Path) -> None:
    """https://apple.github.io/coremltools/docs-guides/source/opt-quantization-api.html"""
    import coremltools.optimize.coreml as cto

    config = cto.OptimizationConfig(global_config=cto.OpLinearQuantizerConfig(mode="linear_symmetric"))
    compressed: Any = cto.linear_quantize_weights(package, config)
    compressed.save(str(path))


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, step: str) -> _Clock:
        self._step = step
        return self

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.seconds[self._step] = round(time.monotonic() - self._start, 2)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
