"""Verification of files on images: int8 ones beside each other, on as many images as there are, a few at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecls.converters import Job, Made
from edgecls.data import open_images
from edgecls.evaluation.examination import Questions
from edgecls.records.artifact import Artifact, Requested, Target
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from edgecls.system.worker import Worker
from edgecls.workflow.verify import Verifier

SPEC = ImageSpec(height=8, width=8, channels=1, color_order="GRAY")
IMAGES, CLASSES = 256, 10
RECORD = ArtifactMetadata(
    name="base",
    image_spec=SPEC,
    labels=[f"class_{index}" for index in range(CLASSES)],
    outputs=CLASSES,
    output_kind="logits",
    source_sha256="a" * 64,
    edgecls_version="0.1.0",
    source_name="digits.keras",
)


@pytest.fixture(scope="module")
def digits():
    """Images, and the weights of a linear classifier that fits them, kept small so that int8 holds them well."""
    images = open_images(Path("digits"), SPEC, role="data", limit=IMAGES)
    pixels, labels = images.pixels.read(0, IMAGES), images.labels
    flat = pixels.reshape(IMAGES, -1).astype(np.float64)
    return images, np.linalg.solve(flat.T @ flat + 1e5 * np.eye(flat.shape[1]), flat.T @ np.eye(CLASSES)[labels])


def write_int8(path: Path, weights: np.ndarray) -> Path:
    """A classifier of pixels whose kernel is int8."""
    scale = np.float32(np.abs(weights).max() / 127)
    codes = np.rint(weights / scale).astype(np.int8)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("DequantizeLinear", ["codes", "scale"], ["kernel"]),
        helper.make_node("MatMul", ["flat", "kernel"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 8, 8, 1])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(codes, "codes"), numpy_helper.from_array(np.asarray(scale), "scale")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def verified(folder: Path, digits, kernels: dict[Target, np.ndarray]) -> dict[str, Artifact]:
    """The rows of int8 files with these kernels, target by target; the verdict does not ask for the format of a file."""
    images, weights = digits
    scores = (images.pixels.read(0, IMAGES).reshape(IMAGES, -1) @ weights).astype(np.float32)
    questions = Questions(images.pixels, "images", [scores])
    with Worker() as worker:
        verifier = Verifier(RECORD, worker, None, questions, questions)
        rows = []
        for target, kernel in kernels.items():
            made = Made(
                Job(target, "int8"), write_int8(folder / f"{target}.onnx", kernel), Requested(target=target, scheme="int8"), 0.0
            )
            rows.append(verifier.finish(made, verifier.start(made)))
        return {row.target: row for row in verifier.hold_together(rows)}


def test_an_int8_file_that_its_sibling_contradicts_is_rejected(tmp_path: Path, digits) -> None:
    weights = digits[1]
    clipped = np.clip(weights, *np.quantile(weights, (0.1, 0.9)))  # as products that saturate are
    alone = verified(tmp_path, digits, {"onnx": clipped})["onnx"]
    assert alone.status == "ok", alone.reason
    rows = verified(tmp_path, digits, {"onnx": clipped, "tflite": weights})
    assert (rows["tflite"].status, rows["onnx"].status) == ("ok", "rejected")
    assert "same winner as base-tflite-int8, which holds the same codes, on " in rows["onnx"].reason
    parity = rows["onnx"].parity
    assert parity is not None
    assert (parity.verdict, parity.reason, parity.samples) == ("failed", rows["onnx"].reason, IMAGES)
    assert rows["onnx"].path == "onnx.onnx.rejected"
