"""`edgecls train`: what comes out, that it is the same every time, and what is refused before the first epoch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecls.errors import DataError, InputError, RecipeError, TrainingError, UnsupportedModelError
from edgecls.formats.model_contract import read_contract
from edgecls.records.event import Event, ignore
from edgecls.records.image_spec import ImageSpec
from edgecls.records.model_contract import CONTRACT_NAME
from edgecls.records.training import Augmenting, Training, TrainingPlan
from edgecls.system.extras import require
from edgecls.workflow.train import TrainOptions, train
from edgecls.workflow.train_job import CHECKPOINT_NAME
from edgecls.workflow.training_body import choose_body
from edgecls.workflow.training_images import open_parts

NAMES = ("low", "middle", "top")
PLAN = TrainingPlan(epochs=2, batch=16, learning_rate=0.01)


def bands(count: int, seed: int = 0, size: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Noise in colours with one bright band: which of three it is can be learned in a few steps."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    pixels = rng.integers(0, 120, (count, size, size, 3))
    for image, label in zip(pixels, labels, strict=True):
        image[size // 3 * label : size // 3 * (label + 1)] += 130
    return pixels.astype(np.uint8), labels


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bands") / "bands.npz"
    pixels, labels = bands(120)
    np.savez(path, x=pixels, y=labels, class_names=np.array(NAMES))
    return path


@pytest.fixture(scope="module")
def trained(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model of the archive."""
    folder = tmp_path_factory.mktemp("trained") / "out"
    train(TrainOptions(archive, PLAN, output=folder))
    return folder


def photos(folder: Path, counts: dict[str, int], seed: int = 0) -> None:
    """Class folders of pictures of different sizes, `low/0.png` and so on."""
    rng = np.random.default_rng(seed)
    for place, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = rng.integers(0, 120, (24, 18 + index % 5, 3))
            pixels[8 * place : 8 * place + 8] += 130
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")


def model_in(folder: Path) -> Any:
    """The Keras model in a folder, as Keras itself opens it."""
    import keras

    return keras.models.load_model(folder / "model.keras")


def weights_of(folder: Path) -> list[np.ndarray]:
    return model_in(folder).get_weights()


def test_what_comes_out_says_itself_what_it_takes(trained: Path):
    contract = read_contract(trained / "model.keras")
    assert contract is not None and contract.labels == list(NAMES)
    assert json.loads((trained / CONTRACT_NAME).read_text()) == json.loads(contract.model_dump_json())
    assert (trained / "labels.txt").read_text().split() == list(NAMES)
    record = Training.read(trained)
    assert record.image_spec == contract.image_spec
    assert (record.parts["training"].images, record.parts["held-out"].images) == (96, 24)  # a fifth of 120
    assert record.parts["held-out"].classes == dict.fromkeys(NAMES, 8)
    assert [epoch.epoch for epoch in record.epochs] == [1, 2] and record.kept_epoch in (1, 2)
    assert record.epochs[-1].loss < record.epochs[0].loss
    assert record.cpu_seconds > 0 and record.peak_memory_bytes > 100 << 20  # TensorFlow alone takes more
    assert not (trained / CHECKPOINT_NAME).exists()


def test_keras_opens_the_model_and_pixels_enter_as_they_are(trained: Path, archive: Path):
    model = model_in(trained)
    with np.load(archive) as data:
        scores = model.predict(data["x"].astype(np.float32), verbose=0)
        accuracy = np.mean(scores.argmax(axis=1) == data["y"])
    best = max(epoch.held_out_score for epoch in Training.read(trained).epochs)
    assert accuracy > 0.9 * best  # the images are those it was trained on, a fifth of them those it was judged on


