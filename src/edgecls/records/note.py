"""Note: a remark for people. What concerns one artifact begins with its name and a colon; here alone that is written and read.

`manifest.json` and `results.json` hold notes as plain sentences, which other programs show as they are and old files have too: a field for
the artifact would shut those out. The rows beside the notes tell which names there are.
"""

from __future__ import annotations

from collections.abc import Collection

_BETWEEN = ": "


def note_on(artifact: str, text: str) -> str:
    """The note of one artifact."""
    return f"{artifact}{_BETWEEN}{text}"


def split_note(note: str, artifacts: Collection[str]) -> tuple[str, str]:
    """Which of these artifacts a note concerns, and what it says; the name is empty where it concerns none of them."""
    name, between, text = note.partition(_BETWEEN)
    return (name, text) if between and name in artifacts else ("", note)
