"""What is written into a .tflite, read back by independent readers: LiteRT, its generated schema reader, zipfile."""

from __future__ import annotations

import hashlib
import timeit
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edgecls.converters.tflite.edit import edit
from edgecls.converters.tflite.metadata import add_signature, mediapipe_refusal, write_tflite
from edgecls.errors import ArtifactError
from edgecls.formats import describe, read_record
from edgecls.formats.reading import DamagedError
from edgecls.formats.tflite import schema as tflite_schema
from edgecls.formats.tflite.declared import read_declared
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import METADATA_KEY, ArtifactMetadata
from edgecls.runners import open_runner

SCHEMES = ["float32", "float16", "dynamic", "int8", "int8-io", "behind"]
SPEC = ImageSpec(height=32, width=32, channels=3)


def record(spec: ImageSpec = SPEC, **changes: object) -> ArtifactMetadata:
    fields = {
        "name": "resnet",
        "image_spec": spec,
        "labels": [f"class {index}" for index in range(10)],
        "outputs": 10,
        "output_kind": "softmax",
        "source_sha256": hashlib.sha256(b"resnet").hexdigest(),
        "edgecls_version": "0.1.0",
        **changes,
    }
    return ArtifactMetadata.model_validate(fields)


def _unpacked(model: bytes) -> Any:
    """The model by the schema's generated reader."""
    return schema.ModelT.InitFromPackedBuf(model, 0)


