"""A model of several sigmoids from images with any number of labels to the gate: each step by the set of classes, not by the winner."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score

from edgecls.data import open_images
from edgecls.errors import DataError
from edgecls.records.artifact import Manifest
from edgecls.records.recipe import Recipe
from edgecls.records.report import Report
from edgecls.records.variant import Variant
from edgecls.reporting import merge_reports, report_html, runs_csv
from edgecls.reporting.markdown import report_markdown
from edgecls.runners import open_runner
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert
from edgecls.workflow.compress import CompressOptions, compress
from terminal import Done

EDGECLS = [sys.executable, "-m", "edgecls.cli"]
SIZE, COUNT = 16, 240
COLOURS = ["red", "green", "blue"]


def squares(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images with a square of each colour they are labelled with, and noise: uint8 [N, 16, 16, 3] and multi-hot [N, 3]."""
    generator = np.random.default_rng(seed)
    labels = (generator.random((count, 3)) < 0.4).astype(np.uint8)
    images = generator.integers(0, 120, (count, SIZE, SIZE, 3))
    for image, row in zip(images, labels, strict=True):
        for colour in np.flatnonzero(row):
            top, left = generator.integers(0, SIZE - 5, 2)
            image[top : top + 5, left : left + 5, colour] += 90
    return images.astype(np.uint8), labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """colours.keras, trained on other images; images.npz and the same as table/labels.csv beside PNG files; labels.txt."""
    keras = require("keras")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((SIZE, SIZE, 3)), layers.Rescaling(1 / 255), layers.Conv2D(8, 5, activation="relu"), layers.GlobalMaxPooling2D(),
        layers.Dense(3, activation="sigmoid"),
    ])  # fmt: skip
    model.compile("adam", "binary_crossentropy")
    model.optimizer.learning_rate = 0.02
    images, labels = squares(256, 1)
    model.fit(images.astype(np.float32), labels, epochs=12, verbose=0)
    place = tmp_path_factory.mktemp("multilabel")
    model.save(place / "colours.keras")
    images, labels = squares(COUNT, 2)
    np.savez(place / "images.npz", x=images, y=labels)
    (place / "labels.txt").write_text("\n".join(COLOURS))
    (place / "table").mkdir()
    lines = ["file,blue,green,red"]
    for index, (image, row) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(place / "table" / f"{index:03}.png")
        lines.append(f"{index:03}.png,{row[2]},{row[1]},{row[0]}")
    (place / "table" / "labels.csv").write_text("\n".join(lines) + "\n")
    return place


@pytest.fixture(scope="module")
def artifacts(folder: Path) -> Path:
    """Its TFLite and ONNX files with what the manifest remembers."""
    options = ConvertOptions(
        model=folder / "colours.keras",
        output=folder / "colours.artifacts",
        targets=("tflite", "onnx"),
        schemes="float32,int8",
        calibration=folder / "images.npz",
        data=folder / "table" / "labels.csv",
        labels=folder / "labels.txt",
        threads=1,
    )
    convert(options)
    return options.folder


