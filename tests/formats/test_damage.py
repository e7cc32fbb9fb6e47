"""Damage that once escaped as an error of a library: sizes no file has, streams that do not inflate, names that are no text."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import mil_packages
from edgecls.converters.tflite.metadata import write_tflite
from edgecls.data import open_images
from edgecls.errors import ArtifactError, DataError
from edgecls.formats import describe, read_record
from edgecls.formats.coreml.layout import locate
from edgecls.formats.tflite.declared import read_declared
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from edgecls.runners import open_runner
from written_tflite import classifier

SPEC = ImageSpec(height=4, width=4, channels=3)
RECORD = ArtifactMetadata(
    name="base",
    image_spec=SPEC,
    labels=["a", "b", "c"],
    outputs=3,
    output_kind="softmax",
    source_sha256="a" * 64,
    edgecls_version="0.1.0",
)


def deflated(name: str, content: bytes) -> bytes:
    """A zip whose only member is compressed by a method that does not exist: its stream begins with the reserved block type."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    data = bytearray(stream.getvalue())
    data[30 + len(name)] = 0x07
    return bytes(data)


def onnx_of(weights: onnx.TensorProto, name: str = "image") -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Flatten", [name], ["flat"]), helper.make_node("MatMul", ["flat", "weights"], ["scores"])],
        "classifier",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 4, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 7])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


@pytest.mark.parametrize("dims", [[2**62, 2**62], [2**33, 2**31], [2**62] * 40])
def test_onnx_constants_of_impossible_sizes(tmp_path: Path, dims: list[int]) -> None:
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=dims, raw_data=b"\0" * 16)
    onnx.save(onnx_of(weights), tmp_path / "m.onnx")
    with pytest.raises(ArtifactError, match="constant 'weights' has the shape"):
        describe(tmp_path / "m.onnx")


def test_onnx_names_that_are_no_text(tmp_path: Path) -> None:
    model = onnx_of(numpy_helper.from_array(np.ones((48, 7), np.float32), "weights"), name="imageimage")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString().replace(b"imageimage", b"image\xff\xfe\xfdge"))
    for read in (open_runner, describe):
        with pytest.raises(ArtifactError, match="UTF-8"):
            read(tmp_path / "m.onnx")


def test_labels_that_do_not_inflate(tmp_path: Path) -> None:
    """Labels belong to no score then; the file itself is sound, as LiteRT ignores what lies behind it."""
    whole = write_tflite(classifier(), RECORD)
    model = whole[: whole.rindex(b"PK\x03\x04")]
    for tail, labels in ((whole[len(model) :], ("a", "b", "c")), (deflated("labels.txt", b"a\nb\nc\n"), ())):
        (tmp_path / "m.tflite").write_bytes(model + tail)
        assert read_declared(tmp_path / "m.tflite").labels == labels


@pytest.mark.parametrize(
    "shape", ["(8589934592, 2147483648)", "(4294967296, 4294967296, 4, 3)", "(-1, 4, 4, 3)", "(3, -4, -4, 3)"]
)
def test_arrays_of_impossible_sizes(tmp_path: Path, shape: str) -> None:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 480)
    with pytest.raises(DataError):
        list(open_images(tmp_path / "data.npz", SPEC, role="data").batches(4))


def test_packages_may_name_their_model_as_they_like(tmp_path: Path) -> None:
    """What the manifest names counts, for every reader: `inspect`, the record, and what runs it."""
    package = mil_packages.classifier(tmp_path)
    manifest = json.loads((package / "Manifest.json").read_text())
    entry = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    model = package / "Data" / entry["path"]
    model.rename(model.with_name("other name.mlmodel"))
    entry["path"] = f"{Path(entry['path']).parent.as_posix()}/other name.mlmodel"
    (package / "Manifest.json").write_text(json.dumps(manifest))
    assert locate(package).model.name == "other name.mlmodel"
    assert describe(package).outputs
    assert read_record(package) is None
    assert open_runner(package).predict(np.zeros((1, 6, 5, 3), np.uint8)).shape == (1, 4)


def test_a_longer_name_than_any_file_has_is_that_of_a_missing_file(tmp_path: Path) -> None:
    package = mil_packages.classifier(tmp_path)
    manifest = json.loads((package / "Manifest.json").read_text())
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = "x" * 300
    (package / "Manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="x is missing"):
        open_runner(package)