def _answer(model: bytes) -> np.ndarray:
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    pixels = np.random.default_rng(0).integers(0, 128, details["shape"])
    interpreter.set_tensor(details["index"], pixels.astype(details["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _metadata_text(model: bytes, tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "read.tflite"
    path.write_bytes(model)
    return describe(path).metadata


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_model_computes_the_same_and_carries_everything(foreign_tflite: dict[str, Path], tmp_path: Path, scheme: str) -> None:
    plain = foreign_tflite[scheme].read_bytes()
    path = tmp_path / "written.tflite"
    path.write_bytes(write_tflite(plain, record()))
    np.testing.assert_array_equal(_answer(path.read_bytes()), _answer(plain))  # nothing that computes is touched
    assert read_record(path) == describe(path).record == record()
    assert Interpreter(str(path)).get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["scores"]}}
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt").decode().splitlines() == record().labels
    before, after = describe(foreign_tflite[scheme]), describe(path)
    assert after.actual == before.actual and after.layers == before.layers


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_generated_reader_of_the_schema_finds_it(foreign_tflite: dict[str, Path], scheme: str) -> None:
    plain = foreign_tflite[scheme].read_bytes()
    before = _unpacked(plain)
    after = _unpacked(write_tflite(plain, record()))
    added = {b"TFLITE_METADATA", METADATA_KEY.encode()}
    assert {entry.name for entry in after.metadata} == {entry.name for entry in before.metadata} | added
    assert len(after.buffers) == len(before.buffers) + 2
    assert bytes(after.buffers[-1].data) == record().model_dump_json().encode()
    assert bytes(after.buffers[-2].data)[4:8] == b"M001"
    assert [code.builtinCode for code in after.operatorCodes] == [code.builtinCode for code in before.operatorCodes]
    assert (after.version, after.description) == (before.version, before.description)


def _weights(model: bytes) -> list[tuple[int, bytes]]:
    """(position modulo 16, contents) of each buffer; LiteRT's kernels want weights at multiples of 16."""
    found = []
    for buffer in tflite_schema.open_model(model).tables(tflite_schema.Model.BUFFERS):
        content = tflite_schema.contents(model, buffer)
        start = np.frombuffer(content, np.uint8).ctypes.data - np.frombuffer(model, np.uint8).ctypes.data if content else 0
        found.append((start % 16, bytes(content)))
    return found


@pytest.mark.parametrize("scheme", ["float32", "int8", "behind"])
def test_weights_keep_their_alignment(foreign_tflite: dict[str, Path], scheme: str) -> None:
    plain = foreign_tflite[scheme].read_bytes()
    before, after = _weights(plain), _weights(write_tflite(plain, record()))
    assert after[: len(before)] == before
    assert {position for position, _ in after[len(before) :]} == {0}


def test_the_same_input_gives_the_same_bytes(foreign_tflite: dict[str, Path]) -> None:
    plain = foreign_tflite["float32"].read_bytes()
    assert write_tflite(plain, record()) == write_tflite(bytes(bytearray(plain)), record())


def test_writing_again_replaces(foreign_tflite: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "twice.tflite"
    once = write_tflite(foreign_tflite["behind"].read_bytes(), record())
    path.write_bytes(write_tflite(once, record(labels=list("abcdefghij"))))
    names = [entry.name for entry in _unpacked(path.read_bytes()).metadata]
    assert len(names) == len(set(names))
    found = read_record(path)
    assert found is not None and found.labels == list("abcdefghij")
    assert zipfile.ZipFile(path).read("labels.txt") == b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n"
    np.testing.assert_array_equal(_answer(path.read_bytes()), _answer(once))


def test_a_signature_is_added_once(foreign_tflite: dict[str, Path]) -> None:
    signed = add_signature(foreign_tflite["float32"].read_bytes())
    expected = {"serving_default": {"inputs": ["image"], "outputs": ["scores"]}}
    assert Interpreter(model_content=signed).get_signature_list() == expected
    assert Interpreter(model_content=add_signature(signed)).get_signature_list() == expected
    runner = Interpreter(model_content=signed).get_signature_runner("serving_default")
    image = np.random.default_rng(0).integers(0, 128, (1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(runner(image=image)["scores"], _answer(signed))


@pytest.mark.parametrize(
    ("preprocess", "mean", "std"),
    [
        ("0..255", "0", "1"),
        ("-1..1", "127.5", "127.5"),
        ("imagenet-torch", "123.675, 116.28, 103.53", "58.395, 57.12, 57.375"),
        ("imagenet-caffe", "103.939, 116.779, 123.68", "1, 1, 1"),  # as many stds as means
        ("scale=1/255,mean=0.5 0.5 0.5,std=0.5 0.5 0.5", "127.5", "127.5"),  # alike: one value, which MediaPipe takes
    ],
)
def test_normalization_is_that_of_the_image_spec(
    foreign_tflite: dict[str, Path], tmp_path: Path, preprocess: str, mean: str, std: str
) -> None:
    written = write_tflite(foreign_tflite["float32"].read_bytes(), record(SPEC.with_preprocess(preprocess)))
    assert f"mean {mean}; std {std}" in _metadata_text(written, tmp_path)["input image"]


def test_labels_fit_the_scores(foreign_tflite: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "labels.tflite"
    plain = foreign_tflite["float32"].read_bytes()
    path.write_bytes(write_tflite(plain, record(labels=["low", "high"], outputs=1, output_kind="sigmoid")))
    assert zipfile.ZipFile(path).read("labels.txt") == b"high\n"  # the only score is that of the second class
    path.write_bytes(write_tflite(plain, record(labels=["two\nlines", "häßlich", *"abcdefgh"])))
    assert zipfile.ZipFile(path).read("labels.txt").decode().splitlines()[:2] == ["two lines", "häßlich"]


def test_a_large_model_is_written_quickly_and_held_twice_at_most(foreign_tflite: dict[str, Path]) -> None:
    """14 MB as MobileNetV2 has: copied, not rebuilt, in less time than its checksum takes a few times over; memory: the output alone."""
    model = edit(foreign_tflite["behind"].read_bytes(), metadata={"ballast": bytes(14_000_000)}, signature=None)
    checksum = min(timeit.repeat(lambda: hashlib.sha256(model).digest(), number=1, repeat=5))
    assert min(timeit.repeat(lambda: write_tflite(model, record()), number=1, repeat=5)) < 10 * checksum
    tracemalloc.start()
    write_tflite(model, record())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * len(model)


def test_people_see_the_name_of_the_source_model(foreign_tflite: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "named.tflite"
    names = []
    cases: list[dict[str, Any]] = [{}, {"source_name": "cats.h5", "name": "base"}, {"source_name": "cats.h5", "name": "pruned50"}]
    for changes in cases:
        path.write_bytes(write_tflite(foreign_tflite["float32"].read_bytes(), record(**changes)))
        names.append(describe(path).metadata["TFLite Metadata name"])
    assert names == ["resnet", "cats.h5", "cats.h5 (pruned50)"]


def _foreign(plain: Path, path: Path, spec: ImageSpec) -> Path:
    """A file with TFLite Metadata as another writer leaves it: our record has another name, so that nobody finds it."""
    path.write_bytes(write_tflite(plain.read_bytes(), record(spec)).replace(METADATA_KEY.encode(), b"another"))
    assert read_record(path) is None
    return path


@pytest.mark.parametrize("preprocess", ["-1..1", "0..255", "imagenet-torch"])
def test_the_metadata_of_other_writers_tells_how_pixels_enter(
    foreign_tflite: dict[str, Path], tmp_path: Path, preprocess: str
) -> None:
    spec = SPEC.with_preprocess(preprocess)
    path = _foreign(foreign_tflite["float32"], tmp_path / "foreign.tflite", spec)
    runner = open_runner(path)
    assert runner.spec.provenance == "declared"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    np.testing.assert_allclose(runner.spec.apply(pixels), spec.apply(pixels), rtol=1e-6)  # means are stored as float32
    assert read_declared(path).labels == tuple(record().labels)
    assert open_runner(path, spec=SPEC).spec == SPEC  # what the user says wins


def test_metadata_that_cannot_be_applied_is_said(foreign_tflite: dict[str, Path], tmp_path: Path) -> None:
    path = _foreign(foreign_tflite["float32"], tmp_path / "foreign.tflite", SPEC.with_preprocess("scale=1,std=77"))
    path.write_bytes(path.read_bytes().replace(np.float32(77).tobytes(), np.float32(0).tobytes()))
    with pytest.raises(ArtifactError, match=r"none of them 0.*std \[0.0\]"):
        open_runner(path)


def test_an_integer_input_takes_pixels_whatever_the_metadata_says(foreign_tflite: dict[str, Path], tmp_path: Path) -> None:
    path = _foreign(foreign_tflite["int8-io"], tmp_path / "foreign.tflite", SPEC.with_preprocess("-1..1"))
    assert open_runner(path).spec == open_runner(foreign_tflite["int8-io"]).spec.model_copy(
        update={"note": open_runner(path).spec.note}
    )


def test_reading_the_record_does_not_read_the_weights(foreign_tflite: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "large.tflite"
    model = edit(foreign_tflite["behind"].read_bytes(), metadata={"ballast": bytes(14_000_000)}, signature=None)
    path.write_bytes(write_tflite(model, record(labels=[f"class_{index}" for index in range(10)])))
    tracemalloc.start()
    read_record(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_what_is_no_model_is_refused() -> None:
    for data in (b"", b"hello", bytes(100), b"\x10\0\0\0TFL3" + bytes(3)):
        with pytest.raises(DamagedError):
            add_signature(data)


@pytest.mark.parametrize(
    ("spec", "io", "word"),
    [
        (SPEC, "float32", None),
        (SPEC.with_preprocess("-1..1"), "float32", None),
        (SPEC, "int8", "int8"),
        (SPEC.with_preprocess("imagenet-torch"), "float32", "own mean"),
        (SPEC.with_preprocess("imagenet-caffe"), "float32", "BGR"),
        (ImageSpec(height=28, width=28, channels=1, color_order="GRAY"), "float32", "GRAY"),
        (ImageSpec(height=28, width=28, channels=1, color_order="GRAY", layout="HW"), "float32", "layout HW"),
        (ImageSpec(height=32, width=32, channels=3, layout="flat"), "float32", "layout flat"),
    ],
)
def test_what_mediapipe_does_not_open_is_said_beforehand(spec: ImageSpec, io: str, word: str | None) -> None:
    reason = mediapipe_refusal(spec, io)  # pyright: ignore[reportArgumentType]
    assert reason is None if word is None else word in (reason or "")
