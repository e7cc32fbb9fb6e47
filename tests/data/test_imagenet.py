"""The names of ImageNet's classes: as Keras decodes predictions, and taken by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edgecls.data.imagenet import imagenet_labels
from edgecls.data.label_file import read_labels
from edgecls.errors import DataError

MD5_IN_KERAS = "c2c37ea517e94d9795004a39431a14cb"  # by which decode_predictions checks its imagenet_class_index.json


def test_the_names_are_those_that_keras_decodes_predictions_to(zoo: Path) -> None:
    content = (zoo / "imagenet_mobilenet_v1_025" / "imagenet_class_index.json").read_bytes()
    assert hashlib.md5(content).hexdigest() == MD5_IN_KERAS
    index = json.loads(content)
    assert imagenet_labels() == [index[str(place)][1].replace("_", " ") for place in range(1000)]


def test_keras_still_checks_its_file_by_that_hash() -> None:
    utils = pytest.importorskip("keras.src.applications.imagenet_utils")
    assert MD5_IN_KERAS in Path(utils.__file__).read_text()


def test_they_are_taken_by_name_unless_there_is_such_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_labels(Path("imagenet"), 1000)[207] == "golden retriever"
    with pytest.raises(DataError, match="10 labels, one per class of the model"):
        read_labels(Path("imagenet"), 10)
    (tmp_path / "imagenet").write_text("cat\ndog\n")
    assert read_labels(Path("imagenet"), 2) == ["cat", "dog"]
