"""Small artifacts made on the spot, and the command line called in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import METADATA_KEY, ArtifactMetadata

SPEC = ImageSpec(height=4, width=4, channels=1, color_order="GRAY", std=(255.0,), provenance="declared", note="as trained")


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """An ONNX file with a record: class `bright` scores the mean pixel 0..1, `dark` its complement, as logits times ten."""
    record = ArtifactMetadata(
        name="base-onnx-float32",
        image_spec=SPEC,
        labels=["dark", "bright"],
        outputs=2,
        output_kind="softmax",
        source_sha256="0" * 64,
        edgecls_version="0.1.0",
    )
    path = tmp_path / "classifier.onnx"
    save_classifier(path, {METADATA_KEY: record.model_dump_json()})
    return path


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """The same file as another tool would have made it: without a record."""
    path = tmp_path / "foreign.onnx"
    save_classifier(path, {})
    return path


def save_classifier(path: Path, properties: dict[str, str]) -> None:
    """softmax(flatten(x) @ w + b) with w = ∓10/16 and b = (10, 0)."""
    weights = np.tile(np.array([-10 / 16, 10 / 16], np.float32), (16, 1))
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"], name="flatten"),
            helper.make_node("Gemm", ["flat", "w", "b"], ["logits"], name="head"),
            helper.make_node("Softmax", ["logits"], ["scores"], name="softmax", axis=-1),
        ],
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 4, 4, 1])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([10, 0], np.float32), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, properties)
    onnx.save(model, path)


@pytest.fixture
def grey(tmp_path: Path) -> Callable[[int], Path]:
    """An image of one grey level."""

    def make(level: int) -> Path:
        path = tmp_path / f"grey{level}.png"
        Image.new("L", (9, 9), level).save(path)
        return path

    return make
