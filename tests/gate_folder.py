"""An artifacts folder for the gate: real ONNX files of a chosen width, a manifest that tells of them, and results."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecls.formats import file_sizes, sha256
from edgecls.records.accuracy import Accuracy, Flip, Flips
from edgecls.records.artifact import Artifact, Manifest, Requested, Source
from edgecls.records.image_spec import ImageSpec
from edgecls.records.latency import Doubt, Latency, Reason, Validity
from edgecls.records.measurement import Measurement
from edgecls.records.report import Environment, Report

MADE = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
ENVIRONMENT = Environment(platform="Linux", machine="x86_64", processor="a processor", cores=2, memory_bytes=1 << 34)
FLOAT, INT8, CLASSES, IMAGES = "base-onnx-float32", "base-onnx-int8", 10, 1000


def make_folder(folder: Path, widths: dict[str, int], **changes: object) -> Manifest:
    """One ONNX file of two layers for each name; the first layer has `width` outputs. `changes` to the manifest's fields."""
    folder.mkdir(parents=True, exist_ok=True)
    artifacts = [_artifact(folder, name, width) for name, width in widths.items()]
    manifest = Manifest(
        created=MADE,
        edgecls_version="0.1.0",
        source=Source(name="digits.keras", sha256="a" * 64, format="keras3"),
        image_spec=ImageSpec(height=4, width=4, channels=3),
        labels=[f"class_{index}" for index in range(CLASSES)],
        labels_source="default",
        output_kind="logits",
        outputs=CLASSES,
        toolchain={},
        artifacts=artifacts,
    ).model_copy(update=changes)
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def write_results(folder: Path, manifest: Manifest, rows: dict[str, Measurement], **changes: object) -> Report:
    """results.json of these rows."""
    report = Report(
        created=MADE + datetime.timedelta(minutes=1),
        edgecls_version="0.1.0",
        source_sha256=manifest.source.sha256,
        environment=ENVIRONMENT,
        measurements=list(rows.values()),
    ).model_copy(update=changes)
    (folder / "results.json").write_text(report.model_dump_json(), encoding="utf-8")
    return report


def row(
    name: str,
    *,
    top1: float = 0.9,
    lost: range = range(0),
    gained: range = range(0),
    p50_ms: float = 1.0,
    doubt: str = "",
    code: Doubt = "machine_loaded",
) -> Measurement:
    """One measurement; `lost` and `gained` are the images that changed sides against the float32 artifact."""
    listed = [Flip(index=index, label=1, reference_winner=1, winner=2) for index in lost]
    listed += [Flip(index=index, label=1, reference_winner=2, winner=1) for index in gained]
    flips = Flips(
        reference=FLOAT, images=IMAGES, count=len(listed), lost=len(lost), gained=len(gained), mcnemar_p=1.0, images_listed=listed
    )
    reasons = [Reason(code=code, text=doubt)] if doubt else []
    return Measurement(
        artifact=name,
        target="onnx",
        scheme=name.rpartition("-")[2],
        accuracy=Accuracy(images=IMAGES, top1=top1),
        flips=None if name == FLOAT else flips,
        latency=Latency(
            runs=50, p50_ms=p50_ms, p90_ms=p50_ms, p99_ms=p50_ms, min_ms=p50_ms, max_ms=p50_ms,
            validity=Validity(verdict="invalid" if doubt else "valid", reasons=reasons),
        ),
    )  # fmt: skip


def _artifact(folder: Path, name: str, width: int) -> Artifact:
    path = folder / f"{name}.onnx"
    _save_classifier(path, width)
    size, compressed = file_sizes(path)
    target, scheme = name.split("-")[-2:]
    return Artifact.model_validate(
        {
            "name": name,
            "path": path.name,
            "target": target,
            "scheme": scheme,
            "requested": Requested.model_validate({"target": target, "scheme": scheme}),
            "size_bytes": size,
            "compressed_bytes": compressed,
            "sha256": sha256(path),
        }
    )


def _save_classifier(path: Path, width: int) -> None:
    generator = np.random.default_rng(1)
    weights = {"wide": generator.standard_normal((48, width)), "head": generator.standard_normal((width, CLASSES))}
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], name="flatten"),
        helper.make_node("MatMul", ["flat", "wide"], ["features"], name="wide"),
        helper.make_node("MatMul", ["features", "head"], ["scores"], name="head"),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 4, 4, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
