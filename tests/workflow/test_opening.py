"""Models that need more than their path: a size, a signature, a Python file; from the command line to every artifact."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.formats import describe, read_record
from edgecls.records.artifact import Manifest
from edgecls.records.variant import VariantSet
from edgecls.workflow import CompressOptions, ConvertOptions, convert
from edgecls.workflow.compress import compress
from edgecls.workflow.convert_set import convert_all
from edgecls.workflow.run import run

MINE = """
import keras


class Doubled(keras.layers.Layer):
    def call(self, value):
        return 2 * value
"""


@pytest.fixture(scope="module")
def open_model(tmp_path_factory) -> Path:
    """A Keras 3 classifier of colour images of any size into three classes."""
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    body = [layers.Conv2D(8, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    path = tmp_path_factory.mktemp("open") / "open.keras"
    keras.Sequential([keras.Input((None, None, 3)), *body]).save(path)
    return path


@pytest.fixture(scope="module")
def custom_model(tmp_path_factory) -> tuple[Path, Path]:
    """A Keras 3 classifier of 12x12 images with a custom layer, and the Python file with it."""
    import keras

    folder = tmp_path_factory.mktemp("custom")
    (folder / "mine.py").write_text(MINE)
    names: dict[str, Any] = {"__name__": "mine"}
    exec(MINE, names)
    layers = keras.layers
    body = [names["Doubled"](), layers.Conv2D(8, 3), layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    keras.Sequential([keras.Input((12, 12, 3)), *body]).save(folder / "custom.keras")
    return folder / "custom.keras", folder / "mine.py"


def shapes(folder: Path) -> set[tuple[Any, ...]]:
    """Sizes of images that the files of a folder take, the batch and channel axes apart."""
    found = set()
    for row in Manifest.read(folder).artifacts:
        path, record = folder / row.path, read_record(folder / row.path)
        assert record is not None
        found.add((record.image_spec.height, record.image_spec.width))
        found.add(tuple(size for size in describe(path).inputs[0].shape[1:] if size != 3))
    return found


def test_a_size_from_the_command_line_is_in_every_artifact(command, open_model: Path, small_images: Path, tmp_path: Path):
    """Of 12 x 12 here, as the images are; verified against the model, and kept in the manifest."""
    out = tmp_path / "out"
    options = ["--input-size", "12x12", "--calibration", small_images, "--schemes", "float32,int8", "-o", out]
    done = command("convert", open_model, *options)
    assert done.exit_code == 0, done.stderr
    manifest = Manifest.read(out)
    assert {row.target for row in manifest.artifacts} == {"tflite", "onnx", "coreml"}
    assert {row.parity.verdict for row in manifest.artifacts if row.parity} == {"passed"}
    assert (manifest.source.input_size, manifest.image_spec.input_shape) == ("12x12", (12, 12, 3))
    assert shapes(out) == {(12, 12)}


@pytest.mark.parametrize("verb", ["convert", "inspect", "compress"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "--input-size 224x224"),
        (["--input-size", "0x0"], "HEIGHTxWIDTH"),
        (["--input-size", "2x2"], "that the model can take"),
        (["--signature", "serve"], "leave --signature out"),
        (["--custom-objects", "mine.py"], "repeat with --allow-code"),
        (["--custom-objects", "nowhere.py", "--allow-code"], "nowhere.py"),
    ],
)
def test_what_cannot_be_is_one_line(command, open_model: Path, small_images: Path, tmp_path: Path, verb, options, expected):
    data = ["--data", small_images, "--prune", "0.5"] if verb == "compress" else []
    out = [] if verb == "inspect" else ["-o", tmp_path / "out"]
    done = command(verb, open_model, *options, *data, *out)
    assert done.exit_code == 2
    assert expected in done.stderr
    assert expected in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_inspect_takes_a_size(command, open_model: Path, tmp_path: Path):
    done = command("inspect", open_model, "--input-size", "10x14", "--json")
    assert done.exit_code == 0, done.stderr
    assert "10,\n" in done.stdout
    out = tmp_path / "out"
    convert(ConvertOptions(model=open_model, input_size="10x14", targets=("tflite",), schemes="float32", output=out))
    done = command("inspect", out / "base-tflite-float32.tflite", "--input-size", "10x14")
    assert done.exit_code == 2
    assert "leave --input-size out" in done.stderr


def test_a_signature_from_the_command_line(command, tmp_path: Path):
    """The artifact answers as the named function does: the first row of the image."""
    import tensorflow as tf

    module = tf.Module()
    image = [tf.TensorSpec((None, 8, 6, 1), tf.float32, name="image")]
    module.a = tf.function(lambda image: image[:, 0, :, 0] * 1.0, input_signature=image)
    module.b = tf.function(lambda image: image[:, :, 0, 0] * 1.0, input_signature=image)
    tf.saved_model.save(module, str(tmp_path / "two"), signatures={"rows": module.a, "columns": module.b})
    refused = command("convert", tmp_path / "two", "-o", tmp_path / "out")
    assert refused.exit_code == 2
    assert "--signature columns" in refused.stderr
    for name, outputs in (("rows", 6), ("columns", 8)):
        options = ["--signature", name, "--targets", "tflite", "--schemes", "float32", "-o", tmp_path / name]
        assert command("convert", tmp_path / "two", *options).exit_code == 0
        manifest = Manifest.read(tmp_path / name)
        assert (manifest.source.signature, manifest.outputs) == (name, outputs)


def test_custom_objects_from_the_command_line(command, custom_model: tuple[Path, Path], tmp_path: Path):
    model, python = custom_model
    options = ["--targets", "tflite", "--schemes", "float32", "-o", tmp_path / "out"]
    refused = command("convert", model, *options)
    assert refused.exit_code == 2
    assert "--custom-objects FILE.py --allow-code" in refused.stderr
    done = command("convert", model, "--custom-objects", python, "--allow-code", *options)
    assert done.exit_code == 0, done.stderr
    assert Manifest.read(tmp_path / "out").source.custom_objects == "mine.py"
    done = command("inspect", model, "--custom-objects", python, "--allow-code")
    assert done.exit_code == 0, done.stderr
    assert "Doubled" in done.stdout or "conv2d" in done.stdout


def test_a_set_of_variants_remembers_how_its_base_is_read(custom_model, small_images: Path, tmp_path: Path):
    """The base is loaded again with the Python file; the variants need none."""
    from edgecls.records.recipe import Pruning, Recipe, Training

    model, python = custom_model
    compress(
        CompressOptions(
            model=model,
            data=small_images,
            recipe=Recipe(pruning=Pruning(sparsity=0.5), training=Training(epochs=1)),
            custom_objects=python,
            allow_code=True,
            output=tmp_path / "variants",
        )
    )
    assert VariantSet.read(tmp_path / "variants").custom_objects == str(python)
    options = ConvertOptions(
        model=tmp_path / "variants", targets=("tflite",), schemes="float32", allow_code=True, output=tmp_path / "out"
    )
    manifest = convert_all(options)
    assert {(row.variant, row.status) for row in manifest.artifacts} == {("base", "ok"), ("pruned50", "ok")}


def test_a_recipe_has_a_size_a_python_file_and_a_border(custom_model, small_images: Path, tmp_path: Path):
    """A recipe alone runs no code: that is the caller's to allow."""
    from edgecls.errors import UnsafeModelError

    model, python = custom_model
    for path in (model, python, small_images):
        shutil.copy(path, tmp_path / path.name)
    (tmp_path / "recipe.toml").write_text(
        f'model = "{model.name}"\ndata = "{small_images.name}"\nout = "out"\ninput_size = "12x12"\ncustom_objects = "mine.py"\n'
        'control = true\n[training]\nepochs = 1\n[convert]\ntargets = ["tflite"]\nschemes = "int8"\nio = "uint8"\n'
        "[bench]\nmin_seconds = 0\nmin_runs = 2\n"
    )
    with pytest.raises(UnsafeModelError, match="--allow-code"):
        run(tmp_path / "recipe.toml")
    outcome = run(tmp_path / "recipe.toml", allow_code=True)
    assert {(row.actual.input_dtype, row.status) for row in outcome.manifest.artifacts if row.actual} == {("uint8", "ok")}
    assert {row.variant for row in outcome.manifest.artifacts} == {"base", "control"}
    assert np.isfinite([row.parity.snr_db for row in outcome.manifest.artifacts if row.parity and row.parity.snr_db]).all()
