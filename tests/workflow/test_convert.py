"""convert: what a user sees, what is refused, and what a kill leaves behind."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.errors import DataError, OutputError, SchemeError, UnsupportedModelError
from edgecls.records.artifact import Manifest
from edgecls.workflow import BenchRequest, ConvertOptions, bench, convert
from terminal import Done

EDGECLS = [sys.executable, "-m", "edgecls.cli"]


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*EDGECLS, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


def one_line(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr
    return lines[0]


def test_the_two_lines_a_user_types_first(small_model: Path, tmp_path: Path):
    first = run("convert", small_model, "--targets", "tflite,coreml", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "class_0" in first.stderr
    assert "Assumed 0..1" in first.stderr
    assert "--calibration" in first.stderr
    manifest = Manifest.read(tmp_path / "small.keras.artifacts")
    assert {artifact.target for artifact in manifest.artifacts} == {"tflite", "coreml"}
    assert "int8" not in {artifact.scheme for artifact in manifest.artifacts}
    assert manifest.labels == ["class_0", "class_1", "class_2"]
    assert {artifact.parity.inputs for artifact in manifest.artifacts if artifact.parity} == {"synthetic"}

    second = run("bench", "--min-seconds", "0.1", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    results = json.loads((tmp_path / "small.keras.artifacts" / "results.json").read_text())
    rows = {row["artifact"]: row for row in results["measurements"]}
    assert rows["base-tflite-float32"]["latency"]["p50_ms"] > 0
    assert rows["base-tflite-float32"]["accuracy"] is None
    assert rows["base-tflite-float32"]["flips"]["reference"] == "source"
    assert rows["base-tflite-float32"]["flips"]["count"] == 0


def test_json_is_all_that_stands_on_stdout(small_model: Path, tmp_path: Path):
    done = run("convert", small_model, "--targets", "tflite", "--schemes", "float32", "--json", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["artifacts"][0]["name"] == "base-tflite-float32"


def test_int8_carries_labels_and_the_data_is_remembered(small_model: Path, small_images: Path, tmp_path: Path):
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\nemu\n")
    out = tmp_path / "out"
    options = ConvertOptions(
        model=small_model,
        targets=("tflite", "onnx"),
        schemes="float32,int8",
        calibration=small_images,
        labels=labels,
        preprocess="-1..1",
        io="int8",
        output=out,
    )
    manifest = convert(options)
    int8 = next(artifact for artifact in manifest.artifacts if artifact.name == "base-tflite-int8")
    assert int8.actual is not None
    assert (int8.actual.input_dtype, int8.actual.output_dtype) == ("int8", "int8")
    assert not int8.actual.stayed_float
    report = bench(BenchRequest(folder=out))
    assert {row.status for row in report.measurements} == {"ok"}
    assert all(row.accuracy and row.accuracy.images == 40 for row in report.measurements)


def test_calibration_images_are_those_of_calibration_not_of_data(small_model: Path, tmp_path: Path):
    """With both given, the training part of the archive calibrates; the test part must not be seen."""
    rng = np.random.default_rng(0)
    path = tmp_path / "split.npz"
    arrays = {"x_train": rng.integers(0, 256, (24, 12, 12, 3)), "x_test": rng.integers(0, 256, (9, 12, 12, 3))}
    contents: dict[str, Any] = {key: value.astype(np.uint8) for key, value in arrays.items()}
    np.savez(path, y_train=np.arange(24) % 3, y_test=np.arange(9) % 3, **contents)
    options = ConvertOptions(
        model=small_model, targets=("tflite",), schemes="int8", calibration=path, data=path, output=tmp_path / "out"
    )
    manifest = convert(options)
    assert [(source.role, source.images) for source in manifest.data] == [("calibration", 24), ("data", 9)]
    assert any("int8 ranges from 24 calibration images" in note for note in manifest.details)


def test_a_second_run_keeps_what_it_does_not_make_again(small_model: Path, tmp_path: Path):
    out = tmp_path / "out"
    convert(ConvertOptions(model=small_model, targets=("tflite",), schemes="float32", output=out))
    (out / "notes.md").write_text("mine")
    manifest = convert(ConvertOptions(model=small_model, targets=("tflite",), schemes="float16", output=out))
    assert [artifact.name for artifact in manifest.artifacts] == ["base-tflite-float16", "base-tflite-float32"]
    assert (out / "notes.md").read_text() == "mine"
    other = convert(ConvertOptions(model=small_model, targets=("onnx",), schemes="float32", preprocess="0..255", output=out))
    assert [artifact.name for artifact in other.artifacts] == ["base-onnx-float32"]  # the others are of another preprocessing


def with_wrong_weights(model: bytes) -> bytes:
    """A sound TFLite file that answers garbage: the first convolution's weights change their sign."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    unpacked: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    weights = next(
        tensor
        for tensor in unpacked.subgraphs[0].tensors
        if len(tensor.shape) == 4 and tensor.buffer and unpacked.buffers[tensor.buffer].data is not None
    )
    buffer = unpacked.buffers[weights.buffer]
    buffer.data = (-np.asarray(buffer.data, np.uint8).view(np.float32)).view(np.uint8)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(unpacked.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_wrong_artifact_is_put_aside(small_model: Path, tmp_path: Path, monkeypatch):
    from edgecls.converters.tflite import convert as tflite

    out = tmp_path / "out"
    options = ConvertOptions(model=small_model, targets=("tflite",), schemes="float32", output=out)
    convert(options)
    real = tflite.float_tflite
    monkeypatch.setattr(tflite, "float_tflite", lambda graph: with_wrong_weights(real(graph)))
    row = convert(options).artifacts[0]
    assert (row.status, row.path) == ("rejected", "base-tflite-float32.tflite.rejected")
    assert "largest difference" in row.reason
    assert (out / row.path).exists()
    assert not (out / "base-tflite-float32.tflite").exists()  # the sound one of before would be taken for this one
    monkeypatch.undo()
    assert convert(options).artifacts[0].status == "ok"
    assert not (out / row.path).exists()


def test_a_scheme_that_changes_nothing_is_no_artifact(tmp_path: Path):
    import keras

    keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Softmax()]).save(
        tmp_path / "now.keras"
    )
    options = ConvertOptions(
        model=tmp_path / "now.keras", targets=("tflite",), schemes="float32,dynamic", output=tmp_path / "out"
    )
    rows = {row.scheme: row for row in convert(options).artifacts}
    assert rows["float32"].status == "ok"
    assert rows["dynamic"].status == "rejected"
    assert "holds no int8 weights" in rows["dynamic"].reason


