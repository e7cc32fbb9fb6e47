"""ONNX files with channels first and a fixed number of images, read back from the file and run by onnxruntime alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from edgecls.converters.onnx.input import with_input
from edgecls.errors import ConversionError, InputError
from edgecls.records.artifact import Manifest
from edgecls.records.image_spec import ImageSpec
from edgecls.runners import open_runner
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert


def network(keras: Any) -> Any:
    """Rescaled per channel, so that something stands between the input and the first convolution."""
    layers = keras.layers
    inputs = keras.Input((16, 12, 3))
    value = layers.Rescaling([1 / 60, 1 / 50, 1 / 40], [-1.0, -2.0, -1.5])(inputs)
    value = layers.Conv2D(8, 3, padding="same", activation="relu")(value)
    value = layers.Add()([value, layers.DepthwiseConv2D(3, padding="same")(value)])
    value = layers.MaxPooling2D()(value)
    value = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu")(value))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(value))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "m.keras"
    network(require("keras")).save(path)
    images = np.random.default_rng(1).integers(0, 256, (24, 16, 12, 3), np.uint8)
    np.savez(path.with_name("images.npz"), x=images)
    return path


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Manifest]]:
    """Converts to ONNX with options, each set of them once."""
    folders: dict[str, tuple[Path, Manifest]] = {}

    def make(**options: Any) -> tuple[Path, Manifest]:
        key = json.dumps(options, sort_keys=True)
        if key not in folders:
            folder = tmp_path_factory.mktemp("artifacts")
            images = source.with_name("images.npz")
            manifest = convert(ConvertOptions(model=source, output=folder, targets=("onnx",), calibration=images, **options))
            folders[key] = folder, manifest
        return folders[key]

    return make


def transposes(path: Path) -> list[str]:
    return [node.output[0] for node in onnx.load(path).graph.node if node.op_type == "Transpose"]


@pytest.mark.parametrize("scheme", ["float32", "float16", "int8"])
def test_channels_first(made: Callable[..., tuple[Path, Manifest]], scheme: str) -> None:
    (first, manifest), (last, _) = made(onnx_layout="nchw"), made()
    path = first / f"base-onnx-{scheme}.onnx"
    assert [artifact.status for artifact in manifest.artifacts] == ["ok"] * 3
    assert all(artifact.requested.onnx_layout == "nchw" for artifact in manifest.artifacts)
    assert any("NCHW [N, 3, 16, 12]" in note for note in manifest.notes)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, 16, 12]
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 12, 3)).astype(np.float32)
    other = onnxruntime.InferenceSession(last / path.name, providers=["CPUExecutionProvider"])
    found = np.asarray(session.run(None, {"image": images.transpose(0, 3, 1, 2)})[0])
    # the same operations on the same values: sums of a convolution may be added in another order, which int8 codes may turn into a step
    assert np.abs(found - np.asarray(other.run(None, {"image": images})[0])).max() <= (2e-2 if scheme == "int8" else 2e-3)
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert entries["input_layout"] == "NCHW"
    assert json.loads(entries["edgecls"])["image_spec"]["layout"] == "CHW"
    assert open_runner(path).spec.input_shape == (3, 16, 12)


def test_nothing_is_transposed_any_more(made: Callable[..., tuple[Path, Manifest]]) -> None:
    for name in ("base-onnx-float32.onnx", "base-onnx-int8.onnx"):
        assert len(transposes(made()[0] / name)) == 1  # to channels first, once
        assert transposes(made(onnx_layout="nchw")[0] / name) == []


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_number_of_images(made: Callable[..., tuple[Path, Manifest]], batch: int) -> None:
    folder, manifest = made(onnx_batch=batch, onnx_layout="nchw")
    assert [artifact.status for artifact in manifest.artifacts] == ["ok"] * 3
    assert any(f"{batch} image" in note for note in manifest.notes)
    for artifact in manifest.artifacts:
        session = onnxruntime.InferenceSession(folder / artifact.path, providers=["CPUExecutionProvider"])
        assert session.get_inputs()[0].shape == [batch, 3, 16, 12]
        images = np.random.default_rng(0).integers(0, 256, (batch, 3, 16, 12)).astype(np.float32)
        assert np.asarray(session.run(None, {"image": images})[0]).shape == (batch, 5)


def test_one_model_alone_takes_several_images() -> None:
    spec = ImageSpec(height=4, width=4, channels=3)
    shape = [1, 4, 4, 3]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["image"], ["scores"])],
        "g",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, shape)],
    )
    fixed = onnx.helper.make_model(graph)
    for batch in (2, "free"):
        with pytest.raises(ConversionError, match="number of images"):
            with_input(fixed, spec, None, batch)  # type: ignore[arg-type]
    assert with_input(fixed, spec, None, 1).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


@pytest.mark.parametrize(
    ("option", "value", "message"), [("layout", "chwn", "among nhwc, nchw"), ("batch", "many", "a number of images, or free")]
)
def test_words_that_are_none(source: Path, edgecls: Callable[..., Any], option: str, value: str, message: str) -> None:
    result = edgecls("convert", source, f"--onnx-{option}", value)
    assert result.exit_code == 2
    assert message in result.stderr


def test_what_nothing_would_heed(source: Path, tmp_path: Path) -> None:
    options: dict[str, Any]
    for options, message in (
        ({"onnx_batch": 0}, "between 1 and 1024"),
        ({"onnx_batch": 2, "targets": ("tflite",)}, "the target onnx"),
    ):
        with pytest.raises(InputError, match=message):
            convert(ConvertOptions(model=source, output=tmp_path / "out", **options))


def test_a_flat_input_has_no_channels(tmp_path: Path) -> None:
    keras = require("keras")
    keras.Sequential([keras.Input((64,)), keras.layers.Dense(3)]).save(tmp_path / "m.keras")
    options = ConvertOptions(model=tmp_path / "m.keras", output=tmp_path / "out", targets=("onnx",), onnx_layout="nchw")
    with pytest.raises(InputError, match="axis of channels"):
        convert(options)


def test_diagnose_takes_the_axes_of_the_files(
    made: Callable[..., tuple[Path, Manifest]], source: Path, edgecls: Callable[..., Any]
) -> None:
    options = ("--artifact", "base-onnx-int8", "--data", source.with_name("images.npz"))
    result = edgecls("diagnose", made(onnx_layout="nchw")[0], *options)
    assert result.exit_code == 0, result.stderr
    refused = edgecls("diagnose", made(onnx_batch=4, onnx_layout="nchw")[0], *options)
    assert refused.exit_code == 2
    assert "one image at a time" in refused.stderr
