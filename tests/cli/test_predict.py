"""`edgecls predict` on files whose answer is known by hand."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

Command = Callable[..., Result]


def test_labels_and_probabilities_come_from_the_file(edgecls: Command, classifier: Path, grey: Callable[[int], Path]) -> None:
    bright, dark = grey(255), grey(0)
    result = edgecls("predict", classifier, bright, dark)
    assert result.exit_code == 0
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    assert [line.split()[0] for line in lines] == [str(bright), "bright", "dark", str(dark), "dark", "bright"]
    # logits (10 - 10 x, 10 x) with x = 1: 1 / (1 + exp(-10)) = 99.995 %
    assert lines[1].rstrip().endswith("100.0%")
    assert result.stderr.startswith("note: Assumed fit squeeze and filter bilinear-antialiased")


def test_json_has_every_digit(edgecls: Command, classifier: Path, grey: Callable[[int], Path]) -> None:
    result = edgecls("predict", classifier, grey(153), "--json", "--top", 1)
    answers = json.loads(result.stdout)["answers"]
    (best,) = answers[0]["predictions"]
    assert best["label"] == "bright"
    # x = 153 / 255 = 0.6: logits 4 and 6; float32 softmax is right to 1e-6
    assert best["probability"] == pytest.approx(1 / (1 + 2.718281828459045**-2), abs=1e-6)


def test_a_foreign_file_says_what_is_assumed_and_preprocess_changes_it(
    edgecls: Command, foreign: Path, grey: Callable[[int], Path]
) -> None:
    assumed = edgecls("predict", foreign, grey(102), "--json")
    assert "note: foreign.onnx does not say how images enter it" in assumed.stderr
    best = json.loads(assumed.stdout)["answers"][0]["predictions"][0]
    assert best["label"] == "class_0"  # 102 / 255 = 0.4
    resizing = ("--fit", "squeeze", "--filter", "nearest")
    declared = edgecls("predict", foreign, grey(102), "--json", "--preprocess", "0..255", *resizing)
    assert declared.stderr == ""
    best = json.loads(declared.stdout)["answers"][0]["predictions"][0]
    assert best["label"] == "class_1"  # 102 as it is: far above 1


def test_fit_and_filter_decide_what_enters(edgecls: Command, classifier: Path, tmp_path: Path) -> None:
    """A bright square between dark sides of the same width: of all of it a third is bright, of its centre all."""
    pixels = np.zeros((8, 24), np.uint8)
    pixels[:, 8:16] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    best = {
        fit: json.loads(
            edgecls("predict", classifier, tmp_path / "wide.png", "--fit", fit, "--filter", "nearest", "--json").stdout
        )
        for fit in ("squeeze", "crop", "pad", "pad=255,255,255")
    }
    found = {fit: answer["answers"][0]["predictions"][0]["label"] for fit, answer in best.items()}
    assert found == {"squeeze": "dark", "crop": "bright", "pad": "dark", "pad=255,255,255": "bright"}


def test_what_is_no_fit_or_filter_is_one_line(edgecls: Command, classifier: Path, grey: Callable[[int], Path]) -> None:
    for option, value in (("--fit", "crop=2"), ("--filter", "foo")):
        result = edgecls("predict", classifier, grey(1), option, value)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: expected --") and value in result.stderr


def test_an_engine_that_dies_is_one_line_and_exit_2(
    edgecls: Command, classifier: Path, grey: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some damaged files end LiteRT and ONNX Runtime: by a signal, which no `except` catches."""
    monkeypatch.setattr("edgecls.runners.scored._score", killed)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)  # the worker imports it by its name
    result = edgecls("predict", classifier, grey(255))
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: expected a file that its engine survives, found {classifier}: it ended with signal SIGSEGV; "
        "it is damaged: copy or convert it again\n"
    )


def test_a_name_that_no_file_can_have_is_one_line_and_exit_2(edgecls: Command, classifier: Path) -> None:
    """The worker meets it: what the operating system refuses there is told as it is here."""
    result = edgecls("predict", classifier, f"{'x' * 300}.png")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: expected a path the file system can hold, found xxx")


def killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def test_what_is_no_image_is_one_line_and_exit_2(edgecls: Command, classifier: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("not an image")
    for image in (text, tmp_path / "missing.png", tmp_path):
        result = edgecls("predict", classifier, image)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: expected ")
        assert result.stderr.count("\n") == 1
        assert result.stdout == ""


def test_an_image_that_cannot_be_read_keeps_no_other_from_its_answer(
    edgecls: Command, classifier: Path, grey: Callable[[int], Path], tmp_path: Path
) -> None:
    text = tmp_path / "text.png"
    text.write_text("not an image")
    (tmp_path / "empty").mkdir()
    result = edgecls("predict", classifier, grey(255), text, tmp_path / "empty", grey(0), "--json")
    assert result.exit_code == 2
    assert "empty without any; check the path" in result.stderr
    assert [Path(answer["image"]) for answer in json.loads(result.stdout)["answers"]] == [grey(255), grey(0)]
    assert f"error: expected an image that can be read, found {text}: " in result.stderr


def test_an_archive_of_many_images_is_not_answered_by_its_first(edgecls: Command, classifier: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "many.npz", x=np.zeros((3, 8, 8, 1), np.uint8))
    result = edgecls("predict", classifier, tmp_path / "many.npz")
    assert result.exit_code == 2
    assert "expected one image in a file, found" in result.stderr
    assert "with 3" in result.stderr


def test_a_folder_of_artifacts_is_named_as_such(edgecls: Command, grey: Callable[[int], Path], tmp_path: Path) -> None:
    (tmp_path / "model.artifacts").mkdir()
    (tmp_path / "model.artifacts/manifest.json").write_text("{}")
    result = edgecls("predict", tmp_path / "model.artifacts", grey(0))
    assert "model.artifacts, a folder of several; name a file in it" in result.stderr


def test_a_folder_stands_for_its_images(edgecls: Command, classifier: Path, grey: Callable[[int], Path], tmp_path: Path) -> None:
    (tmp_path / "new" / "deeper").mkdir(parents=True)
    for place, name in ((grey(255), "1.png"), (grey(0), "deeper/2.png")):
        (tmp_path / "new" / name).write_bytes(place.read_bytes())
    answers = json.loads(edgecls("predict", classifier, tmp_path / "new", "--json").stdout)["answers"]
    assert {Path(answer["image"]).name: answer["predictions"][0]["label"] for answer in answers} == {
        "1.png": "bright",
        "2.png": "dark",
    }
