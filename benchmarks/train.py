"""What `edgecls train` reaches beside the code that tutorials show, on real images; every training in a process of its own.

python benchmarks/train.py [PART] [--seeds N] [--epochs N], all of these parts or one:

cifar      the three-block CNN on CIFAR-10's subset: the tutorial's plain Keras code and `--model cnn`, same images, batches and epochs
flowers    flower photos at 128 pixels with MobileNetV1-0.25 of ImageNet as base, frozen and fine-tuned
imbalance  daisies against a tenth as many roses: cross-entropy, balanced weights, focal loss; recall and precision of the rare class
memory     peak memory while 1,000, 10,000 and 50,000 images stream from disk
speed      images a second of `fit` on an array in memory, and of the same network on the stream from disk, in turns
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from _trained_models import split_flowers

SHARED = Path(__file__).resolve().parents[2] / "shared"
CIFAR, FLOWERS = SHARED / "data" / "cifar10.npz", SHARED / "data" / "flowers"
MOBILENET = SHARED / "zoo" / "imagenet_mobilenet_v1_025" / "mobilenet_v1_0.25_224.h5"
BATCH = 64
COMMON, RARE, RATIO = "daisy", "roses", 10


def main() -> None:
    """Run one part and print its table, line by line as it is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=[*_PARTS, "tutorial", "fed"], help="all but the last two by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if asked.part == "tutorial":
        print(json.dumps(tutorial(asked.epochs, asked.seed, asked.images)))
    elif asked.part == "fed":
        print(json.dumps(fed(asked.images, asked.seeds)))
    else:
        for part in [asked.part] if asked.part else _PARTS:
            _PARTS[part](asked)


def tutorial(epochs: int, seed: int, images: int) -> dict[str, float]:
    """The code of the tutorials: arrays in memory, scaled by hand, `fit` with a validation split; top-1 on the test images."""
    keras: Any = importlib.import_module("keras")
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    with np.load(CIFAR) as data:
        x, y = data["x_train"][:images].astype("float32") / 255, data["y_train"][:images]
        x_test, y_test = data["x_test"].astype("float32") / 255, data["y_test"]
    order = np.random.default_rng(seed).permutation(len(x))  # `validation_split` takes the last ones
    x, y = x[order], y[order]
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for filters, dropout in ((32, 0.2), (64, 0.3), (128, 0.4)):
        for _ in range(2):
            model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D())
        model.add(layers.Dropout(dropout))
    model.add(layers.Flatten())
    model.add(layers.Dense(128, activation="relu"))
    model.add(layers.BatchNormalization())
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    began = time.perf_counter()
    model.fit(x, y, batch_size=BATCH, epochs=epochs, validation_split=0.2, verbose=0)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "cpu_seconds": time.process_time(), "top1": model.evaluate(x_test, y_test, verbose=0)[1]}


