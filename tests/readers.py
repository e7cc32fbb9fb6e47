"""Every reader of a stranger's file: how to make a sound file for it, and how it is read. What they do with damage is tested and tabled."""

from __future__ import annotations

import contextlib
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from damage import damaged
from edgecls.errors import EdgeclsError


@dataclass(frozen=True)
class Reader:
    """A reader and a sound file for it.

    Attributes:
        make: writes the file or folder into an empty folder and returns what is read.
        read: reads it whole.
        parts: which files of a folder are damaged, as a pattern.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    parts: str = "*"


@dataclass
class Outcome:
    """What became of damaged copies: how many were refused with an error of ours, how many read; anything else by its number."""

    refused: int = 0
    read: int = 0
    other: dict[int, str] = field(default_factory=dict)

    @property
    def copies(self) -> int:
        return self.refused + self.read + len(self.other)


def try_damage(reader: Reader, folder: Path, numbers: Iterable[int]) -> Outcome:
    """Read damaged copies of the reader's file; each number is the seed of one."""
    folder.mkdir(parents=True)
    path = reader.make(folder)
    files = sorted(file for file in path.rglob(reader.parts) if file.is_file()) if path.is_dir() else [path]
    sound = {file: file.read_bytes() for file in files}
    reader.read(path)
    outcome = Outcome()
    for number in numbers:
        rng = random.Random(f"{reader.name} {number}")
        file = rng.choice(files)
        _replace(file, damaged(sound[file], rng))
        try:
            reader.read(path)
            outcome.read += 1
        except EdgeclsError as error:
            assert "\n" not in str(error)
            outcome.refused += 1
        except Exception as error:  # noqa: BLE001 - whatever escapes is what is looked for
            outcome.other[number] = f"{type(error).__name__}: {error}"
        _replace(file, sound[file])
    return outcome


def _replace(file: Path, content: bytes) -> None:
    """Another file under the name: the old one may still be mapped."""
    file.unlink()
    file.write_bytes(content)


def command(*arguments: object) -> None:
    """A command line in this process, without what it prints.

    Raises:
        EdgeclsError: it ended with the exit code of one.
    """
    from edgecls.cli.app import app

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as remarks:
        code = app([str(argument) for argument in arguments], standalone_mode=False)
    if code in (2, 3):
        raise EdgeclsError("a sound file", remarks.getvalue(), "damage is refused")


def _written(name: str, content: bytes | str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def _artifacts(folder: Path) -> Path:
    import gate_folder as gate

    folder = folder / "digits.artifacts"
    manifest = gate.make_folder(folder, {gate.FLOAT: 4, gate.INT8: 4})
    gate.write_results(folder, manifest, {name: gate.row(name) for name in (gate.FLOAT, gate.INT8)})
    return folder


def _results(folder: Path) -> Path:
    return _artifacts(folder) / "results.json"


def _baseline(folder: Path) -> Path:
    from edgecls.workflow.check import CheckRequest, update_baseline

    path = folder / "edgecls-baseline.json"
    update_baseline(CheckRequest(folder=_artifacts(folder), baseline=path))
    return path


def _tflite(folder: Path) -> Path:
    from edgecls.converters.tflite.metadata import write_tflite
    from edgecls.records.image_spec import ImageSpec
    from edgecls.records.metadata import ArtifactMetadata
    from written_tflite import classifier

    spec = ImageSpec(height=4, width=4, channels=3)
    record = ArtifactMetadata(
        name="base",
        image_spec=spec,
        labels=["a", "b", "c"],
        outputs=3,
        output_kind="softmax",
        source_sha256="a",
        edgecls_version="0",
    )
    return _written("m.tflite", write_tflite(classifier(), record))(folder)


def _onnx(folder: Path) -> Path:
    return next(_artifacts(folder).glob("*.onnx"))


def _package(folder: Path) -> Path:
    import mil_packages

    return mil_packages.classifier(folder)


def _archive(folder: Path) -> Path:
    path = folder / "data.npz"
    images = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), np.uint8)
    np.savez_compressed(path, x=images, y=np.arange(12) % 3, class_names=np.array(["a", "b", "c"]))
    return path


