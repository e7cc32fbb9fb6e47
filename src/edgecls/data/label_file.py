"""Label files: one name per class, in the forms people have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from edgecls.errors import DataError

_NUMBERED = re.compile(r"(\d+)[\s:,]+(.+)")


def read_labels(path: Path, classes: int) -> list[str]:
    """Read the label of each class.

    Forms: a text file with one label per line, also numbered from 0 (`0 cat`, as Teachable Machine writes it); JSON as a list, as
    `{"0": "cat"}` or as Keras's `{"0": ["n02123045", "tabby"]}`; also `{"cat": 0}` (`class_indices` of an image generator).

    Args:
        path: the file.
        classes: how many labels the model needs.

    Raises:
        DataError: unreadable, empty, or another number of labels.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("a text or JSON file of labels", f"{path}: {error}", "name it with --labels FILE") from None
    labels = _from_json(text, path) if path.suffix.lower() == ".json" else _from_lines(text)
    if len(labels) != classes:
        raise DataError(
            f"{classes} labels, one per class of the model", f"{len(labels)} in {path}", "give the label file of this model"
        )
    if any(not label for label in labels):
        raise DataError("a name for every class", f"an empty label in {path}", "fill it in")
    return labels


def default_labels(classes: int) -> list[str]:
    """`class_0`, `class_1` … for a model without a label file."""
    return [f"class_{index}" for index in range(classes)]


def _from_lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if numbered and all(match and int(match[1]) == index for index, match in enumerate(numbered)):
        return [match[2].strip() for match in numbered if match]
    return lines


def _from_json(text: str, path: Path) -> list[str]:
    try:
        return _from_value(json.loads(text))
    except (json.JSONDecodeError, TypeError, ValueError, KeyError):
        raise DataError(
            'a JSON list of labels, {"0": "cat", …} or {"cat": 0, …}',
            f"another structure in {path}",
            "see `edgecls convert --help`",
        ) from None


def _from_value(value: Any) -> list[str]:
    if isinstance(value, list):
        return [_name(item) for item in value]
    if value and all(isinstance(item, int) for item in value.values()):
        value = {str(index): name for name, index in value.items()}
    indexed = {int(index): _name(item) for index, item in value.items()}
    return [indexed[index] for index in range(len(indexed))]


def _name(item: Any) -> str:
    if isinstance(item, list):
        item = item[-1]
    if not isinstance(item, str):
        raise TypeError(item)
    return item.strip()
