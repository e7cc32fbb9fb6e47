"""compress: what a user sees, what is refused before training, and what a kill leaves behind."""

from __future__ import annotations

import dataclasses
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.errors import ArtifactError, DataError, EdgeclsError, RecipeError, SchemeError, UnsupportedModelError
from edgecls.records.artifact import Manifest
from edgecls.records.recipe import Recipe
from edgecls.records.variant import MODEL_NAME, Variant, VariantSet
from edgecls.training.checkpoint import write_checkpoint
from edgecls.workflow import BenchRequest, CompressOptions, ConvertOptions, bench, compress, convert, convert_all, read_variants

EDGECLS = [sys.executable, "-m", "edgecls.cli"]
TRAINING = {"epochs": 2, "batch": 8, "learning_rate": 0.001}


def recipe(**parts: Any) -> Recipe:
    return Recipe.model_validate({"training": TRAINING, **parts})


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*EDGECLS, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


@pytest.fixture(scope="module")
def small_model(tmp_path_factory) -> Path:
    """A Keras 3 classifier of 12x12 colour images into three classes, random weights; each BatchNorm folds into its convolution."""
    import keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(8, 3, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Conv2D(16, 3, strides=2, name="second"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    path = tmp_path_factory.mktemp("small") / "small.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def variants(small_model: Path, small_images: Path, tmp_path_factory) -> Path:
    """A folder with control, pruned50, qat and pruned50-qat of the small model."""
    out = tmp_path_factory.mktemp("compressed") / "small.variants"
    asked = recipe(pruning={"sparsity": 0.5}, qat={}, control=True)
    compress(CompressOptions(small_model, small_images, asked, output=out, preprocess="0..1"))
    return out


def test_each_variant_says_what_made_it_and_what_it_holds(variants: Path) -> None:
    done = VariantSet.read(variants)
    assert done.variants == ["control", "control2", "pruned50", "qat", "pruned50-qat"]
    control, longer, pruned, qat, both = read_variants(variants)
    assert longer.recipe == {"training": {**control.recipe["training"], "epochs": 4}}  # as long as the variant of two stages
    assert [epoch.epoch for epoch in pruned.epochs] == [1, 2]
    assert both.pruning is not None
    assert both.sparsity == pytest.approx(0.5, abs=0.01)
    assert control.sparsity == qat.sparsity == 0
    assert both.ranges is not None
    assert pruned.ranges is None
    assert {variant.source.sha256 for variant in (control, pruned, qat, both)} == {done.source.sha256}
    assert both.image_spec.std == (255.0,)


def test_variants_stand_beside_their_base_and_are_benched_together(variants: Path, small_images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    schemes = "tflite:float32,tflite:int8,onnx:int8"
    options = ConvertOptions(variants, schemes=schemes, calibration=small_images, data=small_images, output=out)
    manifest = convert_all(options)
    names = [row.name for row in manifest.artifacts]
    assert names[0] == "base-tflite-float32"
    assert len(names) == 6 * 3
    made = {"control", "control2", "pruned50", "qat", "pruned50-qat"}
    assert {row.variant for row in manifest.artifacts} == {"base", *made}
    assert manifest.recipes.keys() == made
    assert manifest.recipes["pruned50"]["pruning"]["sparsity"] == 0.5
    for row in manifest.artifacts:
        assert row.status == "ok", row
        assert row.actual is not None
        zeros = 0.5 if row.variant.startswith("pruned50") else 0
        assert row.actual.sparsity == pytest.approx(zeros, abs=0.03), row.name  # int8 rounds a few small weights to nought
        if zeros:
            assert row.actual.sparsity >= zeros
    report = bench(BenchRequest(folder=out))
    assert {row.status for row in report.measurements} == {"ok"}
    again = convert(ConvertOptions(variants / "pruned50", targets=("tflite",), schemes="float16", output=out))
    assert len(again.artifacts) == 19
    assert [row.variant for row in again.artifacts][9:13] == ["pruned50"] * 4
    assert (out / "reference.npz").exists()


def test_a_variant_goes_to_its_bases_folder_and_keeps_what_it_was_compressed_with(
    variants: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ConvertOptions(variants / "pruned50", targets=("tflite",), schemes="float32")
    assert convert(options).artifacts[0].name == "pruned50-tflite-float32"
    assert Manifest.read(tmp_path / "small.keras.artifacts").image_spec.std == (255.0,)
    with pytest.raises(SchemeError, match="a variant that brings its own"):
        convert(dataclasses.replace(options, preprocess="-1..1"))
    with pytest.raises(SchemeError, match="whose variants bring their own"):
        convert_all(dataclasses.replace(options, model=variants, preprocess="-1..1"))


def test_what_failed_of_one_variant_is_still_told_after_the_next(variants: Path, tmp_path: Path, monkeypatch) -> None:
    from edgecls.converters.tflite import convert as tflite

    out = tmp_path / "out"
    options = ConvertOptions(variants / "control", targets=("tflite",), schemes="float32", output=out)

    def fails(_: object) -> bytes:
        raise RuntimeError("deep inside")

    monkeypatch.setattr(tflite, "float_tflite", fails)
    assert [row.status for row in convert(options).artifacts] == ["failed"]
    monkeypatch.undo()
    both = convert(dataclasses.replace(options, model=variants / "pruned50")).artifacts
    assert [(row.variant, row.status) for row in both] == [("control", "failed"), ("pruned50", "ok")]
    mended = convert(options).artifacts
    assert [(row.variant, row.status) for row in mended] == [("control", "ok"), ("pruned50", "ok")]


def test_a_changed_model_is_no_variant(variants: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pruned50"
    folder.mkdir()
    for name in (MODEL_NAME, "variant.json"):
        (folder / name).write_bytes((variants / "pruned50" / name).read_bytes())
    with (folder / MODEL_NAME).open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(ArtifactError, match="which has changed since"):
        convert(ConvertOptions(folder, output=tmp_path / "out"))
    (folder / "variant.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"variant\.json of schema version 1"):
        convert(ConvertOptions(folder, output=tmp_path / "out"))


def test_clusters_are_still_clusters_in_the_files(small_model: Path, small_images: Path, tmp_path: Path) -> None:
    asked = recipe(clustering={"clusters": 8}, pruning={"sparsity": 0.5}, variants=["pruned50-clustered8"])
    compress(CompressOptions(small_model, small_images, asked, output=tmp_path / "v"))
    assert [variant.name for variant in read_variants(tmp_path / "v")] == ["pruned50", "pruned50-clustered8"]
    options = ConvertOptions(tmp_path / "v" / "pruned50-clustered8", schemes="float32,float16", output=tmp_path / "out")
    for row in convert(options).artifacts:
        assert row.actual is not None
        assert row.actual.sparsity >= 0.5, row.name
        assert row.actual.distinct_values, row.name
        assert max(row.actual.distinct_values.values()) <= 8, (row.name, row.actual.distinct_values)


def test_resume_keeps_what_is_unchanged_and_makes_the_rest(small_model: Path, small_images: Path, tmp_path: Path) -> None:
    options = CompressOptions(small_model, small_images, recipe(pruning={"sparsity": 0.5}), output=tmp_path / "v", resume=True)
    compress(options)
    before = (tmp_path / "v" / "pruned50" / MODEL_NAME).stat().st_mtime_ns
    compress(options)
    assert (tmp_path / "v" / "pruned50" / MODEL_NAME).stat().st_mtime_ns == before
    compress(dataclasses.replace(options, recipe=recipe(pruning={"sparsity": 0.5, "skip_last": True})))
    assert (tmp_path / "v" / "pruned50" / MODEL_NAME).stat().st_mtime_ns > before


def test_what_another_recipe_left_beside_a_finished_variant_stops_nothing(
    small_model: Path, small_images: Path, tmp_path: Path
) -> None:
    options = CompressOptions(small_model, small_images, recipe(pruning={"sparsity": 0.5}), output=tmp_path / "v", resume=True)
    compress(options)
    before = (tmp_path / "v/pruned50" / MODEL_NAME).stat().st_mtime_ns
    left, of_another = tmp_path / "v/.pruned50.checkpoint.npz", tmp_path / "v/.pruned50.5.checkpoint.npz"  # as of 50.5 %
    for path in (left, of_another):
        write_checkpoint(path, "of another recipe", [], [])
    compress(options)
    assert (tmp_path / "v/pruned50" / MODEL_NAME).stat().st_mtime_ns == before
    assert not left.exists() and of_another.exists()


def test_a_kill_in_the_middle_of_an_epoch_and_resume_give_the_same_weights(
    small_model: Path, small_images: Path, tmp_path: Path
) -> None:
    import tf_keras

    arguments = ["compress", small_model, "--data", small_images, "--prune", "0.5", "--epochs", "2000", "--batch", "8"]
    arguments += ["--learning-rate", "0.001", "--shift", "0.2"]
    process = subprocess.Popen(
        [*EDGECLS, *map(str, arguments), "-o", str(tmp_path / "v")], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    checkpoint = tmp_path / "v" / ".pruned50.checkpoint.npz"
    until = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists()
    assert not (tmp_path / "v" / "pruned50").exists()
    # the same with fewer epochs would be another recipe: what was left behind must be refused
    few = recipe(pruning={"sparsity": 0.5})
    with pytest.raises(EdgeclsError, match="start anew without --resume"):
        compress(CompressOptions(small_model, small_images, few, output=tmp_path / "v", resume=True))

    whole = compress(CompressOptions(small_model, small_images, few, output=tmp_path / "whole"))
    script = (
        "import os, signal, sys; from pathlib import Path; "
        "from edgecls.workflow import *; from edgecls.records.recipe import Recipe\n"
        "def kill_at_the_last_step(event):\n"
        "    if event.total and event.done == event.total - 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "compress(CompressOptions(Path(sys.argv[1]), Path(sys.argv[2]), Recipe.model_validate_json(sys.argv[3]), output=Path(sys.argv[4])),"
        " kill_at_the_last_step)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, str(small_model), str(small_images), few.model_dump_json(), str(tmp_path / "again")],
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "again" / ".pruned50.checkpoint.npz").exists()
    compress(CompressOptions(small_model, small_images, few, output=tmp_path / "again", resume=True))
    models: list[Any] = [
        tf_keras.models.load_model(tmp_path / name / "pruned50" / MODEL_NAME, compile=False) for name in ("whole", "again")
    ]
    for one, other in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == ["pruned50", "variants.json"]
    assert whole.variants == ["pruned50"]


def test_a_training_that_cannot_be_gone_on_with_is_refused_before_the_first(
    small_model: Path, small_images: Path, tmp_path: Path
) -> None:
    asked = recipe(pruning={"sparsity": 0.5}, qat={}, variants=["pruned50-qat"])
    options = CompressOptions(small_model, small_images, asked, output=tmp_path / "v", resume=True)
    left = [tmp_path / "v" / f".pruned50-qat.{part}checkpoint.npz" for part in ("", "2.round.", "2.training.")]
    left[0].parent.mkdir()
    for path in left:
        write_checkpoint(path, "of another recipe", [], [])
    with pytest.raises(RecipeError, match="start anew without --resume"):
        compress(options)
    assert not (tmp_path / "v" / "pruned50").exists()
    compress(dataclasses.replace(options, resume=False))
    assert not any(path.exists() for path in left)


def test_data_that_do_not_fit_are_refused_before_training(small_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "five.npz"
    np.savez(path, x=np.zeros((40, 12, 12, 3), np.uint8), y=np.arange(40) % 5)
    with pytest.raises(DataError, match="labels from 0 to 2"):
        compress(CompressOptions(small_model, path, recipe(qat={}), output=tmp_path / "v"))
    np.savez(path, x=np.zeros((6, 12, 12, 3), np.uint8), y=np.arange(6) % 3)
    with pytest.raises(DataError, match="at least one batch of 8 images"):
        compress(CompressOptions(small_model, path, recipe(qat={}), output=tmp_path / "v"))
    with pytest.raises(DataError, match="nothing at"):
        compress(CompressOptions(small_model, tmp_path / "none", recipe(qat={}), output=tmp_path / "v"))
    assert not (tmp_path / "v").exists()


def test_a_saved_model_of_inference_alone_cannot_be_trained(small_images: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    class Network(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 12, 12, 3), tf.float32)])
        def serve(self, image: Any) -> Any:
            return {"scores": tf.nn.softmax(tf.reduce_mean(image, axis=(1, 2)))}

    network = Network()
    tf.saved_model.save(network, str(tmp_path / "saved"), signatures=network.serve)
    with pytest.raises(UnsupportedModelError, match="a model with layers, found a SavedModel, which holds"):
        compress(CompressOptions(tmp_path / "saved", small_images, recipe(qat={}), output=tmp_path / "v"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--prune", "1.2"], "options with possible values, found --prune: input should be less than 1, given 1.2"),
        (["--prune", "0"], "--prune: input should be greater than 0"),
        (["--prune-channels", "1"], "--prune-channels: input should be less than 1"),
        (["--prune-channels", "0.5", "--channel-multiple", "0"], "--channel-multiple: input should be greater"),
        (["--prune-channels", "0.5", "--channel-rounds", "0"], "--channel-rounds: input should be greater"),
        (["--prune-channels", "0.5", "--channel-importance", "x"], "--channel-importance: input should be 'taylor'"),
        (["--cluster", "1"], "--cluster: input should be greater"),
        (["--qat", "--learning-rate", "0"], "--learning-rate: input should be greater than 0"),
        (["--qat", "--shift", "0.6"], "--shift: input should be less than 0.5"),
        (["--qat", "--distill", "--distill-weight", "2"], "--distill-weight: input should be less"),
        (["--prune", "0.4", "--prune-pattern", "2:4"], "--prune: the pattern 2:4 is a sparsity of 0.5"),
        (["--prune-pattern", "2:4"], "--prune together with"),
        (["--qat", "--skip-first"], "--prune or --cluster together with"),
        (["--prune", "0.5", "--keep-float", "conv"], "--qat together with --keep-float"),
        (["--qat", "--temperature", "3"], "--distill together with"),
        (["--qat", "--variants", "pruned50"], "variants among qat"),
        ([], "ask for --prune-channels, --prune, --cluster, --qat or --control"),
        (["--recipe", "none.toml"], "none.toml: No such file"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(
    edgecls, small_model: Path, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    done = edgecls("compress", small_model, "--data", "digits", "-o", tmp_path / "v", *arguments)
    assert done.exit_code == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "v").exists()


def test_a_recipe_file_and_options_contradict_each_other(edgecls, small_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("[qat]\n")
    done = edgecls("compress", small_model, "--data", "digits", "--recipe", path, "--prune", "0.5")
    assert done.exit_code == 2
    assert "a recipe file, or the options that say the same" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's tmpfs mounts")  # noqa: PTH110
def test_a_full_disk_is_one_line_and_resume_goes_on(small_model: Path, small_images: Path, tmp_path: Path) -> None:
    mount = tmp_path / "tiny"
    mount.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(mount)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("not allowed to mount a small file system here")
    arguments = ["compress", small_model, "--data", small_images, "--prune", "0.5", "--epochs", "2", "--batch", "8"]
    try:
        done = run(*arguments, "-o", mount / "v")
        assert done.returncode == 2, done.stderr
        assert "No space left" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=10m", str(mount)], check=True)
        done = run(*arguments, "-o", mount / "v", "--resume")
        assert done.returncode == 0, done.stderr
        assert Variant.read(mount / "v" / "pruned50").sparsity >= 0.5
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_model_that_turns_its_channels_round_is_compressed(small_images: Path, tmp_path: Path) -> None:
    """`resnet50.preprocess_input` slices with dots, which the file of a variant cannot hold."""
    import tf_keras

    layers = tf_keras.layers
    inputs = tf_keras.Input((12, 12, 3))
    values = layers.Conv2D(4, 3, activation="relu")(tf_keras.applications.resnet50.preprocess_input(inputs))
    model = tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(values)))
    model.save(tmp_path / "turned.h5")
    asked = recipe(pruning={"sparsity": 0.5}, qat={})
    done = compress(CompressOptions(tmp_path / "turned.h5", small_images, asked, output=tmp_path / "v"))
    assert done.variants == ["pruned50", "qat", "pruned50-qat"]
    options = ConvertOptions(tmp_path / "v" / "pruned50-qat", targets=("tflite", "onnx"), schemes="int8", output=tmp_path / "out")
    assert [row.status for row in convert(options).artifacts] == ["ok", "ok"]


def test_what_cannot_be_saved_is_known_before_training(
    small_model: Path, small_images: Path, tmp_path: Path, monkeypatch
) -> None:
    import tf_keras

    def fails(*_: object, **__: object) -> None:
        raise TypeError("Cannot serialize object Ellipsis")

    monkeypatch.setattr(tf_keras.Model, "save", fails)
    with pytest.raises(UnsupportedModelError, match="variants can be saved, found Cannot serialize object Ellipsis"):
        compress(CompressOptions(small_model, small_images, recipe(qat={}), output=tmp_path / "v"))
    assert not (tmp_path / "v").exists()


def test_a_layer_kept_float_stays_float_in_the_files(small_model: Path, small_images: Path, tmp_path: Path) -> None:
    asked = recipe(qat={"keep_float": ["second"]})
    compress(CompressOptions(small_model, small_images, asked, output=tmp_path / "v"))
    variant = Variant.read(tmp_path / "v" / "qat")
    assert variant.qat is not None
    assert variant.qat.keep_float == ("second",)
    assert len(variant.float_layers) == 1  # the activation that is part of the convolution
    options = ConvertOptions(tmp_path / "v" / "qat", targets=("tflite", "onnx"), schemes="int8", output=tmp_path / "out")
    tflite, onnx = convert(options).artifacts
    assert (tflite.status, onnx.status) == ("ok", "ok")
    assert tflite.actual is not None
    assert "CONV_2D" in {item.operation for item in tflite.actual.stayed_float}


def test_a_layer_to_keep_float_that_is_none(small_model: Path, small_images: Path, tmp_path: Path) -> None:
    for name, expected in (("nonesuch", "which the model does not have"), ("norm", "which is gone: folded into first")):
        asked = recipe(qat={"keep_float": [name]})
        with pytest.raises(RecipeError, match=expected):
            compress(CompressOptions(small_model, small_images, asked, output=tmp_path / "v"))
        assert not (tmp_path / "v").exists()


def test_the_command_that_compress_ends_with_works_where_a_file_of_layers_is_trusted(edgecls, small_images: Path, tmp_path: Path):
    python = tmp_path / "mine.py"
    python.write_text("import keras\n\nclass Twice(keras.layers.Layer):\n    def call(self, value):\n        return 2 * value\n")
    scope: dict[str, Any] = {}
    exec(python.read_text(), scope)
    import keras

    inputs = keras.Input((12, 12, 3))
    value = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(scope["Twice"]()(inputs)))
    keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(value)).save(tmp_path / "own.keras")
    options = ["--custom-objects", python, "--allow-code", "--preprocess", "0..1", "--prune", "0.5", "--epochs", "1"]
    done = edgecls("compress", tmp_path / "own.keras", "--data", small_images, "-o", tmp_path / "v", *options)
    assert done.exit_code == 0, done.stderr
    command = shlex.split(done.stderr.strip().splitlines()[-1].partition("edgecls ")[2])
    done = edgecls(*command, "--targets", "tflite", "--schemes", "float32", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