def _table(folder: Path) -> Path:
    images = _images(folder)
    path = images / "labels.csv"
    names = sorted(file.relative_to(images).as_posix() for file in images.rglob("*.*"))
    lines = [f"{name},{index % 2},{index % 3 // 2},1" for index, name in enumerate(names * 3)]
    path.write_text("\n".join(["file,cat,dog,ant", *lines]) + "\n")
    return path


def _reference(folder: Path) -> Path:
    path = folder / "reference.npz"
    np.savez_compressed(path, scores=np.ones((5, 3), np.float32), seed=np.array(7), source_sha256=np.array("a" * 64))
    return path


def _images(folder: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    path = folder / "images" / "a"
    path.mkdir(parents=True)
    for suffix in ("png", "jpg", "bmp", "gif", "webp", "tiff"):
        Image.fromarray(pixels).save(path / f"image.{suffix}")
    return folder / "images"


ARCHITECTURE = {
    "module": "keras",
    "class_name": "Sequential",
    "registered_name": None,
    "keras_version": "3.0.0",
    "config": {
        "name": "m",
        "layers": [
            {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 4, 4, 3], "name": "i"}},
            {"module": "keras.layers", "class_name": "Flatten", "config": {"name": "f"}},
            {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "units": 3, "activation": "softmax"}},
        ],
    },
}  # fmt: skip


def _tfjs(folder: Path) -> Path:
    (folder / "weights.bin").write_bytes(np.arange(12, dtype="<f4").tobytes() + bytes(range(12)))
    rule = {"dtype": "uint8", "min": -1.0, "scale": 0.25}
    weights = [
        {"name": "d/kernel", "shape": [4, 3], "dtype": "float32"},
        {"name": "e/kernel", "shape": [12], "dtype": "float32", "quantization": rule},
    ]
    manifest = [{"paths": ["weights.bin"], "weights": weights}]
    (folder / "model.json").write_text(json.dumps({"modelTopology": ARCHITECTURE, "weightsManifest": manifest}))
    return folder


def _read_tfjs(path: Path) -> object:
    from edgecls.models.model_file import examine
    from edgecls.models.tfjs import read_weights

    file = examine(path)
    return read_weights(file.weights_manifest or {}, file.path)


def _h5(folder: Path) -> Path:
    import h5py

    path = folder / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(ARCHITECTURE), "2.15.0"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"f", b"d"]
        dense = weights.create_group("d")
        dense.attrs["weight_names"] = [b"d/kernel:0", b"d/bias:0"]
        dense["d/kernel:0"], dense["d/bias:0"] = np.ones((48, 3), np.float32), np.ones(3, np.float32)
    return path


def _keras(folder: Path) -> Path:
    path = folder / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(ARCHITECTURE))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("model.weights.h5", _h5(folder).read_bytes())
    return path


def _examine(path: Path) -> object:
    from edgecls.models.model_file import examine
    from edgecls.models.repairs import repair_architecture
    from edgecls.models.safety import scan_config

    file = examine(path)
    assert file.config is not None and file.generation is not None
    return scan_config(repair_architecture(file.config, file.generation)[0])


def _variant(folder: Path) -> Path:
    from edgecls.records.artifact import Source
    from edgecls.records.image_spec import ImageSpec
    from edgecls.records.recipe import Pruning, Training
    from edgecls.records.variant import Variant

    variant = Variant(
        name="pruned50", pruning=Pruning(sparsity=0.5), training=Training(), source=Source(name="m", sha256="a", format="keras3-keras"),
        image_spec=ImageSpec(height=4, width=4, channels=3), labels=["a", "b"], labels_source="default", output_kind="softmax",
        outputs=2, sha256="b", fingerprint="c", edgecls_version="0",
    )  # fmt: skip
    _written("variant.json", variant.model_dump_json())(folder)
    return folder