def test_every_later_command_knows_the_contract(trained: Path, tmp_path: Path, command):
    converted = command("convert", trained / "model.keras", "--targets", "tflite", "--schemes", "float32", "-o", tmp_path / "out")
    assert converted.exit_code == 0, converted.stderr
    assert "Assumed" not in converted.stderr and "class_0" not in converted.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["labels"] == list(NAMES) and manifest["labels_source"] == "file"
    spec = manifest["image_spec"]
    assert (spec["provenance"], spec["fit_provenance"], spec["filter_provenance"]) == ("in-model", "declared", "declared")
    assert (spec["mean"], spec["std"], spec["height"], spec["width"]) == ([0.0], [1.0], 12, 12)


def test_one_sigmoid_goes_all_the_way_without_an_option(tmp_path: Path, command):
    """Two classes from one score: trained, converted, measured, judged and put into an app, which all name the same classes."""
    pixels, labels = bands(90)
    known = labels < 2
    np.savez(tmp_path / "two.npz", x=pixels[known], y=labels[known], class_names=np.array(NAMES[:2]))
    plan = PLAN.model_copy(update={"binary": True, "epochs": 6})
    done = train(TrainOptions(tmp_path / "two.npz", plan, output=tmp_path / "out"))
    model = model_in(tmp_path / "out")
    assert (model.layers[-1].activation.__name__, model.output_shape) == ("sigmoid", (None, 1))
    assert max(epoch.held_out_score for epoch in done.epochs) == 1.0

    def ran(*arguments: object) -> None:
        found = command(*arguments)
        assert found.exit_code == 0, found.stderr
        assert "Assumed" not in found.stderr and "class_0" not in found.stderr

    data, artifacts, app = ("--data", tmp_path / "two.npz"), tmp_path / "artifacts", tmp_path / "app"
    made = ("--targets", "tflite", "--schemes", "float32,int8", "--calibration", tmp_path / "two.npz", "-o", artifacts)
    ran("convert", tmp_path / "out" / "model.keras", *made)
    ran("bench", artifacts, *data)
    rows = json.loads((artifacts / "results.json").read_text())["measurements"]
    assert {row["artifact"]: row["accuracy"]["top1"] for row in rows}["base-tflite-int8"] > 0.9
    ran("evaluate", artifacts / "base-tflite-int8.tflite", *data, "-o", tmp_path / "page.html")
    app.mkdir()
    (app / "package.json").write_text('{"devDependencies": {"vite": "^7"}}')
    ran("embed", artifacts, "--into", app)
    embedded = json.loads((app / "public" / "edgecls" / "edgecls.json").read_text())
    assert (embedded["labels"], embedded["output_kind"]) == (list(NAMES[:2]), "sigmoid")
    assert embedded["artifacts"][0]["output"]["shape"] == [1, 1]


def test_a_contract_of_another_model_is_not_taken(trained: Path, tmp_path: Path, small_model: Path):
    from edgecls.formats.model_contract import add_contract
    from edgecls.models import load_model

    contract = read_contract(trained / "model.keras")
    assert contract is not None
    shutil.copy(small_model, tmp_path / "model.keras")
    wider = contract.model_copy(update={"image_spec": contract.image_spec.model_copy(update={"width": 14})})
    add_contract(tmp_path / "model.keras", wider)
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.labels == [] and loaded.image_spec.width == 12
    assert any("is not taken" in note for note in loaded.notes)


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_bit_for_bit(archive: Path, tmp_path: Path):
    plan = PLAN.model_copy(update={"augmentation": Augmenting(flip="horizontal", rotation=10), "dropout": 0.3})

    class KilledError(Exception):
        pass

    def kill(event: Event) -> None:
        if "epoch 1 of 2" in event.remark:
            raise KilledError

    events: list[Event] = []
    train(TrainOptions(archive, plan, output=tmp_path / "whole", resume=True), events.append)
    assert any("nothing to go on with" in event.remark for event in events)
    with pytest.raises(KilledError):
        train(TrainOptions(archive, plan, output=tmp_path / "halved"), kill)
    assert (tmp_path / "halved" / CHECKPOINT_NAME).exists() and not (tmp_path / "halved" / "model.keras").exists()
    done = train(TrainOptions(archive, plan, output=tmp_path / "halved", resume=True))
    assert len(done.epochs) == 2
    for one, other in zip(weights_of(tmp_path / "whole"), weights_of(tmp_path / "halved"), strict=True):
        assert np.array_equal(one, other)
    with pytest.raises(RecipeError, match="others than those of"):
        (tmp_path / "other").mkdir()
        train_again = TrainOptions(archive, PLAN, output=tmp_path / "other", resume=True)
        with pytest.raises(KilledError):
            train(TrainOptions(archive, plan, output=tmp_path / "other"), kill)
        train(train_again)


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_with_the_last_good_weights(archive: Path, tmp_path: Path):
    wild = PLAN.model_copy(update={"optimizer": "sgd", "learning_rate": 1e20})
    with pytest.raises(TrainingError, match=r"the loss was (nan|inf).*--learning-rate 1e\+19"):
        train(TrainOptions(archive, wild, output=tmp_path / "out"))
    assert not (tmp_path / "out" / "model.keras").exists()


