"""A confusion matrix before it is drawn: which cells have which shade, and the largest confusions in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecls.records.accuracy import Confusion

_MOST_CLASSES_DRAWN = 30  # more cannot be told apart in a matrix
_MOST_CLASSES_NUMBERED = 12
_CONFUSIONS_LISTED = 10
_LEVELS = 8  # shades of a matrix


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: cells of each shade as one path, the numbers of small ones, and the largest confusions in words."""

    artifact: str
    classes: int
    drawn: bool
    shades: Sequence[tuple[int, str]]
    numbers: Sequence[tuple[int, int, int, bool]]
    confusions: Sequence[tuple[str, str, int]]


def matrix_of(artifact: str, confusion: Confusion, labels: Sequence[str]) -> Matrix:
    """What is drawn of an artifact's confusion matrix; classes without a label are `class_7`."""
    wrong = sorted((entry for entry in confusion.entries if entry[0] != entry[1]), key=lambda entry: -entry[2])
    listed = [(_label(labels, label), _label(labels, winner), images) for label, winner, images in wrong[:_CONFUSIONS_LISTED]]
    drawn = confusion.classes <= _MOST_CLASSES_DRAWN
    shades: dict[int, list[str]] = {}
    numbers = []
    if drawn:
        totals = [sum(row) or 1 for row in confusion.dense()]
        for label, winner, images in confusion.entries:
            share = images / totals[label]
            level = max(1, min(_LEVELS, round(_LEVELS * share**0.5)))  # the root shows small shares too
            shades.setdefault(level, []).append(f"M{winner} {label}h1v1h-1z")
            if confusion.classes <= _MOST_CLASSES_NUMBERED:
                numbers.append((label, winner, images, level > _LEVELS // 2))
    paths = [(level, "".join(cells)) for level, cells in sorted(shades.items())]
    return Matrix(artifact, confusion.classes, drawn, paths, numbers, listed)


def _label(labels: Sequence[str], index: int) -> str:
    return labels[index] if index < len(labels) else f"class_{index}"
