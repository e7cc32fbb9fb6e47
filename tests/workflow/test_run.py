"""run: compress -> convert -> bench from one file, and what the second time keeps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from edgecls.crew.environment import environment
from edgecls.errors import EdgeclsError, OutputError, RecipeError
from edgecls.formats import read_record
from edgecls.records.artifact import Manifest
from edgecls.records.event import Event
from edgecls.records.measurement import Measurement
from edgecls.records.report import Report
from edgecls.training.checkpoint import write_checkpoint
from edgecls.workflow.convert_options import ConvertOptions
from edgecls.workflow.opening import ModelOptions
from edgecls.workflow.run import ConvertPart, Outcome, RunRecipe, _absolute, _made_of_base, _State, run
from terminal import Done

RECIPE = """
model = "small.keras"
data = "images.npz"
out = "out"
variants = ["pruned50-qat"]
[pruning]
sparsity = 0.5
[qat]
[training]
epochs = 1
batch = 8
[convert]
targets = ["tflite"]
schemes = "int8"
[bench]
min_seconds = 0
min_runs = 2
"""


@pytest.fixture
def folder(small_model: Path, small_images: Path, tmp_path: Path) -> Path:
    shutil.copy(small_model, tmp_path / "small.keras")
    shutil.copy(small_images, tmp_path / "images.npz")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def execute(folder: Path) -> tuple[Outcome, list[str]]:
    events: list[Event] = []
    outcome = run(folder / "recipe.toml", events.append)
    return outcome, [event.remark for event in events if event.stage in ("artifacts", "results") and event.remark]


def test_what_has_not_changed_is_kept_and_the_rest_is_made_again(folder: Path) -> None:
    outcome, told = execute(folder)
    assert not told
    names = ["base-tflite-int8", "pruned50-tflite-int8", "pruned50-qat-tflite-int8"]
    assert [row.name for row in outcome.manifest.artifacts] == names
    assert [row.artifact for row in outcome.report.measurements] == names
    assert (folder / "out" / "results.json").is_file()

    again, told = execute(folder)
    assert [line.partition(":")[0] for line in told] == [
        "artifacts of base",
        "artifacts of pruned50",
        "artifacts of pruned50-qat",
        f"{folder / 'out' / 'results.json'}",
    ]
    assert again.report.created == outcome.report.created

    (folder / "out" / "artifacts" / "pruned50-tflite-int8.tflite").write_bytes(b"damaged")
    _, told = execute(folder)
    assert [line.partition(":")[0] for line in told][:2] == ["artifacts of base", "artifacts of pruned50-qat"]
    assert all(row.status == "ok" for row in Manifest.read(folder / "out" / "artifacts").artifacts)

    (folder / "recipe.toml").write_text(RECIPE.replace("[qat]", "[qat]\nfreeze = 0.25"))
    changed, told = execute(folder)
    assert [line.partition(":")[0] for line in told] == ["artifacts of base", "artifacts of pruned50"]
    assert changed.manifest.artifacts[1].sha256 == again.manifest.artifacts[1].sha256
    assert changed.report.created > outcome.report.created

    fewer = RECIPE.replace('variants = ["pruned50-qat"]', 'variants = ["pruned50"]').replace("[qat]\n", "")
    (folder / "recipe.toml").write_text(fewer)
    left, told = execute(folder)
    assert [row.name for row in left.manifest.artifacts] == names[:2] == [row.artifact for row in left.report.measurements]
    assert "artifacts of pruned50-qat: no longer in the recipe, removed" in told
    assert not (folder / "out" / "artifacts" / "pruned50-qat-tflite-int8.tflite").exists()


@pytest.mark.parametrize("line", ['labels = "labels.txt"', pytest.param('preprocess = "0..1"', marks=pytest.mark.slow)])
def test_labels_and_preprocessing_are_part_of_the_base_too(folder: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPE.replace('variants = ["pruned50-qat"]', "").replace("[qat]\n", "")
    (folder / "recipe.toml").write_text(recipe)
    before, _ = execute(folder)
    count = len(before.manifest.labels)
    (folder / "labels.txt").write_text("".join(f"kind {index}\n" for index in range(count)))
    (folder / "recipe.toml").write_text(f"{line}\n{recipe}")
    after, told = execute(folder)
    assert told == []
    assert [row.name for row in after.manifest.artifacts] == [row.name for row in before.manifest.artifacts]
    assert (after.manifest.labels, after.manifest.image_spec) != (before.manifest.labels, before.manifest.image_spec)
    for row in after.manifest.artifacts:
        record = read_record(folder / "out" / "artifacts" / row.path)
        assert record and (record.labels, record.image_spec) == (after.manifest.labels, after.manifest.image_spec)

    elsewhere = environment().model_copy(update={"processor": "another processor"})
    monkeypatch.setattr("edgecls.workflow.run.environment", lambda: elsewhere)
    _, told = execute(folder)
    assert [line.partition(":")[0] for line in told] == ["artifacts of base", "artifacts of pruned50"]  # but not the results


def test_a_recipe_says_all_that_convert_can_be_asked(folder: Path) -> None:
    """What opens the model stands above, and a run always verifies with every core, into its own folder."""
    elsewhere = {field.name for field in fields(ModelOptions)} | {"output", "data", "verify", "base_of", "threads"}
    assert set(ConvertPart.model_fields) == {field.name for field in fields(ConvertOptions)} - elsewhere

    asked = 'targets = ["onnx"]\nonnx_layout = "nchw"\nonnx_batch = 1\nonnx_weights = "int8"\neffort = "high"'
    converted = RECIPE[RECIPE.index("[convert]") :].replace('targets = ["tflite"]', asked)
    (folder / "recipe.toml").write_text(f'model = "small.keras"\ndata = "images.npz"\nout = "out"\n{converted}')
    outcome, _ = execute(folder)
    (row,) = outcome.manifest.artifacts
    requested = row.requested
    assert (requested.onnx_layout, requested.onnx_batch, requested.onnx_weights) == ("nchw", 1, "int8")


def test_labels_of_the_package_are_no_file(folder: Path) -> None:
    given = {"model": folder / "small.keras", "data": folder / "images.npz", "out": folder / "out"}
    recipes = (RunRecipe.model_validate(given | labels) for labels in ({"labels": "imagenet"}, {}))
    with_labels, without = map(_made_of_base, recipes)
    assert with_labels != without


def test_names_of_what_the_package_brings_give_way_to_what_lies_beside_the_recipe(tmp_path: Path) -> None:
    given = RunRecipe.model_validate({"model": "m.h5", "data": "digits", "labels": "imagenet", "out": "out"})
    found = _absolute(given, tmp_path)
    assert (found.data, found.labels) == (Path("digits"), Path("imagenet"))
    (tmp_path / "digits").mkdir()
    (tmp_path / "imagenet").mkdir()  # of images, and so none of labels
    found = _absolute(given, tmp_path)
    assert (found.data, found.labels) == (tmp_path / "digits", Path("imagenet"))
    assert _absolute(given.model_copy(update={"data": Path("imagenet")}), tmp_path).data == tmp_path / "imagenet"


def test_what_came_out_of_another_recipe_is_not_kept(tmp_path: Path) -> None:
    """A kill between a part and the note of it: the note is of an earlier recipe, to which the user then goes back."""
    state = _State(tmp_path / "run.json")
    state.keep("bench", "first recipe", "first results")
    again = _State(tmp_path / "run.json")
    assert again.holds("bench", "first recipe", "first results")
    assert not again.holds("bench", "first recipe", "second results")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            "schemes =",
            "scheme =",
            r"the unknown key convert\.scheme \(known beside it: activation, calibration, calibration_images, .*, schemes,",
        ),
        ('data = "images.npz"', "", "data: field required"),
        ('targets = ["tflite"]', 'targets = ["tensorrt"]', r"convert\.targets\.0"),
        ("sparsity = 0.5", "sparsity = 5", r"pruning\.sparsity"),
    ],
)
def test_a_recipe_is_refused_before_anything_is_made(folder: Path, before: str, after: str, expected: str) -> None:
    (folder / "recipe.toml").write_text(RECIPE.replace(before, after))
    with pytest.raises(RecipeError, match=expected):
        execute(folder)
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('schemes = "int8"', 'schemes = "int9"', "int9"),
        ('schemes = "int8"', 'schemes = "int8"\nonnx_layout = "nchw"', "the target onnx together with --onnx-layout"),
        ('schemes = "int8"', "mixed_precision = 'drop<=1'", "not trained for int8 with --mixed-precision, found pruned50-qat"),
        ("[bench]", '[bench]\ndata = "none.npz"', r"nothing at .*none\.npz"),
        ("[bench]", '[bench]\ndata = "train.npz"', r"to measure on, .*name others with `data` in the section \[bench\]"),
        ("[convert]", '[convert]\ncalibration = "test.npz"', r"to calibrate on, .*`calibration` in the section \[convert\]"),
    ],
)
def test_what_comes_after_training_is_refused_before_it(folder: Path, before: str, after: str, expected: str) -> None:
    with np.load(folder / "images.npz") as whole:
        for part in ("train", "test"):
            np.savez(folder / f"{part}.npz", **{f"{key}_{part}": whole[key] for key in ("x", "y")})
    (folder / "recipe.toml").write_text(RECIPE.replace(before, after))
    with pytest.raises(EdgeclsError, match=expected):
        execute(folder)
    assert not (folder / "out").exists()


def test_a_training_that_another_recipe_began_begins_anew(folder: Path) -> None:
    """`run` has no option that says so, and goes on by itself where it can."""
    left = folder / "out" / "variants" / ".pruned50.checkpoint.npz"
    left.parent.mkdir(parents=True)
    write_checkpoint(left, "of another recipe", [], [])
    (folder / "recipe.toml").write_text(RECIPE.replace('"pruned50-qat"', '"pruned50"').replace("[qat]\n", ""))
    events: list[Event] = []
    outcome = run(folder / "recipe.toml", events.append)
    assert outcome.variants and outcome.variants.variants == ["pruned50"]
    assert any("begins anew" in event.remark for event in events)
    assert not left.exists()


def test_run_prints_the_three_tables(command: Callable[..., Done], folder: Path) -> None:
    (folder / "recipe.toml").write_text(
        RECIPE.replace('variants = ["pruned50-qat"]', 'variants = ["pruned50"]').replace("[qat]\n", "")
    )
    done = command("run", folder / "recipe.toml")
    assert done.exit_code == 0, done.stderr
    assert "held-out top-1" in done.stdout
    assert done.stdout.count("pruned50-tflite-int8") >= 2


def test_a_full_disk_advises_what_run_has(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OutputError("a place for the checkpoint", "no room", "free some space and go on with --resume")

    monkeypatch.setattr("edgecls.workflow.run.compress", full)
    with pytest.raises(OutputError, match="the same command goes on where it stopped"):
        execute(folder)


def test_run_fails_where_an_artifact_could_not_be_measured(
    command: Callable[..., Done], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Measurement.model_construct(artifact="a", scheme="int8", status="crashed", reason="signal 11")
    report = Report.model_construct(measurements=[row])
    outcome = Outcome(None, Manifest.model_construct(artifacts=[]), report, folder)
    monkeypatch.setattr("edgecls.workflow.run.run", lambda *_, **__: outcome)
    for table in ("conversion_table", "report_table"):
        monkeypatch.setattr(f"edgecls.reporting.{table}", lambda *_, **__: "")
    assert command("run", folder / "recipe.toml").exit_code == 3
