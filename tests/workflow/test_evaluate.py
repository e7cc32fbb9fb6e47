"""`edgecls evaluate` on a model whose every answer is known: it compares the red of a picture with its blue."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecls.errors import ArtifactError, DataError, InputError
from edgecls.records.evaluation import Evaluation
from edgecls.reporting.curves import history_series
from edgecls.workflow import convert_model
from edgecls.workflow.evaluate import EvaluateOptions, evaluate
from edgecls.workflow.history import read_history

PLOTS = {"confusion.png", "classes.png", "calibration.png", "mistakes.png", "history.png"}


@pytest.fixture(scope="module")
def red_or_blue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .keras file: softmax over (red - blue, blue - red) of a picture's mean, pixels entering as 0..1."""
    import keras

    image = keras.Input((4, 4, 3))
    mean = keras.layers.GlobalAveragePooling2D()(image)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax", name="scores")(mean))
    kernel = np.array([[1, -1], [0, 0], [-1, 1]], np.float32)
    model.get_layer("scores").set_weights([kernel, np.zeros(2, np.float32)])
    path = tmp_path_factory.mktemp("red_or_blue") / "colours.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `blue` and `red` of eight pictures each; two in `red` are blue, the second more so."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, colours in {"red": [(200, 0, 20)] * 6 + [(0, 0, 120), (0, 0, 240)], "blue": [(10, 0, 200)] * 8}.items():
        (folder / name).mkdir()
        for index, colour in enumerate(colours):
            Image.new("RGB", (4, 4), colour).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text("red\nblue\n")
    return path


def test_a_model_and_its_artifact_are_evaluated_alike(red_or_blue: Path, pictures: Path, labels: Path, tmp_path: Path) -> None:
    found = evaluate(EvaluateOptions(red_or_blue, data=pictures, labels=labels, preprocess="0..1"))
    evaluation = found.evaluation
    assert evaluation.accuracy is not None
    red, blue = evaluation.accuracy.classes
    assert (red.precision, red.recall, red.support) == (1.0, 0.75, 8)
    assert (blue.precision, blue.recall, blue.support) == (0.8, 1.0, 8)
    assert evaluation.balanced_accuracy == 0.875
    assert [mistake.image for mistake in evaluation.mistakes] == ["red/7.png", "red/6.png"]  # the more blue first
    assert found.pictures[evaluation.mistakes[0].index][0, 0].tolist() == [0, 0, 240]

    converted = convert_model(red_or_blue, targets=("tflite",), schemes="float32", labels=["red", "blue"], preprocess="0..1")
    artifact = converted.of("tflite", "float32").write(tmp_path)
    other = evaluate(EvaluateOptions(artifact, data=pictures)).evaluation  # which knows labels and preprocessing by itself
    assert other.labels == ["red", "blue"]
    same = {"accuracy", "balanced_accuracy", "positive", "roc_auc", "mistakes_total", "output_kind"}
    ours, theirs = evaluation.model_dump(include=same), other.model_dump(include=same)
    calibrations = [values["accuracy"].pop("calibration")["ece"] for values in (ours, theirs)]
    assert ours == theirs
    assert calibrations[0] == pytest.approx(calibrations[1], abs=1e-5)  # confidences of two engines, in float32


def test_the_command_writes_table_page_plots_and_json(
    edgecls: Callable[..., Any], red_or_blue: Path, pictures: Path, tmp_path: Path
) -> None:
    history, page, plots = tmp_path / "history.json", tmp_path / "page.html", tmp_path / "plots"
    history.write_text('{"loss": [2.0, 1.0], "val_loss": [2.5, 1.5]}')
    options = ["--data", pictures, "--preprocess", "0..1", "-o", page, "--positive", "red", "--recall", "0.75"]
    shown = edgecls("evaluate", red_or_blue, *options, "--history", history, "--plots", plots)
    assert shown.exit_code == 0, shown.output
    assert "alphabetical order" in shown.stdout  # the model has no labels: blue is taken for its first class
    assert "ROC-AUC of red" in shown.stdout and "recall 75% of red" in shown.stdout
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 14 and "held-out: 2.5 at first" in text
    assert {path.name for path in plots.iterdir()} == PLOTS
    for path in plots.iterdir():
        assert min(Image.open(path).size) > 200
    printed = edgecls("evaluate", red_or_blue, *options[:4], "--json")
    found = Evaluation.model_validate(json.loads(printed.stdout))
    assert found.accuracy is not None and found.accuracy.top1 == 2 / 16  # the other way round


def test_pictures_and_files_that_cannot_be_judged_are_refused(red_or_blue: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labelled images for --data"):
        evaluate(EvaluateOptions(red_or_blue, data=pictures / "red"))
    with pytest.raises(DataError, match="nothing at"):
        evaluate(EvaluateOptions(red_or_blue, data=tmp_path / "none"))
    with pytest.raises(InputError, match="--recall above 0"):
        evaluate(EvaluateOptions(red_or_blue, data=pictures, recall=2))
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ArtifactError, match="a folder of several"):
        evaluate(EvaluateOptions(tmp_path, data=pictures))
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(b"\0\0\0\0TFL3" + bytes(64))
    with pytest.raises(ArtifactError):
        evaluate(EvaluateOptions(damaged, data=pictures))
    with pytest.raises(InputError, match="a model with --input-size"):
        evaluate(EvaluateOptions(damaged, data=pictures, input_size="4x4"))


def test_a_multi_label_model_is_judged_by_its_sets(tmp_path: Path) -> None:
    import keras

    image = keras.Input((2, 2, 3))
    model = keras.Model(image, keras.layers.Activation("sigmoid")(keras.layers.GlobalAveragePooling2D()(image)))
    model.save(tmp_path / "channels.keras")
    rng = np.random.default_rng(0)
    truth = (rng.random((40, 3)) < 0.5).astype(np.uint8)
    images = np.where(truth, 200, 60)[:, None, None, :] * np.ones((1, 2, 2, 1))
    np.savez(tmp_path / "data.npz", x=images.astype(np.uint8), y=truth)
    options = EvaluateOptions(tmp_path / "channels.keras", data=tmp_path / "data.npz", preprocess="mean=127.5,std=10")
    found = evaluate(options).evaluation
    assert found.multilabel is not None and found.accuracy is None
    assert found.multilabel.exact_match == 1.0 and found.mistakes_total == 0
    assert all(row.precision == 1.0 for row in found.thresholds)


@pytest.mark.parametrize(
    "content",
    ['[{"loss": 1.5}, {"loss": 1.0}]', '{"epochs": [{"loss": 1.5}, {"loss": 1.0}], "seed": 1}', '{"loss": [1.5, 1.0]}'],
)
def test_the_history_is_read_in_the_forms_people_have(content: str, tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    path.write_text(content)
    assert read_history(path) == [{"loss": 1.5}, {"loss": 1.0}]


def test_a_number_that_no_float_holds_is_infinite_in_a_history(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    path.write_text(f'[{{"loss": 1{"0" * 400}}}, {{"loss": 2}}]')
    assert history_series(read_history(path)) == {"loss": {"training": [math.inf, 2.0]}}


NO_NUMBERS = ['[{"loss": "1.5"}, {"loss": "1.0"}]', '[{"epoch": 1}, {"epoch": 2}]', '{"loss": [[1.5], [1.0]]}']


@pytest.mark.parametrize("content", ["", "[]", "{}", "[1]", '{"loss": 1}', '{"epochs": []}', *NO_NUMBERS])
def test_what_is_no_history_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    path.write_text(content)
    with pytest.raises(DataError):
        read_history(path)
