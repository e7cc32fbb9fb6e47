"""From what a data set calls its classes to the indices of a model's outputs. What cannot be told stays unlabelled."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from edgecls.data.source import Labelling, Role
from edgecls.errors import DataError

_LEADING_INDEX = re.compile(r"^\s*\d+[\s:,;.)_-]+(?=\S)")
_NAMES_SHOWN = 4


def label_by_name(
    kind: str, names: Sequence[str], groups: np.ndarray, labels: Sequence[str] | None, order: str = "alphabetical"
) -> Labelling:
    """Label images whose classes have names.

    Args:
        kind: what carries the names, for notes: `class folders` or `names in y`.
        names: class names of the data, sorted as Keras' `image_dataset_from_directory` sorts them.
        groups: index into `names` per image, int [N].
        labels: the model's labels, None where they are not known.
        order: what `names` are sorted by, for notes.

    In this order: every name is one of the model's labels (case, punctuation and a leading index apart); as many names as
    outputs, so alphabetical order as in training with Keras, unless a name that is a label contradicts it, or all are the numbers of labels
    that have names of their own; every name is a number below the number of outputs, or `class_` and such a number where no names are
    known. Otherwise the images have no labels.
    """
    places = np.arange(len(names))
    if labels is None:
        note = f"{len(names)} {kind} taken in {order} order: the model's labels are not known"
        return Labelling(places[groups], groups, tuple(names), note)
    matched = _match(names, labels)
    if None not in matched:
        return Labelling(np.asarray(matched, np.int64)[groups], groups, tuple(labels))
    is_shuffled = set(names) == {str(index) for index in range(len(labels))} and names != sorted(names, key=int)  # 10 before 2
    is_counted = is_shuffled and not are_default(labels)
    if len(names) == len(labels) and all(found in (None, index) for index, found in enumerate(matched)) and not is_counted:
        doubt = ", as Keras sorts them; if they count the model's classes, say so with --labels and a file of 0, 1, 2 … in lines"
        are_others = set(matched) == {None} and not are_default(labels)
        strange = f", though the model's labels are others: {_shown(labels)}" if are_others else ""
        note = f"{kind} taken in {order} order: {_shown(names)}{doubt if is_shuffled else strange}"
        return Labelling(places[groups], groups, tuple(names), note)
    indices = [_index(name, labels) for name in names]
    if None not in indices:
        return Labelling(np.asarray(indices, np.int64)[groups], groups, tuple(labels), f"{kind} are class indices")
    strangers = [name for name, found in zip(names, matched, strict=True) if found is None]
    note = f"not labelled: the {len(names)} {kind} ({_shown(names)}) are not the model's {len(labels)} classes"
    if len(strangers) < len(names):
        note += f"; no label is called {_shown(strangers)}"
    return Labelling(None, groups, (), note)


def label_by_value(
    values: np.ndarray,
    count: int,
    class_names: Sequence[str],
    labels: Sequence[str] | None,
    key: str = "y",
    *,
    several: bool = False,
) -> Labelling:
    """Label images by an array: class indices [N] or [N, 1], one-hot or multi-hot [N, K], or names [N].

    Args:
        key: what the array is called, for messages.
        several: an image may have several classes or none, also where each row happens to have one.

    Raises:
        DataError: wrong length, values that are neither, or indices that are no output of the model.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim not in (1, 2) or len(values) != count:
        raise DataError(
            f"one label for each of the {count} images",
            f"{key} of shape {values.shape}",
            "save images and labels of the same length",
        )
    if values.dtype.kind in "US" and values.ndim == 1:
        names, groups = np.unique(as_text(values, key), return_inverse=True)
        return label_by_name(f"names in {key}", names.tolist(), groups, labels)
    if values.ndim == 2:
        return _renamed(_from_columns(values, labels, key, several=several), class_names, labels, key)
    indices = _integers(values, key)
    top = len(labels) - 1 if labels is not None else None
    if indices.min() < 0 or (top is not None and indices.max() > top):
        wrong = indices[(indices < 0) | (indices > (indices.max() if top is None else top))][0]
        raise DataError(
            f"labels from 0 to {'the last class' if top is None else top}",
            f"label {wrong} in {key}",
            "labels start at 0, in the order of the model's outputs",
        )
    return _renamed(indices, class_names, labels, key)


def label_by_columns(values: np.ndarray, names: Sequence[str], labels: Sequence[str] | None) -> Labelling:
    """Label images by columns of 0 and 1 [N, K] that have names.

    Where the model's labels are not known, the columns are in the order of its outputs.

    Raises:
        DataError: other values, or columns that are not the model's classes.
    """
    found = _from_columns(values, labels, "the CSV")
    if labels is not None and not are_default(labels) and None in (matched := _match(names, labels)):
        strangers = [name for name, place in zip(names, matched, strict=True) if place is None]
        raise DataError(
            f"columns named as the model's classes, {_shown(labels)}",
            _shown(strangers),
            "rename them, or name the classes with --labels",
        )
    return _renamed(found, names, labels, "the CSV")


