"""Grid: a table before it is rendered, the same for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgecls.records.note import note_on, split_note

T = TypeVar("T")
ABSENT = "–"


@dataclass(frozen=True)
class Column(Generic[T]):
    """How one column reads its cell from a row's value.

    Attributes:
        cell: text of the cell, "" where the row has nothing to say; a column without any text is left out.
        numeric: right-aligned.
        rank: columns of high rank go first when the place is narrow; 0 always stays.
    """

    title: str
    cell: Callable[[T], str]
    numeric: bool = False
    rank: int = 0


@dataclass(frozen=True)
class Grid:
    """Titles, rows of text, and remarks to stand below.

    Attributes:
        columns: the columns left in, in order.
        rows: one text per column.
        good: for each row, whether it is as it should be.
        notes: sentences below the table.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    good: Sequence[bool]
    notes: Sequence[str] = ()

    def without(self, titles: set[str]) -> Grid:
        """The same with these columns left out."""
        kept = [index for index, column in enumerate(self.columns) if column.title not in titles]
        return Grid(
            [self.columns[index] for index in kept], [[row[index] for index in kept] for row in self.rows], self.good, self.notes
        )


def make_grid(columns: Sequence[Column[T]], values: Sequence[T], good: Callable[[T], bool], notes: Sequence[str] = ()) -> Grid:
    """Read every cell; columns in which no row has anything are left out, single missing cells become a dash."""
    cells = [[column.cell(value) for column in columns] for value in values]
    kept = [index for index, column in enumerate(columns) if any(row[index] for row in cells)]
    rows = [[row[index] or ABSENT for index in kept] for row in cells]
    return Grid([columns[index] for index in kept], rows, [good(value) for value in values], notes)


def shared_reasons(entries: Sequence[tuple[str, str]]) -> list[str]:
    """One line for each reason: (name, reason) pairs of the same reason become `first, second reason`."""
    names: dict[str, list[str]] = {}
    for name, reason in entries:
        names.setdefault(reason, []).append(name)
    return [f"{', '.join(found)} {reason}" for reason, found in names.items()]


def told_once(notes: Sequence[str], names: Collection[str]) -> list[str]:
    """Notes of which some concern one of these artifacts: what is told alike of several becomes one, `first, second: note`."""
    told: dict[str, list[str]] = {}
    for note in notes:
        name, text = split_note(note, names)
        told.setdefault(text, []).extend([name] if name else [])
    return [note_on(", ".join(found), text) if found else text for text, found in told.items()]