def test_a_bug_of_one_library_is_one_row(small_model: Path, small_images: Path, tmp_path: Path, monkeypatch):
    from edgecls.quantization import int8

    def fails(*_: object) -> None:
        raise RuntimeError("deep inside")

    monkeypatch.setattr(int8, "reduce_tflite", fails)
    options = ConvertOptions(
        model=small_model, targets=("tflite",), schemes="float32,int8", calibration=small_images, output=tmp_path / "out"
    )
    rows = {row.scheme: row for row in convert(options).artifacts}
    assert rows["float32"].status == "ok"
    assert rows["int8"].status == "failed"
    assert "RuntimeError: deep inside" in rows["int8"].reason


def test_artifacts_of_another_model_are_replaced_and_named(small_model: Path, tmp_path: Path):
    import keras

    other = tmp_path / "small.keras"
    model: Any = keras.saving.load_model(small_model)
    model.set_weights([weights + 1 for weights in model.get_weights()])
    model.save(other)
    out = tmp_path / "out"
    convert(ConvertOptions(model=small_model, targets=("tflite", "onnx"), schemes="float32", output=out))
    manifest = convert(ConvertOptions(model=other, targets=("tflite",), schemes="float32", output=out))
    assert [row.name for row in manifest.artifacts] == ["base-tflite-float32"]
    assert any("replaced the artifacts of another model" in note and "base-onnx-float32" in note for note in manifest.notes)
    assert sorted(path.name for path in out.iterdir()) == ["base-tflite-float32.tflite", "manifest.json", "reference.npz"]
    manifest = convert(ConvertOptions(model=small_model, targets=("tflite",), schemes="float32", output=out))
    assert [note for note in manifest.notes if note.startswith("replaced")] == [
        "replaced the artifacts of another model, small.keras (-o gives each its folder)"
    ]


