"""Exports of Teachable Machine: found in folders and archives, with their labels, told by their layers."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from edgecls.errors import ModelFileError
from edgecls.models import load_model
from edgecls.models.teachable_machine import image_spec, opened_export
from edgecls.records.image_spec import ImageSpec

SPEC = ImageSpec(height=224, width=224, channels=3)
LAYERS = ["Conv1", "global_average_pooling2d_GlobalAveragePooling2D1", "dense_Dense1", "dense_Dense2"]


def archive(path: Path, prefix: str = "", labels: bytes = b"0 cat\n1 dog\n") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{prefix}keras_model.h5", b"model")
        file.writestr(f"{prefix}labels.txt", labels)
        file.writestr(f"__MACOSX/{prefix}keras_model.h5", b"junk of the archiver")
    return path


@pytest.mark.parametrize("prefix", ["", "converted_keras/"])
def test_an_archive_is_unpacked_as_long_as_it_is_read(tmp_path: Path, prefix: str):
    with opened_export(archive(tmp_path / "e.zip", prefix)) as export:
        model = export.model
        assert model.read_bytes() == b"model"
        assert export.labels is not None and export.labels.read_text() == "0 cat\n1 dog\n"
    assert not model.exists()


def test_a_damaged_member_is_one_error(tmp_path: Path):
    path = archive(tmp_path / "e.zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"model", 44)] ^= 0xFF  # behind the name; its check sum tells
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="damaged"), opened_export(path):
        pass


def test_other_paths_are_what_they_are(tmp_path: Path):
    (tmp_path / "model.h5").write_bytes(b"\x89HDF")
    for path in (tmp_path / "model.h5", tmp_path, tmp_path / "nothing"):
        with opened_export(path) as export:
            assert (export.model, export.labels) == (path, None)


def test_its_layers_tell_how_images_are_prepared():
    spec = image_spec(SPEC, LAYERS, (224, 224, 3))
    assert spec is not None
    assert (spec.fit, spec.filter, spec.mean, spec.std) == ("crop", "lanczos", (127.5,), (127.5,))
    assert (spec.provenance, spec.fit_provenance, spec.filter_provenance) == ("assumed",) * 3
    assert "Teachable Machine" in spec.note
    assert image_spec(SPEC, LAYERS[:2], (224, 224, 3)) is None
    assert image_spec(SPEC, LAYERS, (96, 96, 3)) is None


def test_a_real_export_brings_its_labels(zoo: Path, tmp_path: Path):
    source = zoo / "teachable_machine_water"
    shutil.make_archive(str(tmp_path / "converted_keras"), "zip", source)
    loaded = load_model(tmp_path / "converted_keras.zip")
    assert (loaded.image_spec.fit, loaded.image_spec.filter) == ("crop", "lanczos")
    assert loaded.image_spec.mean == (127.5,)
    assert loaded.labels == ["5 Galoon", "500ML"]
    assert loaded.source.name == "converted_keras.zip"