def label_for(role: Role, label: Callable[[], Labelling]) -> Labelling:
    """What `label()` finds. Calibration needs no labels: what is wrong with them is a note there, and no error."""
    try:
        return label()
    except DataError as error:
        if role != "calibration":
            raise
        return Labelling(note=f"labels not used: {error.found}")


def as_text(values: np.ndarray, key: str) -> np.ndarray:
    """An array of names, as text or as UTF-8 bytes, as text.

    Raises:
        DataError: bytes that are no UTF-8.
    """
    try:
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError as error:
        raise DataError(
            f"names in {key} as text or UTF-8", f"bytes that are not UTF-8 ({error.object!r})", "save them as np.array of str"
        ) from None


def are_multi_hot(values: np.ndarray) -> bool:
    """Whether rows of 0 and 1 [N, K] give an image several classes or none."""
    return bool((values.sum(axis=1) != 1).any())


def are_default(labels: Sequence[str]) -> bool:
    """Whether these are the names edgecls gives when it knows none: class_0, class_1, ..."""
    return all(label == f"class_{index}" for index, label in enumerate(labels))


def _match(names: Sequence[str], labels: Sequence[str]) -> list[int | None]:
    if are_default(labels):
        return [None] * len(names)
    known: dict[str, int] = {}
    for index, label in enumerate(labels):  # the whole label first, then its parts where nothing else claims them
        known.setdefault(_plain(label), index)
    for index, label in enumerate(labels):
        for part in (_LEADING_INDEX.sub("", label), *label.split(",")):
            known.setdefault(_plain(part), index)
    found = [known.get(_plain(name), known.get(_plain(_LEADING_INDEX.sub("", name)))) for name in names]
    return found if len(set(found) - {None}) == len([index for index in found if index is not None]) else [None] * len(names)


def _index(name: str, labels: Sequence[str]) -> int | None:
    """The class that a number stands for, or one of the names given where none is known."""
    if name.isdecimal():
        return int(name) if int(name) < len(labels) else None
    return list(labels).index(name) if are_default(labels) and name in labels else None


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")


def _integers(values: np.ndarray, key: str) -> np.ndarray:
    if values.dtype.kind not in "iufb" or (values.dtype.kind == "f" and not np.array_equal(values, np.round(values))):
        raise DataError(f"{key} of class indices, one-hot rows or names", f"{key} of {values.dtype}", "save integers from 0")
    return values.astype(np.int64)


def _from_columns(values: np.ndarray, labels: Sequence[str] | None, key: str, *, several: bool = False) -> np.ndarray:
    """Class indices int64 [N] where every row has one 1 and images cannot have `several`; otherwise multi-hot rows, uint8 [N, K]."""
    if labels is not None and values.shape[1] != len(labels):
        raise DataError(
            f"{len(labels)} columns in {key}, one per class of the model", f"{values.shape[1]} columns", "is it the right file?"
        )
    if values.dtype.kind not in "iufb" or not np.isin(values, (0, 1)).all() or not values.any():
        raise DataError(
            f"rows of 0 and 1 in {key}, one-hot or multi-hot",
            f"{key} of shape {values.shape} that is not",
            "save integers from 0, or a 1 for each class that an image has",
        )
    return values.astype(np.uint8) if several or are_multi_hot(values) else values.argmax(axis=1).astype(np.int64)


def _require_names(found: np.ndarray, class_names: Sequence[str], key: str) -> None:
    """Refuse names that are not those of the classes, where they alone say how many classes there are."""
    is_short = found.ndim == 1 and found.max() >= len(class_names)
    if is_short or (found.ndim == 2 and found.shape[1] != len(class_names)):
        classes = f"label {found.max()} in {key}" if is_short else f"{found.shape[1]} columns in {key}"
        raise DataError(
            "a name in class_names for each class",
            f"{len(class_names)} ({_shown(class_names)}) and {classes}",
            "save all names, in the order of the classes, or leave class_names out",
        )


def _renamed(found: np.ndarray, class_names: Sequence[str], labels: Sequence[str] | None, key: str) -> Labelling:
    """Indices or multi-hot rows follow the `class_names` to the model's labels where both know the same names in another order."""
    groups = found if found.ndim == 1 else None
    if labels is None and class_names:
        _require_names(found, class_names, key)
    if labels is None or len(class_names) != len(labels):
        return Labelling(found, groups, tuple(class_names if labels is None else labels))
    matched = _match(class_names, labels)
    if None in matched:
        return Labelling(found, groups, tuple(class_names if are_default(labels) else labels))
    note = "" if matched == list(range(len(labels))) else "labels follow class_names, whose order is not the model's"
    places = np.asarray(matched, np.int64)
    return Labelling(places[found] if found.ndim == 1 else found[:, np.argsort(places)], groups, tuple(labels), note)
