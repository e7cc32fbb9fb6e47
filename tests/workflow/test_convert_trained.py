"""A model that tensorflow-model-optimization trained for int8: its ranges are those of the int8 files, without calibration images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.errors import ModelFileError, SchemeError
from edgecls.quantization.parameters import read_parameters
from edgecls.quantization.scales import STEPS, float16_scale
from edgecls.records.artifact import Artifact
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert
from learned_files import tflite_scores

CLASSES = 5
LABELS = np.arange(64) % CLASSES
IMAGES = (np.random.default_rng(0).uniform(0, 0.4, (64, 16, 16, 3)) + 0.15 * LABELS[:, None, None, None]).astype(np.float32)
PRESCRIBED = (1 / 256, 1 / 128)  # scales that the kernels of sigmoid, softmax and tanh have


@pytest.fixture(scope="module")
def trained() -> Any:
    """A tf_keras model with what mobile networks hold, wrapped and trained for a few steps."""
    keras, tfmot = require("tf_keras"), require("tensorflow_model_optimization")
    keras.utils.set_random_seed(1)
    layers = keras.layers
    image = keras.Input((16, 16, 3), name="image")
    first = layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(image))
    first = layers.ReLU(name="relu")(first)
    second = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(first)
    second = layers.ReLU(6.0, name="relu6")(layers.BatchNormalization(name="norm_2")(second))
    total = layers.Add(name="total")([first, layers.Conv2D(8, 1, name="pointwise")(second)])
    joined = layers.MaxPooling2D(name="pool")(layers.Concatenate(name="joined")([total, second]))
    last = layers.Conv2D(8, 3, activation="relu", name="last")(layers.ZeroPadding2D(name="padding")(joined))
    scores = layers.Dense(CLASSES, activation="softmax", name="scores")(layers.GlobalAveragePooling2D(name="mean")(last))
    return fitted(tfmot.quantization.keras.quantize_model(keras.Model(image, scores)))


def fitted(model: Any) -> Any:
    model.compile(require("tf_keras").optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(IMAGES, LABELS, epochs=20, verbose=0)
    return model


def converted(path: Path, **options: Any) -> list[Artifact]:
    return convert(ConvertOptions(model=path, preprocess="0..1", schemes="int8", output=path.parent / "out", **options)).artifacts


def ranges_of(model: Any) -> Iterator[tuple[float, float]]:
    """What tensorflow-model-optimization has learned of each activation."""
    values = {variable.name: variable.numpy() for variable in model.weights}
    for name, low in values.items():
        if name.endswith("_min:0") and "kernel" not in name:
            yield float(low), float(values[name.replace("_min:0", "_max:0")])


@pytest.mark.parametrize(
    ("name", "targets"),
    [("model.h5", ("tflite", "onnx", "coreml")), ("folder", ("tflite", "onnx"))],
)
def test_trained_ranges_reach_every_format(trained: Any, name: str, targets: Any, tmp_path: Path):
    trained.save(str(tmp_path / name))
    artifacts = converted(tmp_path / name, targets=targets)
    assert [artifact.target for artifact in artifacts] == [*targets]
    for artifact in artifacts:
        assert (artifact.status, artifact.requested.estimator) == ("ok", "learned"), artifact.reason
        assert artifact.parity is not None
        assert artifact.parity.verdict == "passed"
    tflite = (tmp_path / "out" / artifacts[0].path).read_bytes()
    learned = [float(float16_scale((high - low) / STEPS)) for low, high in ranges_of(trained)]
    scales = {name: float(item.scale[0]) for name, item in read_parameters(tflite).activations.items()}
    for tensor, scale in scales.items():
        nearest = min(learned, key=lambda value: abs(value - scale))
        # exact but for float32; a sum's is widened by up to 1/40, see `edgecls.quantization.scales`
        assert scale in PRESCRIBED or scale == pytest.approx(nearest, rel=1 / 40 if "total" in tensor else 1e-5), tensor
    expected, found = np.log(trained.predict(IMAGES, verbose=0)), tflite_scores(tflite, IMAGES)
    # Sums in float and in integers round apart where a value lies half-way between two codes: of the logits that is a code or two.
    ahead = np.diff(np.sort(expected, axis=1)[:, -2:], axis=1)[:, 0]
    clear = ahead > 4 * max(learned)
    assert clear.sum() >= 10
    assert (found.argmax(1) == expected.argmax(1))[clear].all()


def test_a_file_that_no_keras_reads_is_refused_in_a_line(trained: Any, tmp_path: Path):
    trained.save(str(tmp_path / "model.keras"))
    with pytest.raises(ModelFileError, match=r"wrapped for int8: .*; where it was made, save it with model\.save\('model\.h5'\)"):
        converted(tmp_path / "model.keras")


def test_calibration_stands_in_for_missing_ranges(partly_trained: Path, tmp_path: Path):
    failed = converted(partly_trained, targets=("tflite",))
    assert failed[0].status == "failed"
    assert re.fullmatch(
        r"expected a learned range for every tensor, found none for \d+ of .*; .*--calibration PATH", failed[0].reason
    )
    np.savez(tmp_path / "images.npz", x=(255 * IMAGES).astype(np.uint8))
    options = ConvertOptions(
        model=partly_trained,
        preprocess="0..1",
        schemes="int8",
        targets=("tflite",),
        calibration=tmp_path / "images.npz",
        output=tmp_path / "out",
    )
    manifest = convert(options)
    assert [artifact.status for artifact in manifest.artifacts] == ["ok"]
    assert any("not the learned ones, of which there is none for" in note for note in manifest.details)


def test_an_estimator_asks_for_calibrated_ranges(trained: Any, tmp_path: Path):
    trained.save(str(tmp_path / "model.h5"))
    np.savez(tmp_path / "images.npz", x=(255 * IMAGES).astype(np.uint8))
    (artifact,) = converted(tmp_path / "model.h5", targets=("tflite",), calibration=tmp_path / "images.npz", estimator="minmax")
    assert (artifact.status, artifact.requested.estimator) == ("ok", "minmax")
    with pytest.raises(SchemeError, match="calibration images"):
        converted(tmp_path / "model.h5", targets=("tflite",), estimator="minmax")


@pytest.fixture
def partly_trained(tmp_path: Path) -> Path:
    """A model of which one convolution alone was trained for int8."""
    keras, tfmot = require("tf_keras"), require("tensorflow_model_optimization")
    layers, annotate = keras.layers, tfmot.quantization.keras.quantize_annotate_layer
    image = keras.Input((16, 16, 3), name="image")
    value = annotate(layers.Conv2D(8, 3, activation="relu", name="conv"))(image)
    value = layers.Conv2D(8, 3, activation="relu", name="other")(value)
    value = layers.Dense(CLASSES, activation="softmax", name="scores")(layers.GlobalAveragePooling2D(name="mean")(value))
    model = fitted(tfmot.quantization.keras.quantize_apply(keras.Model(image, value)))
    model.save(str(tmp_path / "partly.h5"))
    return tmp_path / "partly.h5"