def edgecls(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*EDGECLS, *map(str, arguments)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def results(artifacts: Path) -> Report:
    """What `bench` measured on the CSV that the manifest remembers."""
    edgecls("bench", artifacts, "--min-seconds", 0.01, "--min-runs", 5)
    return Report.read(artifacts / "results.json")


def test_files_are_verified_by_the_set_of_classes(folder: Path, artifacts: Path):
    manifest = Manifest.read(artifacts)
    assert [(row.name, row.reason) for row in manifest.artifacts if row.status != "ok"] == []
    images = np.load(folder / "images.npz")["x"]
    scores = {row.name: open_runner(artifacts / row.path).predict(images) >= 0.5 for row in manifest.artifacts}
    for row in manifest.artifacts:
        # asked about the first images of the CSV, which are those of the archive
        assert row.parity is not None and row.parity.samples in (32, COUNT)
        asked = slice(row.parity.samples)
        same = (scores[row.name][asked] == scores["base-tflite-float32"][asked]).all(axis=1).mean()
        assert row.parity.top1_agreement == pytest.approx(same, abs=1.01 / row.parity.samples)  # a score at 0.5 but for rounding


def test_bench_measures_what_scikit_learn_does(folder: Path, artifacts: Path, results: Report):
    archive = np.load(folder / "images.npz")
    truth = archive["y"]
    reference = open_runner(artifacts / "base-tflite-float32.tflite").predict(archive["x"])
    for row in results.measurements:
        scores = open_runner(Path(row.path)).predict(archive["x"])
        found = row.multilabel
        assert found is not None and row.accuracy is None
        assert found.mean_average_precision == pytest.approx(average_precision_score(truth, scores), abs=1e-9)
        assert found.macro_f1 == pytest.approx(f1_score(truth, scores >= 0.5, average="macro"), abs=1e-9)
        assert [entry.label for entry in found.classes] == COLOURS  # those of the model, whose order is not the CSV's
        assert found.mean_average_precision > 0.8  # it has learned the colours, so that labels in the wrong order would show
        if row.artifact == "base-tflite-float32":
            assert row.flips is None
        else:
            changed = ((scores >= 0.5) != (reference >= 0.5)).any(axis=1)
            assert row.flips is not None and row.flips.count == changed.sum()
            assert [flip.index for flip in sorted(row.flips.sets_listed, key=lambda flip: flip.index)] == np.flatnonzero(
                changed
            ).tolist()
            assert all(flip.image == f"table/{flip.index:03}.png" for flip in row.flips.sets_listed)


def test_reports_show_the_figures(results: Report):
    table = report_markdown(results)
    assert "| mAP |" in table and "| macro F1 |" in table and "top-1" not in table
    found = results.measurements[0].multilabel
    assert found is not None and f"{found.mean_average_precision:.2%}" in table
    assert "set of predicted classes differs from that of base-tflite-float32" in table
    runs = merge_reports([results])
    heading, first, *_ = runs_csv(runs).splitlines()
    cells = dict(zip(heading.split(","), first.split(","), strict=True))
    assert float(cells["mean_average_precision"]) == found.mean_average_precision
    assert (cells["images"], cells["top1"]) == (str(COUNT), "")
    page = report_html(runs)
    assert "↑ mAP" in page and "best threshold" in page
    assert all(f"<bdi>{colour}</bdi>" in page for colour in COLOURS)


def test_the_gate_holds_mean_average_precision(artifacts: Path, results: Report, tmp_path: Path):
    baseline, fallen = tmp_path / "baseline.json", tmp_path / "fallen.json"
    edgecls("check", artifacts, "--baseline", baseline, "--update-baseline")
    assert "mAP" in edgecls("check", artifacts, "--baseline", baseline).stdout
    entries = json.loads(baseline.read_text())["artifacts"]
    content = results.model_dump(mode="json")
    for row in content["measurements"]:
        figure = row["multilabel"]["mean_average_precision"]
        assert entries[row["artifact"]]["multilabel"] == {
            "images": COUNT,
            "mean_average_precision": pytest.approx(figure, abs=1e-6),
        }
        row["multilabel"]["mean_average_precision"] = figure - 0.006
    fallen.write_text(json.dumps(content))
    done = edgecls("check", artifacts, "--baseline", baseline, "--results", fallen, code=1)
    assert done.stdout.count("mAP fell by 0.60 points, 0.50 points") == len(results.measurements)
    (tmp_path / "edgecls.toml").write_text('[default]\nmax_accuracy_drop = "1 points"\n')
    edgecls("check", artifacts, "--baseline", baseline, "--results", fallen)


def test_mixed_precision_goes_by_mean_average_precision(folder: Path, tmp_path: Path):
    options = ConvertOptions(
        model=folder / "colours.keras",
        output=tmp_path / "out",
        targets=("tflite",),
        schemes="int8",
        calibration=folder / "images.npz",
        data=folder / "images.npz",
        mixed_precision="drop<=50",
        threads=1,
    )
    manifest = convert(options)
    assert manifest.artifacts[0].status == "ok", manifest.artifacts[0].reason
    assert "drop of mAP" in " ".join(manifest.notes)


def test_single_labels_are_measured_by_the_winner(folder: Path, artifacts: Path, tmp_path: Path):
    images, _ = squares(24, 3)
    np.savez(tmp_path / "single.npz", x=images, y=np.arange(24) % 3)
    results = tmp_path / "results.json"
    edgecls("bench", artifacts, "--data", tmp_path / "single.npz", "-o", results, "--min-seconds", 0.01, "--min-runs", 5)
    row = Report.read(results).measurements[0]
    assert row.multilabel is None and row.accuracy is not None and row.accuracy.images == 24


@pytest.mark.parametrize("asked", ["convert", "compress", "bench"])
def test_a_softmax_takes_one_label_for_each_image(
    command: Callable[..., Done], folder: Path, small_model: Path, small_images: Path, tmp_path: Path, asked: str
):
    generator = np.random.default_rng(0)
    np.savez(
        tmp_path / "sets.npz", x=generator.integers(0, 256, (40, 12, 12, 3), dtype=np.uint8), y=generator.integers(0, 2, (40, 3))
    )
    target: Path = small_model
    if asked == "bench":
        convert(ConvertOptions(model=small_model, output=tmp_path / "out", targets=("tflite",), schemes="float32", threads=1))
        target = tmp_path / "out"
    more = {"compress": ["--prune", 0.5], "convert": ["--targets", "tflite"]}.get(asked, [])
    out = [] if asked == "bench" else ["-o", tmp_path / "made"]
    done = command(asked, target, "--data", tmp_path / "sets.npz", *more, *out)
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "one label for each image" in done.stderr and "a softmax" in done.stderr


def test_compression_trains_and_judges_by_the_sets(folder: Path, tmp_path: Path):
    recipe = Recipe.model_validate({"pruning": {"sparsity": 0.5}, "training": {"epochs": 2, "batch": 16}})
    options: dict[str, Any] = {"model": folder / "colours.keras", "data": folder / "images.npz", "recipe": recipe}
    done = compress(CompressOptions(output=tmp_path / "variants", **options))
    assert done.measure == "mAP" and done.held_out_images == COUNT // 10
    variant = Variant.read(tmp_path / "variants" / done.variants[0])
    assert {epoch.measure for epoch in variant.epochs} == {"mAP"}
    # the held-out images of the seed, asked again
    model = require("keras").models.load_model(folder / "colours.keras")
    images = open_images(folder / "images.npz", done.image_spec, role="training")
    order = np.random.default_rng([recipe.training.seed, COUNT]).permutation(COUNT)
    held_out = np.sort(order[: COUNT // 10])
    assert images.labels is not None
    scores = model.predict(images.pixels.take(held_out).astype(np.float32), verbose=0)
    assert done.base_accuracy == pytest.approx(average_precision_score(images.labels[held_out], scores), abs=1e-6)


def test_labels_that_no_image_has_cannot_be_judged_by(folder: Path, tmp_path: Path):
    images, labels = squares(60, 4)
    order = np.random.default_rng([0, 60]).permutation(60)
    labels[order[:6]] = 0
    np.savez(tmp_path / "rare.npz", x=images, y=labels)
    recipe = Recipe.model_validate({"pruning": {"sparsity": 0.5}, "training": {"epochs": 1, "batch": 16}})
    with pytest.raises(DataError, match="held-out images of which one has a class"):
        compress(
            CompressOptions(model=folder / "colours.keras", data=tmp_path / "rare.npz", recipe=recipe, output=tmp_path / "out")
        )
