"""The class labels of a Core ML classifier: keys of a dictionary, hence unique."""

from __future__ import annotations

from collections.abc import Sequence


def unique_labels(labels: Sequence[str]) -> list[str]:
    """Labels that may be keys of one dictionary: the second `crane` becomes `crane (2)`, the third `crane (3)`.

    Every label that is unique already stays as it is, and so do the order and the number.
    """
    taken = set(labels)
    seen: set[str] = set()
    unique = []
    for label in labels:
        name, count = label, 1
        while name in seen or (count > 1 and name in taken):
            count += 1
            name = f"{label} ({count})"
        seen.add(name)
        unique.append(name)
    return unique
