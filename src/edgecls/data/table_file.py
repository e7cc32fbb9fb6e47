"""A CSV as other programs write it: a column of files, and one of labels or one for each class."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from edgecls.data.decode import SUFFIXES
from edgecls.data.named_files import NamedFiles
from edgecls.errors import DataError, reason_of

EXAMPLE = "write `file,label` first, then lines such as `photos/1.jpg,cat`; or `file,cat,dog`, then `photos/1.jpg,1,0`"
_LABEL_COLUMNS = frozenset(("label", "labels", "class", "classes", "class_name", "classname", "category", "target"))
_NUMBERING = frozenset(("", "unnamed: 0"))  # headings that pandas gives to the numbers of its rows
_SEPARATORS = ",;\t"
_SAID = re.compile(r"sep=([,;\t])\r?\n")  # a first line for Excel
_TRIED = 20  # rows that tell which column holds files


@dataclass(frozen=True)
class Table:
    """Rows that were read from a CSV.

    Attributes:
        files: of each image, as written.
        classes: headings of the columns beside the files; `label` where there is no heading.
        rows: cells below them, for each image.
        numbers: of its lines in the file, for each image.
        note: which columns were taken, where not all were.
    """

    files: list[str]
    classes: list[str]
    rows: list[list[str]]
    numbers: list[int]
    note: str = ""


def read_table(path: Path, named: NamedFiles) -> Table:
    """Read a CSV with commas, semicolons or tabs, in UTF-8 or, with a byte order mark, in UTF-16.

    A first line that names an image is no heading. Where there are more columns than one of files and one of labels, or of 0 and 1 for each
    class, the labels are in the column that is called so.

    Args:
        named: the images beside it, which tell the column of files.

    Raises:
        DataError: no such table.
    """
    heading, *rows = _lines(path)
    for number, row in rows:
        if len(row) != len(heading[1]):
            raise DataError(f"{len(heading[1])} columns in each line", f"{path}: {len(row)} in line {number}", EXAMPLE)
    at = _file_column(heading[1], [row for _, row in rows[:_TRIED]], named)
    if len(heading[1]) == 2 and _is_row(heading[1][at], rows[0][1][at], named):
        rows.insert(0, heading)
        heading = (0, ["label", "label"])
    taken, note = _class_columns(heading[1], [row for _, row in rows], at)
    classes = [heading[1][index] for index in taken]
    if len(set(classes)) < len(classes) or "" in classes or not classes or set(classes) <= {"0", "1"}:
        raise DataError("a first line with different names of classes", f"{path}: {','.join(heading[1])}", EXAMPLE)
    return Table(
        files=[row[at] for _, row in rows],
        classes=classes,
        rows=[[row[index] for index in taken] for _, row in rows],
        numbers=[number for number, _ in rows],
        note=note,
    )


def _file_column(heading: list[str], rows: list[list[str]], named: NamedFiles) -> int:
    """The first column with a path of an image, or else with a name of one, with suffix or without.

    Where none is there, the first one, or the one after the numbers of rows, unless it says 0 or 1 of a class.
    """
    columns = sorted(range(len(heading)), key=lambda index: heading[index].casefold() in _NUMBERING)
    for names_one in (named.lies, _is_image, lambda cell: not cell.isdecimal() and named.has(cell)):
        for index in columns:
            if any(names_one(row[index]) for row in rows):
                return index
    return columns[0] if len(heading) > 2 and any(row[columns[0]] not in ("0", "1") for row in rows) else 0


def _is_row(first: str, second: str, named: NamedFiles) -> bool:
    """Whether the first line names an image, as the second does; pandas numbers columns that have no heading."""
    if _is_image(first) or _is_image(second):
        return _is_image(first)
    return (second.isdecimal() or not first.isdecimal()) and named.has(first)


def _is_image(name: str) -> bool:
    return Path(name).suffix.casefold() in SUFFIXES


def _class_columns(heading: list[str], rows: list[list[str]], at: int) -> tuple[list[int], str]:
    """Which columns hold classes, and what to say of that."""
    others = [index for index, name in enumerate(heading) if index != at and name.casefold() not in _NUMBERING]
    named = [index for index in others if heading[index].casefold() in _LABEL_COLUMNS]
    if len(others) < 2 or len(named) != 1 or all(row[index] in ("0", "1") for row in rows for index in others):
        return others, ""
    return named, f"columns {heading[at]} and {heading[named[0]]} taken"


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """At least two lines of at least two cells, each with its number."""
    try:
        content = path.read_bytes()
        is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if is_wide else "utf-8-sig")  # spreadsheets write a byte order mark
        said = _SAID.match(text)
        reader = csv.reader(
            io.StringIO(text[said.end() :] if said else text, newline=""), delimiter=_separator(text), strict=True
        )
        lines = [(reader.line_num + bool(said), [cell.strip() for cell in line]) for line in reader if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError("a CSV in UTF-8", f"{path}: {reason_of(error)}", EXAMPLE) from None
    if len(lines) < 2 or len(lines[0][1]) < 2:
        raise DataError("a file and a class for each column, and an image for each line", f"{path} without", EXAMPLE)
    return lines


def _separator(text: str) -> str:
    if said := _SAID.match(text):
        return said[1]
    heading = text.partition("\n")[0]
    return next((mark for mark in _SEPARATORS if mark in heading), ",")