def _read_images(path: Path) -> object:
    from edgecls.data import open_images
    from edgecls.records.image_spec import ImageSpec

    return list(open_images(path, ImageSpec(height=4, width=4, channels=3), role="data").batches(4))


def _read_each(path: Path) -> object:
    """Image by image: of a folder the unreadable ones are left out and counted."""
    return [_read_images(image) for image in sorted(path.rglob("*.*"))]


def _read_reference(path: Path) -> object:
    from edgecls.evaluation.reference import read_reference
    from edgecls.records.image_spec import ImageSpec

    return read_reference(path, ImageSpec(height=4, width=4, channels=3), "a" * 64)


def _read_artifact(path: Path) -> None:
    from edgecls.formats import read_record
    from edgecls.formats.tflite.declared import read_declared

    read_record(path)
    command("inspect", path, "--json")
    if path.suffix == ".tflite":
        read_declared(path)


def _read_recipe(path: Path) -> object:
    from edgecls.records.recipe import read_recipe
    from edgecls.workflow.run import RunRecipe

    return read_recipe(path, RunRecipe)


def _read_budget(path: Path) -> object:
    from edgecls.gate.budget import Budget

    return Budget.read(path).limits("base-tflite-int8")


def _read_labels(path: Path) -> object:
    from edgecls.data.label_file import read_labels

    return read_labels(path, 3)


def _read_variant(path: Path) -> Any:
    from edgecls.records.variant import Variant

    return Variant.read(path).sparsity


def _check(path: Path) -> None:
    command("check", path.parent / "digits.artifacts", "--baseline", path)


def artifact_makers() -> dict[str, Callable[[Path], Path]]:
    """Format -> makes a sound artifact of it."""
    return {"TFLite artifact": _tflite, "ONNX artifact": _onnx, "Core ML package": _package}


RECIPE = """
model = "m.keras"
data = "images"
out = "out"
[pruning]
sparsity = 0.5
[qat]
[training]
epochs = 2
[convert]
targets = ["tflite"]
schemes = "int8"
[bench]
"""
BUDGET = """
latency_reference = "base-tflite-float32"
[default]
max_growth = "2 %"
confidence = 0.9
[artifact."*-int8"]
max_size = "4 MiB"
max_flips = "3 %"
"""

READERS = [
    Reader("Keras `.h5`", _h5, _examine),
    Reader("Keras `.keras`", _keras, _examine),
    Reader("architecture `.json`", _written("m.json", json.dumps(ARCHITECTURE)), _examine),
    Reader("`model.json` of TensorFlow.js", _tfjs, _read_tfjs),
    Reader("TFLite artifact", _tflite, _read_artifact),
    Reader("ONNX artifact", _onnx, _read_artifact),
    Reader("Core ML package", _package, _read_artifact),
    Reader("`manifest.json`", _artifacts, lambda path: command("inspect", path), "manifest.json"),
    Reader("`results.json`", _results, lambda path: command("report", path, "-o", path.with_name("report.html"))),
    Reader("baseline", _baseline, _check),
    Reader("budget", _written("edgecls.toml", BUDGET), _read_budget),
    Reader("recipe", _written("recipe.toml", RECIPE), _read_recipe),
    Reader("`variant.json`", _variant, _read_variant, "variant.json"),
    Reader("labels, text", _written("labels.txt", "0 cat\n1 dog\n2 Vogelspinne\n"), _read_labels),
    Reader("labels, JSON", _written("labels.json", '{"0": ["n1", "cat"], "1": ["n2", "dog"], "2": ["n3", "ant"]}'), _read_labels),
    Reader("images", _images, _read_each),
    Reader("`.csv` beside images", _table, _read_images),
    Reader("`.npz` archive", _archive, _read_images),
    Reader("`reference.npz`", _reference, _read_reference),
]
