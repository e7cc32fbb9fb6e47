"""What concerns one artifact is found again, and nothing else is taken for it."""

from __future__ import annotations

from edgecls.records.note import note_on, split_note

NAMES = {"base-tflite-int8", "base-tflite-int8-2"}


def test_what_is_written_is_read() -> None:
    for name in NAMES:
        assert split_note(note_on(name, "stayed float: 2 SOFTMAX"), NAMES) == (name, "stayed float: 2 SOFTMAX")


def test_other_notes_are_of_no_artifact() -> None:
    for note in ("of all: this", "base-tflite-int8", "base-onnx-int8: of one that is gone", ""):
        assert split_note(note, NAMES) == ("", note)