def test_artifacts_of_other_labels_are_removed_and_named(small_model: Path, tmp_path: Path):
    out, labels = tmp_path / "out", tmp_path / "labels.txt"
    labels.write_text("cat\ndog\nemu\n")
    options = ConvertOptions(model=small_model, schemes="float32", output=out)
    convert(dataclasses.replace(options, targets=("tflite",)))
    again = convert(dataclasses.replace(options, targets=("onnx",)))
    assert not any("removed" in note for note in again.notes)
    manifest = convert(dataclasses.replace(options, targets=("onnx",), labels=labels))
    assert not (out / "base-tflite-float32.tflite").exists()
    assert any(
        "removed artifacts of another name, other labels" in note and "base-tflite-float32.tflite" in note
        for note in manifest.notes
    )


def test_no_verify_is_recorded_and_leaves_no_old_scores(small_model: Path, tmp_path: Path):
    out = tmp_path / "out"
    options = ConvertOptions(model=small_model, targets=("tflite",), schemes="float32", output=out)
    convert(options)
    assert (out / "reference.npz").exists()
    manifest = convert(dataclasses.replace(options, verify=False))
    assert manifest.artifacts[0].parity is not None
    assert manifest.artifacts[0].parity.verdict == "skipped"
    assert not (out / "reference.npz").exists()


def test_the_folder_may_be_a_mount_or_a_link_to_another_disk(small_model: Path, tmp_path: Path):
    elsewhere = Path("/dev/shm") / f"edgecls-{os.getpid()}"
    if not elsewhere.parent.is_dir():
        pytest.skip("no second file system here")
    elsewhere.mkdir()
    (tmp_path / "out").symlink_to(elsewhere)
    try:
        convert(ConvertOptions(model=small_model, targets=("tflite",), schemes="float32", output=tmp_path / "out"))
        assert (elsewhere / "base-tflite-float32.tflite").exists()
    finally:
        shutil.rmtree(elsewhere)


