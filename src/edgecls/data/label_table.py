"""A CSV beside images: the file of each, and its label or labels by name, or a column of 0 and 1 for each class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgecls.data.folders import FileSource, require_image_files
from edgecls.data.labels import label_by_columns, label_by_name, label_by_value, label_for
from edgecls.data.named_files import NamedFiles
from edgecls.data.source import Labelling, Role
from edgecls.data.table_file import EXAMPLE, Table, read_table
from edgecls.errors import DataError
from edgecls.records.counted import counted
from edgecls.records.image_spec import ImageSpec

_BETWEEN = re.compile(r"[|;]")  # several labels of an image
_WHOLE = re.compile(r"\d{1,9}(\.0+)?")


def open_table(path: Path, spec: ImageSpec, role: Role, labels: Sequence[str] | None) -> FileSource:
    """The images that a CSV names, in its order.

    The first line names the columns: that of the files, then one for each class, or a single one that holds names, of which an image may
    have several (`cat|dog`) or none, or the indices of classes. Files are sought from the CSV's own folder.

    Raises:
        DataError: no such CSV, files outside its folder, columns that are not the model's classes, or a model that image files cannot
            feed.
    """
    require_image_files(path, spec)
    named = NamedFiles(path)
    table = read_table(path, named)
    files = [named.find(name) for name in table.files]
    labelling = label_for(role, lambda: _labelling(path, table, labels))
    notes = [f"{counted(len(files), 'image')} of {path.name}", *filter(None, (table.note, named.note))]
    return FileSource(files, labelling, spec, notes=notes, skipped=[])


def _labelling(path: Path, table: Table, labels: Sequence[str] | None) -> Labelling:
    if len(table.classes) > 1:
        return label_by_columns(_values(path, table), table.classes, labels)
    found = [[name.strip() for name in _BETWEEN.split(row[0]) if name.strip()] for row in table.rows]
    names = sorted({name for each in found for name in each})
    numbered = all(_WHOLE.fullmatch(name) for name in names)
    if numbered:
        found = [[name.partition(".")[0] for name in each] for each in found]  # pandas writes 3.0 where some are missing
        names = sorted({name for each in found for name in each}, key=int)
    if labels is not None and len(names) < len(labels) and set(names) <= set(labels):
        names = list(labels)  # a part of the data that lacks some of the model's classes
    places = {name: index for index, name in enumerate(names)}
    if numbered and labels is not None and not set(names) <= set(labels) and (len(names) != len(labels) or names[0] == "0"):
        return replace(_by_index(found, labels), note="labels of the CSV are class indices")
    if all(len(each) == 1 for each in found):
        order = "numerical" if numbered else "alphabetical"
        return label_by_name("names of the CSV", names, np.array([places[each[0]] for each in found]), labels, order)
    values = np.zeros((len(table.rows), len(names)), np.uint8)
    for row, each in zip(values, found, strict=True):
        row[[places[name] for name in each]] = 1
    return label_by_columns(values, names, labels)


def _by_index(found: list[list[str]], labels: Sequence[str]) -> Labelling:
    """Indices of the model's classes, of each image one, several or none."""
    indices = [[int(name) for name in each] for each in found]
    flat = np.array([index for each in indices for index in each])
    labelling = label_by_value(flat, len(flat), (), labels, "the CSV")  # refuses what is no index
    if all(len(each) == 1 for each in indices):
        return labelling
    values = np.zeros((len(indices), len(labels)), np.uint8)
    for row, each in zip(values, indices, strict=True):
        row[each] = 1
    return label_by_value(values, len(values), (), labels, "the CSV")


def _values(path: Path, table: Table) -> np.ndarray:
    for number, row in zip(table.numbers, table.rows, strict=True):
        if strangers := set(row) - {"0", "1"}:
            remedy = f"{EXAMPLE}; of other columns the one called `label` is taken"
            raise DataError("0 or 1 for each class", f"{path}: {min(strangers)!r} in line {number}", remedy)
    return np.array(table.rows).astype(np.uint8)
