"""A CSV beside images: the file of each, and its label or labels by name, or a column of 0 and 1 for each class."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgecls.data.folders import FileSource, require_image_files
from edgecls.data.labels import label_by_columns, label_by_name, label_for
from edgecls.data.source import Labelling, Role
from edgecls.errors import DataError, reason_of
from edgecls.records.counted import counted
from edgecls.records.image_spec import ImageSpec

_EXAMPLE = "write `file,label` first, then lines such as `photos/1.jpg,cat`; or `file,cat,dog`, then `photos/1.jpg,1,0`"
_BETWEEN = re.compile(r"[|;]")  # several labels of an image


def open_table(path: Path, spec: ImageSpec, role: Role, labels: Sequence[str] | None) -> FileSource:
    """The images that a CSV names, in its order.

    The first line names the columns: that of the files, then one for each class, or a single one that holds names, of which an image may
    have several (`cat|dog`) or none. Files are sought from the CSV's own folder.

    Raises:
        DataError: no such CSV, files outside its folder, columns that are not the model's classes, or a model that image files cannot
            feed.
    """
    require_image_files(path, spec)
    classes, rows = _read(path)
    files = [_inside(path, row[0]) for row in rows]
    labelling = label_for(role, lambda: _labelling(path, classes, rows, labels))
    return FileSource(files, labelling, spec, notes=[f"{counted(len(files), 'image')} of {path.name}"], skipped=[])


def _labelling(path: Path, classes: list[str], rows: list[list[str]], labels: Sequence[str] | None) -> Labelling:
    if len(classes) > 1 or {row[1] for row in rows} <= {"0", "1"}:
        return label_by_columns(_values(path, rows), classes, labels)
    found = [[name.strip() for name in _BETWEEN.split(row[1]) if name.strip()] for row in rows]
    names = sorted({name for each in found for name in each})
    if labels is not None and len(names) < len(labels) and set(names) <= set(labels):
        names = list(labels)  # a part of the data that lacks some of the model's classes
    places = {name: index for index, name in enumerate(names)}
    if all(len(each) == 1 for each in found):
        return label_by_name("names of the CSV", names, np.array([places[each[0]] for each in found]), labels)
    values = np.zeros((len(rows), len(names)), np.uint8)
    for row, each in zip(values, found, strict=True):
        row[[places[name] for name in each]] = 1
    return label_by_columns(values, names, labels)


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Names of the classes, and all rows, each as long as the heading."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:  # spreadsheets write a byte order mark
            lines = [[cell.strip() for cell in line] for line in csv.reader(stream, strict=True) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError("a CSV in UTF-8 with commas", f"{path}: {reason_of(error)}", _EXAMPLE) from None
    if len(lines) < 2 or len(lines[0]) < 2:
        raise DataError("a file and a class for each column, and an image for each line", f"{path} without", _EXAMPLE)
    heading, *rows = lines
    classes = heading[1:]
    if len(set(classes)) < len(classes) or "" in classes or set(classes) <= {"0", "1"}:
        raise DataError("a first line with different names of classes", f"{path}: {','.join(heading)}", _EXAMPLE)
    for number, row in enumerate(rows, 2):
        if len(row) != len(heading):
            raise DataError(f"{len(heading)} columns in each line", f"{path}: {len(row)} in line {number}", _EXAMPLE)
    return classes, rows


def _values(path: Path, rows: list[list[str]]) -> np.ndarray:
    for number, row in enumerate(rows, 2):
        if strangers := set(row[1:]) - {"0", "1"}:
            raise DataError("0 or 1 for each class", f"{path}: {min(strangers)!r} in line {number}", _EXAMPLE)
    return np.array([row[1:] for row in rows]).astype(np.uint8)


def _inside(path: Path, name: str) -> Path:
    """The image of this name. What lies elsewhere is not part of the data that the CSV's folder holds."""
    file = Path(os.path.normpath(path.parent / name))
    if not name or not file.is_relative_to(os.path.normpath(path.parent)):
        raise DataError("images in the folder of the CSV", f"{path}: {name!r}", "put the CSV above the images that it names")
    return file