def fed(images: int, rounds: int) -> dict[str, list[float]]:
    """Images a second of `fit` on an array and on a stream from disk, one epoch of each in turns, on the clock and of processor time."""
    from edgecls.data import open_images
    from edgecls.records.image_spec import ImageSpec
    from edgecls.records.training import TrainingPlan
    from edgecls.training.networks import build_network, cnn
    from edgecls.training.streams import Stream

    keras: Any = importlib.import_module("keras")
    spec = ImageSpec(height=32, width=32, channels=3)
    source = open_images(CIFAR, spec, role="training", limit=images)
    labels = source.labels
    assert labels is not None
    x = source.pixels.read(0, images).astype("float32")
    stream = Stream(source.pixels, np.arange(images), labels, batch=BATCH)
    model = build_network(TrainingPlan(), spec, 10, cnn).model
    model.compile(keras.optimizers.AdamW(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    found: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for kind, feed in (
            ("memory", {"x": x, "y": labels, "batch_size": BATCH}),
            ("disk", {"x": stream.epoch(number), "shuffle": False}),
        ):
            began, used = time.perf_counter(), time.process_time()
            model.fit(**feed, epochs=1, verbose=0)
            seen = stream.steps * BATCH if kind == "disk" else images
            if number:  # the first round traces
                found.setdefault(kind, []).append(seen / (time.perf_counter() - began))
                found.setdefault(f"{kind}, processor", []).append(seen / (time.process_time() - used))
    return found


def _cifar(asked: argparse.Namespace) -> None:
    print(
        f"| seed | code | top-1, {asked.epochs} epochs | seconds | processor seconds |\n| --: | --- | --: | --: | --: |",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        data = _subset(Path(name), asked.images)
        for seed in range(asked.seeds):
            plain = _own_process("tutorial", "--epochs", asked.epochs, "--seed", seed, "--images", asked.images)
            print(
                f"| {seed} | tutorial | {plain['top1']:.2%} | {plain['seconds']:.0f} | {plain['cpu_seconds']:.0f} |", flush=True
            )
            ours = _train(data, Path(name) / "out", "--batch", BATCH, "--epochs", asked.epochs, "--seed", seed)
            seconds = sum(epoch["seconds"] for epoch in ours["epochs"])
            top1 = ours["evaluation"]["accuracy"]["top1"]
            print(f"| {seed} | `edgecls train` | {top1:.2%} | {seconds:.0f} | {ours['cpu_seconds']:.0f} |", flush=True)


def _flowers(asked: argparse.Namespace) -> None:
    print(
        "| seed | top-1, 184 test images | kept epoch, held out | seconds | processor seconds |\n| --: | --: | --: | --: | --: |",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        split_flowers(FLOWERS, Path(name) / "photos")
        network = (
            "--model",
            MOBILENET,
            "--size",
            128,
            "--epochs",
            6,
            "--fine-tune",
            18,
            "--fine-tune-rate",
            2e-4,
        )
        changes = ("--flip", "horizontal", "--zoom", 0.1)
        for seed in range(asked.seeds):
            done = _train(Path(name) / "photos", Path(name) / "out", *network, *changes, "--held-out", 0.1, "--seed", seed)
            held_out = done["epochs"][done["kept_epoch"] - 1]["held_out_score"]
            top1 = done["evaluation"]["accuracy"]["top1"]
            print(f"| {seed} | {top1:.2%} | {held_out:.2%} | {done['seconds']:.0f} | {done['cpu_seconds']:.0f} |", flush=True)


def _imbalance(asked: argparse.Namespace) -> None:
    print(
        "| seed | loss | recall of the rare class | its precision | balanced accuracy |\n| --: | --- | --: | --: | --: |",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        for seed in range(asked.seeds):
            data = _uneven(Path(name) / str(seed), seed)
            for title, options in (
                ("cross-entropy", ()),
                ("balanced weights", ("--class-weights", "balanced")),
                ("focal", ("--loss", "focal")),
                ("focal, balanced weights", ("--loss", "focal", "--class-weights", "balanced")),
            ):
                base = ("--model", MOBILENET, "--size", 128, "--epochs", asked.epochs, "--batch", 16, "--seed", seed)
                found = _train(data, Path(name) / "out", *base, *options)["evaluation"]
                rare = next(row for row in found["accuracy"]["classes"] if row["label"] == RARE)
                line = f"{rare['recall']:.1%} | {rare['precision']:.1%} | {found['balanced_accuracy']:.1%}"
                print(f"| {seed} | {title} | {line} |", flush=True)


def _memory(asked: argparse.Namespace) -> None:
    print("| images | peak memory, MiB |\n| --: | --: |", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for images in (1_000, 10_000, 50_000):
            data = Path(name) / "images.npz"
            pixels = np.random.default_rng(0).integers(0, 256, (images, 32, 32, 3), np.uint8)
            np.savez(data, x=pixels, y=np.arange(images) % 10)
            del pixels
            done = _train(data, Path(name) / "out", "--batch", 250, "--epochs", 1, "--model", "resnet")
            print(f"| {images:,} | {done['peak_memory_bytes'] / 2**20:.0f} |", flush=True)


def _speed(asked: argparse.Namespace) -> None:
    print("| fed from | images/s on the clock | images/s of processor time |\n| --- | --: | --: |", flush=True)
    found = _own_process("fed", "--images", asked.images, "--seeds", asked.seeds)
    for kind in ("memory", "disk"):
        print(f"| {kind} | {np.median(found[kind]):.0f} | {np.median(found[f'{kind}, processor']):.0f} |", flush=True)


_PARTS = {"cifar": _cifar, "flowers": _flowers, "imbalance": _imbalance, "memory": _memory, "speed": _speed}


def _own_process(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, __file__, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def _train(data: Path, folder: Path, *options: object) -> dict[str, Any]:
    """training.json of `edgecls train`."""
    command = [sys.executable, "-m", "edgecls.cli", "train", str(data), "-o", str(folder), *map(str, options)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads((folder / "training.json").read_text())


def _subset(folder: Path, images: int) -> Path:
    """The first training images of CIFAR-10's subset, and all test images."""
    with np.load(CIFAR) as data:
        parts = {key: data[key][:images] if key.endswith("train") else data[key] for key in data.files}
    np.savez(folder / "cifar.npz", **parts)
    return folder / "cifar.npz"


def _uneven(folder: Path, seed: int) -> Path:
    """Train folders of many daisies and a tenth as many roses, test folders of as many of each."""
    generator = np.random.default_rng(seed)
    for label in (COMMON, RARE):
        found = sorted((FLOWERS / label).glob("*.jpg"))
        photos = [found[place] for place in generator.permutation(len(found))]
        tested, rest = photos[:40], photos[40:]
        common = len(list((FLOWERS / COMMON).glob("*.jpg"))) - 40
        trained = rest if label == COMMON else rest[: max(4, common // RATIO)]
        for part, chosen in (("train", trained), ("test", tested)):
            (folder / part / label).mkdir(parents=True)
            for photo in chosen:
                (folder / part / label / photo.name).symlink_to(photo)
    return folder


if __name__ == "__main__":
    main()