def test_damaged_and_doubled_pictures_are_told_by_name(tmp_path: Path):
    data = tmp_path / "photos"
    photos(data / "train", dict.fromkeys(NAMES, 12))
    photos(data / "val", dict.fromkeys(NAMES, 3), seed=1)
    photos(data / "test", dict.fromkeys(NAMES, 2), seed=2)
    (data / "train" / "low" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with Image.open(data / "test" / "top" / "1.png") as image:  # the same picture, compressed with losses
        image.save(data / "train" / "top" / "copy.jpg", quality=95, subsampling=0)
    shutil.copy(data / "train" / "low" / "3.png", data / "train" / "middle" / "low_3.png")
    spec = ImageSpec(height=12, width=12, channels=3)
    opened = open_parts(data, spec, PLAN, None, ignore)
    text = "\n".join(opened.notes)
    assert (
        "low/broken.jpg" in text
        and "top/copy.jpg = top/1.png" in text
        and "different labels: low/3.png = middle/low_3.png" in text
    )
    assert {name: part.images for name, part in opened.counted.items()} == {"training": 37, "held-out": 9, "test": 6}
    kept = open_parts(data, spec, PLAN.model_copy(update={"keep_duplicates": True}), None, ignore)
    assert kept.counted["training"].images == 38 and any("kept, though" in note for note in kept.notes)


def test_what_cannot_be_trained_on_is_refused_before_the_network_is_built(tmp_path: Path, archive: Path):
    def refused(message: str, data: Path, plan: TrainingPlan = PLAN) -> None:
        with pytest.raises(InputError, match=message):
            train(TrainOptions(data, plan, output=tmp_path / "out"))
        assert not (tmp_path / "out").exists()

    refused("nothing at", tmp_path / "missing")
    photos(tmp_path / "single", {"low": 4, "middle": 1})
    refused(r"at least two images of every class.*middle \(1\)", tmp_path / "single")
    photos(tmp_path / "split" / "train", {"low": 4, "middle": 4})
    photos(tmp_path / "split" / "test", {"low": 4, "high": 4})
    refused("labels that match.*high", tmp_path / "split")
    photos(tmp_path / "flat", {".": 4})
    refused("labels that match.*flat folder", tmp_path / "flat")
    refused("batch of 500", archive, PLAN.model_copy(update={"batch": 500}))
    refused("two classes for --head binary", archive, PLAN.model_copy(update={"binary": True}))
    np.savez(tmp_path / "floats.npz", x=np.zeros((8, 12, 12, 3), np.float32), y=np.arange(8) % 2)
    refused("pixels from 0 to 255", tmp_path / "floats.npz")
    np.savez(tmp_path / "many.npz", x=bands(60)[0], y=np.eye(3, dtype=int)[bands(60)[1]] | [1, 0, 0])
    refused("--multi-label", tmp_path / "many.npz")
    several = PLAN.model_copy(update={"multi_label": True, "class_weights": "balanced"})
    with pytest.raises(DataError, match="with --class-weights balanced"):
        train(TrainOptions(tmp_path / "many.npz", several, output=tmp_path / "out"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("update", "kind", "measure"),
    [
        ({"multi_label": True}, "sigmoid", "mAP"),
        ({"loss": "focal"}, "softmax", "balanced accuracy"),
    ],
)
def test_other_losses_and_heads(archive: Path, tmp_path: Path, update: dict, kind: str, measure: str):
    plan = PLAN.model_copy(update={"epochs": 1, **update})
    done = train(TrainOptions(archive, plan, output=tmp_path / "out"))
    model = model_in(tmp_path / "out")
    assert (done.measure, model.layers[-1].activation.__name__, model.output_shape) == (measure, kind, (None, 3))


@pytest.mark.slow
def test_learning_rates_are_tested_and_tried_with_logs(archive: Path, tmp_path: Path):
    import tensorflow as tf

    plan = PLAN.model_copy(update={"epochs": 1, "learning_rate": None, "optimizer": "sgd"})
    found = train(TrainOptions(archive, plan, output=tmp_path / "found", find_rate=True))
    rates = [point.learning_rate for point in found.rate_curve]
    assert rates == sorted(rates) and rates[0] == pytest.approx(1e-6) and found.plan.learning_rate in rates
    assert (tmp_path / "found" / "rate_curve.svg").read_text().startswith("<svg")
    tried = train(TrainOptions(archive, plan, output=tmp_path / "tried", rates=(1e-2, 1e-6, 1e20), tensorboard=True))
    assert [rate.learning_rate for rate in tried.rates] == [1e-2, 1e-6, 1e20]
    scores = [rate.held_out_score for rate in tried.rates]
    assert scores[0] is not None and scores[1] is not None and scores[2] is None
    best = max(tried.rates[:2], key=lambda rate: (rate.held_out_score or 0.0, -(rate.held_out_loss or 0.0)))
    assert tried.plan.learning_rate == best.learning_rate
    assert not list((tmp_path / "tried").glob(".training*"))
    files = sorted(str(path) for path in (tmp_path / "tried" / "tensorboard").rglob("events.out.tfevents.*"))
    events = [tf.compat.v1.Event.FromString(item.numpy()) for item in tf.data.TFRecordDataset(files)]
    tags = {value.tag for event in events for value in event.summary.value}
    assert {"loss", "held_out_loss", "held_out_score", "learning_rate"} <= tags and events[0].file_version == "brain.Event:2"


@pytest.mark.slow
def test_half_precision_trains_where_it_gains_and_is_saved_in_full(archive: Path, tmp_path: Path, monkeypatch):
    from edgecls.training import half_precision

    plan = PLAN.model_copy(update={"epochs": 1, "half": True})
    monkeypatch.setattr(half_precision, "computes_bfloat16", lambda: False)
    with pytest.raises(InputError, match="leave --half out"):
        train(TrainOptions(archive, plan, output=tmp_path / "out"))
    monkeypatch.setattr(half_precision, "computes_bfloat16", lambda: True)
    done = train(TrainOptions(archive, plan, output=tmp_path / "out"))
    model = model_in(tmp_path / "out")
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    with np.load(archive) as data:
        accuracy = np.mean(model.predict(data["x"].astype(np.float32), verbose=0).argmax(axis=1) == data["y"])
    assert accuracy > 0.9 * done.epochs[0].held_out_score  # the same weights, in float32


def test_a_base_of_any_image_size_takes_the_size_that_is_given(tmp_path: Path) -> None:
    keras = require("keras")
    layers = keras.layers
    scores = [layers.Input((None, None, 3)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    keras.Sequential(scores).save(tmp_path / "open.keras")
    plan = PLAN.model_copy(update={"model": str(tmp_path / "open.keras")})
    with pytest.raises(UnsupportedModelError, match="as --size 224x224"):
        choose_body(plan, None, None)
    assert choose_body(plan.model_copy(update={"size": (12, 16)}), None, None).size == (12, 16)
