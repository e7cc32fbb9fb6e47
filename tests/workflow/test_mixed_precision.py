"""--mixed-precision: few layers stay float, the goal holds on the shipped file, and what cannot be is refused or said."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest

from edgecls.data import open_images
from edgecls.errors import SchemeError, StageError
from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.quantization.accuracy_goal import AccuracyGoal, parse_goal
from edgecls.quantization.int8 import Quantized
from edgecls.quantization.mixed_precision import keep_fewest
from edgecls.records.artifact import Manifest
from edgecls.runners import open_runner
from edgecls.workflow import ConvertOptions, convert
from written_tflite import chain

NAMES = ["a", "b", "c", "d", "e"]  # of the operations of `chain`


@pytest.mark.parametrize(("text", "points"), [("drop<=0.5", 0.5), (" drop <= 2 ", 2.0), ("drop<=.25", 0.25), ("drop<=0", 0.0)])
def test_a_goal_is_read(text: str, points: float):
    assert parse_goal(text) == points


@pytest.mark.parametrize(
    "text", ["", "drop", "drop<0.5", "drop<=-1", "drop<=100", "drop<=1%", "top1>=0.9", "drop<=nan", "drop<=1e9"]
)
def test_anything_else_is_no_goal(text: str):
    with pytest.raises(SchemeError, match=re.escape("drop<=0.5")):
        parse_goal(text)


def _named(names: Collection[str]) -> bytes:
    """A model that is the names of its float layers."""
    return ",".join(sorted(names)).encode()


class World:
    """A model whose drop follows from which layers are float: 1 point for each other layer, but none once `needed` all are."""

    def __init__(self, needed: set[str], judging_needs: set[str] | None = None) -> None:
        self.needed, self.judging_needs = needed, judging_needs or needed
        self.start = Quantized(b"", None, {}, 1, 0, (), remake=_named, with_int8_border=_named, loss=self.loss)

    def loss(self, model: bytes) -> float:
        return float(len(self.needed - set(model.decode().split(","))))

    def ship(self, model: Quantized) -> bytes:
        """A file is its model behind a border."""
        return b"border:" + model.model

    def drop(self, float_model: bytes, file: bytes, half: str) -> float:
        assert file.startswith(b"border:")  # what is measured is what ships
        model = file.removeprefix(b"border:")
        kept = set(model.decode().split(",")) - {""}
        needed = self.needed if half == "choosing" else self.judging_needs
        return 0.0 if needed <= kept else float(len(needed - kept))

    def search(self, points: float = 0.5):
        return keep_fewest(TFLiteGraph(chain(NAMES)), self.start, AccuracyGoal(points, self.drop, "top-1", (10, 10)), self.ship)


def test_the_layers_that_matter_are_found_and_no_others():
    found = World({"b", "d"}).search()
    assert set(found.kept) == {"b", "d"} == set(found.quantized.float_layers)
    assert found.quantized.model == b"b,d"
    assert found.drops == (0.0, 0.0)
    assert not found.judge_chose


def test_a_sound_file_keeps_nothing_float():
    found = World(set()).search()
    assert found.kept == []


def test_what_came_in_by_the_way_is_left_out_again():
    world = World({"b", "d"})
    ranks = iter(range(1000))
    world.start = Quantized(
        b"", None, {}, 1, 0, (), remake=_named, with_int8_border=_named, loss=lambda model: next(ranks)
    )  # a loss that says nothing: layers come in as they stand
    assert set(world.search().kept) == {"b", "d"}


def test_the_judging_half_is_heard_and_told_of():
    found = World({"b"}, judging_needs={"b", "c"}).search()
    assert {"b", "c"} <= set(found.kept)
    assert found.judge_chose
    assert found.drops == (0.0, 0.0)


def test_a_goal_that_no_file_reaches_is_said():
    with pytest.raises(StageError, match="all but one float"):
        World({*NAMES, "nowhere"}).search()


@pytest.fixture(scope="module")
def options(zoo: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ConvertOptions:
    """ResNet-8 with a goal that its plain int8 file misses."""
    archive = np.load(shared_data / "cifar10.npz")
    data = tmp_path_factory.mktemp("mixed") / "data.npz"
    np.savez(data, x=archive["x_test"][:600])  # without labels: agreement
    return ConvertOptions(
        model=zoo / "mlperf_tiny" / "pretrainedResnet.h5",
        preprocess="0..255",
        targets=("tflite", "onnx"),
        schemes="float32,int8",
        calibration=shared_data / "cifar10.npz",
        calibration_images=50,
        data=data,
        mixed_precision="drop<=3",
        output=tmp_path_factory.mktemp("mixed") / "out",
    )


def test_a_real_model_reaches_its_goal_with_few_layers_float(options: ConvertOptions):
    manifest = convert(options)
    rows = {row.name: row for row in manifest.artifacts}
    assert options.data is not None
    images = np.concatenate(list(open_images(options.data, manifest.image_spec, role="data").batches()))
    scores = {name: open_runner(options.folder / row.path).predict(images) for name, row in rows.items()}
    ours, theirs = (
        scores[name] == scores[name].max(axis=1, keepdims=True) for name in ("base-tflite-int8", "base-tflite-float32")
    )
    # Equal codes of two logits are a tie: by half a flip where the float winner is one of them, as `flips_of` has it.
    flips = 1 - (ours & theirs).sum(axis=1) / np.maximum(ours.sum(axis=1), theirs.sum(axis=1))
    drops = [100 * int(half.sum() + 0.5) / len(half) for half in (flips[0::2], flips[1::2])]
    assert max(drops) <= 3
    int8 = rows["base-tflite-int8"]
    assert int8.requested.mixed_precision == "drop<=3"
    assert 1 <= len(int8.requested.keep_float) < 14 / 2  # of 10 kernels, 3 sums and the pooling
    assert rows["base-onnx-int8"].requested.keep_float == int8.requested.keep_float
    assert int8.actual is not None and int8.actual.weight_dtypes["int8"] > 0
    reasons = {entry.reason for entry in int8.actual.stayed_float if entry.operation != "SOFTMAX"}
    assert reasons == {"needed for --mixed-precision drop<=3"}
    note = next(note for note in manifest.notes if "--mixed-precision" in note)
    assert "300 that chose" in note and "300 that judged" in note
    assert f"{drops[0]:.2f} points on the 300 that chose" in note


def test_without_the_goal_the_file_misses_it(options: ConvertOptions, tmp_path: Path):
    """Else the test above would show nothing."""
    plain = dataclasses.replace(options, mixed_precision=None, targets=("tflite",), output=tmp_path / "plain")
    manifest = convert(plain)
    assert plain.data is not None
    images = np.concatenate(list(open_images(plain.data, manifest.image_spec, role="data").batches()))
    int8, float32 = (
        open_runner(plain.folder / f"base-tflite-{name}.tflite").predict(images).argmax(1) for name in ("int8", "float32")
    )
    assert max(100 * (int8 != float32)[half::2].mean() for half in (0, 1)) > 3


def test_an_impossible_goal_fails_its_files_and_leaves_the_others(options: ConvertOptions, tmp_path: Path, monkeypatch):
    # two images, one of which no int8 file answers like the float model, would do too; a drop that never falls is quicker
    monkeypatch.setattr("edgecls.evaluation.measured_drop._drop", lambda *_: 50.0)
    manifest = convert(dataclasses.replace(options, output=tmp_path / "out"))
    rows = {row.name: row for row in manifest.artifacts}
    for name in ("base-tflite-int8", "base-onnx-int8"):
        assert rows[name].status == "failed"
        assert "drop of 50.00 points" in rows[name].reason
    assert rows["base-tflite-float32"].status == "ok"
    assert not (tmp_path / "out" / "measured.tflite").exists()


def test_what_cannot_be_followed_is_refused_before_any_work(options: ConvertOptions, tmp_path: Path):
    def refused(match: str, **changes: object) -> None:
        with pytest.raises(SchemeError, match=match):
            convert(dataclasses.replace(options, output=tmp_path / "out", **changes))  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()

    refused("--data", data=None)
    refused("both", keep_float=("dense",))
    refused("POINTS", mixed_precision="drop<0.5")
    refused("scheme int8", schemes="float32")


def test_the_manifest_reads_back(options: ConvertOptions):
    if not (options.folder / "manifest.json").exists():
        convert(options)
    assert Manifest.read(options.folder).artifacts[1].requested.mixed_precision == "drop<=3"
