"""Label files: one name per class, in the forms people have."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from edgecls.data.imagenet import are_imagenet, imagenet_labels
from edgecls.errors import DataError, reason_of

_MOST_SHOWN = 3
_QUOTED = re.compile(r"(['\"])(.+)\1")
_NUMBERED = re.compile(r"(\d{1,9})[\s:,]+(.+)")


def read_labels(path: Path, classes: int) -> list[str]:
    """Read the label of each class.

    Forms: a text file with one label per line, also in quotes, also numbered from 0 (`0 cat`, as Teachable Machine writes it, or a
    CSV of `0,cat`, with a heading or without); JSON as a list, as `{"0": "cat"}` or as Keras's `{"0": ["n02123045", "tabby"]}`; also
    `{"cat": 0}` (`class_indices` of an image generator) and `{"labels": ["cat"]}` (Teachable Machine's metadata.json). `imagenet`,
    where no file is called so: ImageNet's 1,000.

    Args:
        path: the file.
        classes: how many labels the model needs.

    Raises:
        DataError: unreadable, empty, another number of labels, or numbers with a gap or twice the same.
    """
    labels = _read(path, classes)
    if len(labels) != classes:
        raise DataError(
            f"{classes} labels, one per class of the model", f"{len(labels)} in {path}", "give the label file of this model"
        )
    if any(not label for label in labels):
        raise DataError("a name for every class", f"an empty label in {path}", "fill it in")
    return labels


def read_all_labels(path: Path) -> list[str]:
    """The same, whatever their number.

    Raises:
        DataError: as `read_labels`.
    """
    return _read(path, None)


def _read(path: Path, classes: int | None) -> list[str]:
    if are_imagenet(path):
        return imagenet_labels()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("a text or JSON file of labels", f"{path}: {reason_of(error)}", "give one name a line, or JSON") from None
    return _from_json(text, path) if path.suffix.lower() == ".json" else _from_lines(text, path, classes)


def default_labels(classes: int) -> list[str]:
    """`class_0`, `class_1` … for a model without a label file."""
    return [f"class_{index}" for index in range(classes)]


def about_labels(labels: list[str]) -> list[str]:
    """What is to be told of labels: that classes share one, as two pairs of ImageNet's do."""
    places: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        places.setdefault(label, []).append(index)
    shared = [f"{label} ({', '.join(map(str, found))})" for label, found in places.items() if len(found) > 1]
    if not shared:
        return []
    more = f", and {len(shared) - _MOST_SHOWN} more" if len(shared) > _MOST_SHOWN else ""
    return [f"classes with the same label, which no answer tells apart: {', '.join(shared[:_MOST_SHOWN])}{more}"]


def _from_lines(text: str, path: Path, classes: int | None) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    indices = sorted(int(match[1]) for match in numbered if match)
    has_heading = numbered[:1] == [None] and bool(indices) and indices == list(range(len(lines) - 1))
    if has_heading and classes in (None, len(indices)):
        del lines[0], numbered[0]  # the heading of a CSV
    if not all(numbered):
        return _unquoted(lines)  # names, of which some may begin with a number
    found = [int(match[1]) for match in numbered if match]
    counts = Counter(found)
    for index in range(len(found)):
        if counts[index] != 1:
            raise DataError(
                f"labels numbered from 0 to {len(found) - 1}, each number once",
                f"{f'{counts[index]} lines' if counts[index] else 'no line'} with number {index} in {path}",
                "correct the numbers, or leave them out and give one label per line in the order of the model's outputs",
            )
    names = {int(match[1]): _name_in(match) for match in numbered if match}
    return _unquoted([names[index] for index in range(len(names))])


def _name_in(numbered: re.Match[str]) -> str:
    """What follows the number; in quotes as a CSV has it, where a comma is a part of the name."""
    cells = next(csv.reader([numbered[0]], skipinitialspace=True))
    return cells[1].strip() if len(cells) == 2 and cells[0] == numbered[1] else numbered[2].strip()


def _unquoted(names: list[str]) -> list[str]:
    """Names without the quotes that every one of them stands in."""
    quoted = [_QUOTED.fullmatch(name) for name in names]
    return [match[2] for match in quoted if match] if all(quoted) else names


def _from_json(text: str, path: Path) -> list[str]:
    try:
        return _from_value(json.loads(text))
    except (TypeError, ValueError, KeyError, RecursionError):
        raise DataError(
            'a JSON list of labels, {"0": "cat", …} or {"cat": 0, …}',
            f"none of these in {path}",
            "correct it, or give one label per line in a .txt",
        ) from None


def _from_value(value: Any) -> list[str]:
    if isinstance(value, list):
        return [_name(item) for item in value]
    if not isinstance(value, dict):
        raise TypeError(value)
    if isinstance(value.get("labels"), list):
        return _from_value(value["labels"])
    if value and all(isinstance(item, int) for item in value.values()):
        value = {str(index): name for name, index in value.items()}
    indexed = {int(index): _name(item) for index, item in value.items()}
    return [indexed[index] for index in range(len(indexed))]


def _name(item: Any) -> str:
    if isinstance(item, list) and item:
        item = item[-1]
    if not isinstance(item, str):
        raise TypeError(item)
    return item.strip()
