"""Files of other tools whose sums some processors clip: what bench and inspect say of them."""

from __future__ import annotations

import datetime
import platform
from pathlib import Path

import numpy as np
import pytest

from edgecls.crew import BenchOptions
from edgecls.formats import describe, file_sizes, sha256
from edgecls.records.artifact import Artifact, Manifest, Requested, Source
from edgecls.records.image_spec import ImageSpec
from edgecls.reporting.description import description_tables
from edgecls.reporting.measurements import report_grid
from edgecls.system.processor import instruction_sets, may_saturate
from edgecls.workflow.bench import BenchRequest, bench
from edgecls.workflow.diagnose import DiagnoseRequest, diagnose
from quantized_onnx import CLASSES, SIZE, quantize

IMAGES = 96
QUICK = BenchOptions(min_seconds=0.02, min_runs=5, warmup_seconds=0.0, least_rounds=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random images."""
    path = tmp_path_factory.mktemp("images") / "images.npz"
    pixels = np.random.default_rng(2).integers(0, 256, (IMAGES, SIZE, SIZE, 3)).astype(np.uint8)
    np.savez(path, x=pixels, y=np.arange(IMAGES) % CLASSES)
    return path


def winners(path: Path, data: Path, exact: str) -> np.ndarray:
    """First winner of each image, by an engine opened as its documentation tells."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", exact)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    pixels = np.load(data)["x"].astype(np.float32) / 255
    return np.array([session.run(None, {"image": image[None]})[0].argmax() for image in pixels])


def test_bench_says_on_how_many_images_clipping_changes_the_winner(tmp_path: Path, data: Path) -> None:
    files = (quantize(tmp_path, "QDQ"), quantize(tmp_path, "QOperator"), tmp_path / "float.onnx")
    report = bench(BenchRequest(files=files, data=data, output=tmp_path / "results.json", options=QUICK))
    notes = [note for note in report_grid(report).notes if "clips its sums" in note]
    rows = {row.artifact: row for row in report.measurements}
    assert rows["float"].exact_flips is None
    for path in files[:2]:
        found, changed = rows[path.stem].exact_flips, winners(path, data, "0") != winners(path, data, "1")
        if not may_saturate(platform.machine(), instruction_sets()):
            assert found is None
            assert not changed.any()
            continue
        assert found is not None
        assert (found.reference, found.images) == ("exact", IMAGES)
        assert [flip.index for flip in sorted(found.images_listed, key=lambda flip: flip.index)] == np.flatnonzero(
            changed
        ).tolist()
        assert any(
            f"{path.stem}: " in note and f"changes the winner on {found.count} of {IMAGES} images" in note for note in notes
        )


def test_inspect_says_that_a_file_answers_differently_on_some_processors(tmp_path: Path) -> None:
    texts = [str(part) for part in description_tables(describe(quantize(tmp_path, "QDQ")))]
    line = next(text for text in texts if text.startswith("answers: "))
    assert "differ on x86-64 processors without VNNI" in line
    assert "3 operations from first on" in line
    sound = [str(part) for part in description_tables(describe(tmp_path / "float.onnx"))]
    assert not [text for text in sound if text.startswith("answers: ")]


def test_diagnose_names_clipping_before_any_other_cause(tmp_path: Path, data: Path) -> None:
    path = quantize(tmp_path, "QDQ")
    size, compressed = file_sizes(tmp_path / "float.onnx")
    reference = Artifact(
        name="base-onnx-float32",
        path="float.onnx",
        target="onnx",
        scheme="float32",
        requested=Requested(target="onnx", scheme="float32"),
        size_bytes=size,
        compressed_bytes=compressed,
        sha256=sha256(tmp_path / "float.onnx"),
    )
    manifest = Manifest(
        created=datetime.datetime.now(datetime.UTC),
        edgecls_version="0.1.0",
        source=Source(name="a.keras", sha256="a" * 64, format="keras3"),
        image_spec=ImageSpec(height=SIZE, width=SIZE, channels=3, std=(255.0,)),
        labels=[f"class_{index}" for index in range(CLASSES)],
        labels_source="default",
        output_kind="logits",
        outputs=CLASSES,
        toolchain={},
        artifacts=[reference],
    )
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    found = diagnose(DiagnoseRequest(folder=tmp_path, artifact=str(path), data=data))
    changed = winners(path, data, "0") != winners(path, data, "1")
    clips = may_saturate(platform.machine(), instruction_sets())
    assert [advice.kind for advice in found.advice].count("clipped_sums") == clips
    if clips:
        assert found.advice[0].kind == "clipped_sums"
        assert changed.any()
        assert f"of {IMAGES} images" in found.advice[0].text