@pytest.mark.parametrize(
    "options",
    [{"io": "int8"}, {"estimator": "mse"}, {"minimum_deployment_target": "iOS16", "targets": ("tflite",)}],
    ids=lambda options: next(iter(options)),
)
def test_options_that_nothing_would_heed_are_refused(small_model: Path, tmp_path: Path, options: dict):
    with pytest.raises(SchemeError, match="together with --"):
        convert(ConvertOptions(model=small_model, output=tmp_path / "out", **options))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--schemes", "int8"], "--calibration PATH"),
        (["--schemes", "int4"], "choose among"),
        (["--targets", "tensorrt"], "targets among"),
        (["--calibration", "nowhere"], "nowhere"),
        (["--labels", "nowhere.txt"], "nowhere.txt"),
        (["--preprocess", "zero-one"], "--preprocess"),
        (["--io", "int16"], "--io among"),
        (["--estimator", "best"], "--estimator among"),
        (["--minimum-deployment-target", "iOS3", "--targets", "coreml"], "iOS3"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(
    command: Callable[..., Done], small_model: Path, tmp_path: Path, arguments: list[str], expected: str
):
    done = command("convert", small_model, "-o", tmp_path / "out", *arguments)
    assert done.exit_code == 2, done.stderr
    assert expected in one_line(done.stderr)
    assert not (tmp_path / "out").exists()


def test_labels_of_another_model_are_refused(small_model: Path, tmp_path: Path):
    labels = tmp_path / "labels.txt"
    labels.write_text("only\ntwo\n")
    with pytest.raises(DataError, match=r"3 labels.*found 2"):
        convert(ConvertOptions(model=small_model, labels=labels, targets=("tflite",), output=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_model_whose_own_scores_are_no_numbers_is_refused_before_anything_is_made(tmp_path: Path):
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    kernel, bias = model.layers[0].get_weights()
    kernel[0, 0, 0, 0] = np.inf
    model.layers[0].set_weights([kernel, bias])
    model.save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError, match="NaN or infinity in its scores of 32 of 32 images") as caught:
        convert(ConvertOptions(tmp_path / "m.keras", targets=("tflite",), schemes="tflite:float32"))
    assert not (tmp_path / "m.keras.artifacts").exists()
    assert "an earlier checkpoint" in caught.value.remedy


def test_the_output_must_be_a_folder(small_model: Path, tmp_path: Path):
    target = tmp_path / "file"
    target.write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        convert(ConvertOptions(model=small_model, targets=("tflite",), output=target))
    assert target.read_text() == "mine"


def test_int8_without_images_is_refused(small_model: Path, tmp_path: Path):
    with pytest.raises(SchemeError, match="calibration images"):
        convert(ConvertOptions(model=small_model, schemes="int8", output=tmp_path / "out"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full and tmpfs mounts")  # noqa: PTH110
def test_a_full_disk_is_one_line_and_leaves_what_was_there(small_model: Path, tmp_path: Path):
    mount = tmp_path / "tiny"
    mount.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(mount)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("not allowed to mount a small file system here")
    try:
        out = mount / "out"
        out.mkdir()
        (out / "mine.txt").write_text("mine")
        done = run("convert", small_model, "--targets", "tflite", "-o", out)
        assert done.returncode == 2, done.stderr
        assert "No space left" in one_line(done.stderr)
        assert sorted(path.name for path in out.iterdir()) == ["mine.txt"]
        assert [path.name for path in mount.iterdir()] == ["out"]
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize("seconds", [1.0, 4.0, 7.0])
def test_a_kill_leaves_the_previous_artifacts_and_the_next_run_succeeds(small_model: Path, tmp_path: Path, seconds: float):
    out = tmp_path / "out"
    before = convert(ConvertOptions(model=small_model, targets=("tflite",), schemes="float32", output=out))
    process = subprocess.Popen(
        [*EDGECLS, "convert", str(small_model), "-o", str(out)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    manifest = Manifest.read(out)
    assert before.artifacts[0].name in {artifact.name for artifact in manifest.artifacts}
    for artifact in manifest.artifacts:
        assert (out / artifact.path).exists()
    after = convert(ConvertOptions(model=small_model, targets=("tflite",), schemes="float16", output=out))
    assert after.artifacts[0].status == "ok"
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_one_line_and_130(small_model: Path, tmp_path: Path):
    command = [*EDGECLS, "convert", str(small_model), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    given_up = time.monotonic() + 300
    while not list(tmp_path.iterdir()) and process.poll() is None and time.monotonic() < given_up:
        time.sleep(0.02)  # the folder being filled appears beside OUT: from here on there is something to clean up
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 130, stderr
    assert "interrupted" in one_line(stderr)
    left = list(tmp_path.iterdir())
    if left:  # on a busy machine the signal may come when all is in its place: then it is whole
        assert left == [tmp_path / "out"]
        assert all((left[0] / row.path).exists() for row in Manifest.read(left[0]).artifacts if row.status == "ok")


def test_an_unknown_layer_to_keep_float_is_refused_and_nothing_is_left(
    command: Callable[..., Done], small_model: Path, small_images: Path, tmp_path: Path
):
    out = tmp_path / "out"
    asked = ("convert", small_model, "--targets", "tflite", "-o", out)
    done = command(*asked, "--calibration", small_images, "--keep-float", "convv")
    assert done.exit_code == 2
    assert "'convv'" in one_line(done.stderr)
    assert not out.exists()
    idle = command(*asked, "--keep-float", "conv")
    assert idle.exit_code == 2
    assert "--keep-float" in one_line(idle.stderr)
