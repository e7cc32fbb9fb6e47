"""Label files in every form people have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecls.data.label_file import about_labels, default_labels, read_labels
from edgecls.errors import DataError

THREE = ["cat", "big dog", "emu"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "cat\nbig dog\nemu\n"),
        ("labels.txt", "\ufeffcat\r\nbig dog\r\nemu"),
        ("labels.txt", "0 cat\n1 big dog\n2 emu\n"),
        ("labels.txt", "0: cat\n1: big dog\n2: emu\n"),
        ("labels.txt", "2 emu\n0 cat\n1 big dog\n"),
        ("labels.txt", '"cat"\n"big dog"\n"emu"\n'),
        ("signnames.csv", "ClassId,SignName\n0,cat\n1,big dog\n2,emu\n"),
        ("labels.csv", '0,"cat"\n1,"big dog"\n2,"emu"\n'),
        ("labels.json", json.dumps(THREE)),
        ("labels.json", json.dumps({"0": "cat", "2": "emu", "1": "big dog"})),
        ("labels.json", json.dumps({"0": ["n1", "cat"], "1": ["n2", "big dog"], "2": ["n3", "emu"]})),
        ("labels.json", json.dumps({"emu": 2, "cat": 0, "big dog": 1})),
        (
            "metadata.json",
            json.dumps({"packageName": "@teachablemachine/image", "labels": ["cat", "big dog", "emu"], "imageSize": 224}),
        ),
    ],
)
def test_every_form_gives_the_same_labels(tmp_path: Path, name: str, text: str):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_labels(path, 3) == THREE


def test_quotes_and_first_lines_that_are_names_are_kept(tmp_path: Path):
    path = tmp_path / "labels.txt"
    path.write_text('\'s-Gravenhage\n"Cat" and dog\n1 euro\n')
    assert read_labels(path, 3) == ["'s-Gravenhage", '"Cat" and dog', "1 euro"]
    path.write_text("freezing\n0 degrees\n1 degree\n")
    assert read_labels(path, 3) == ["freezing", "0 degrees", "1 degree"]
    path.write_text('0,cat\n1,"dog, big"\n2,tench, Tinca tinca\n')
    assert read_labels(path, 3) == ["cat", "dog, big", "tench, Tinca tinca"]
    path.write_text("cat\n")
    assert read_labels(path, 1) == ["cat"]
    path.write_text("one\n1 two\n2 three\n")  # numbers that do not begin at 0 are part of the names
    assert read_labels(path, 3) == ["one", "1 two", "2 three"]


def test_names_that_start_with_digits_are_kept(tmp_path: Path):
    path = tmp_path / "labels.txt"
    path.write_text("7 up\n42\n3 wishes\n")
    assert read_labels(path, 3) == ["7 up", "42", "3 wishes"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.txt", b"cat\ndog\n", "3 labels.*found 2"),
        ("labels.txt", b"a\nb\nc\nd\n", "3 labels.*found 4"),
        ("labels.txt", b"\xff\xfe\x00\x80\x81", "text or JSON"),
        ("labels.txt", b"0 a\n1 b\n1 c\n3 d\n", "2 lines with number 1 in"),
        ("labels.txt", b"0 a\n1 b\n3 d\n", "no line with number 2 in"),
        ("labels.txt", b"1 a\n2 b\n3 c\n", "no line with number 0 in"),
        ("labels.json", b"{not json", "JSON list"),
        ("labels.json", b"5", "JSON list"),
        ("labels.json", b"[[]]", "JSON list"),
        ("labels.json", b"null", "JSON list"),
        ("labels.json", b'"cat"', "JSON list"),
        ("labels.json", b"[" * 100_000, "JSON list"),
        ("labels.json", b'{"0": 1.5, "1": null, "2": "x"}', "JSON list"),
        ("labels.json", b'{"0": "a", "1": "b", "5": "c"}', "JSON list"),
        ("labels.json", b'["a", "", "c"]', "name for every class"),
    ],
)
def test_what_cannot_be_labels_is_refused(tmp_path: Path, name: str, content: bytes, message: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_labels(path, 3)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="nowhere"):
        read_labels(tmp_path / "nowhere.txt", 3)


def test_default_labels_count_from_zero():
    assert default_labels(2) == ["class_0", "class_1"]


def test_labels_that_classes_share_are_told():
    (note,) = about_labels(["crane", "cat", "crane", "maillot", "maillot"])
    assert "crane (0, 2), maillot (3, 4)" in note
    assert about_labels(THREE) == []
    assert "and 2 more" in about_labels([name for name in "abcde" for _ in range(2)])[0]
