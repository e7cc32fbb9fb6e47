"""Names that look like markup of the terminal's library are shown as they are."""

from __future__ import annotations

import io
import sys

import pytest
from rich.table import Table

from edgecls.cli.output import show
from edgecls.cli.progress import Bars
from edgecls.records.event import Event

NAMES = ("[grey] cat", ":dog:", "photos [/old]/1.jpg")  # each vanishes, is replaced or fails where it is taken for markup


@pytest.mark.parametrize("name", NAMES)
def test_a_table_and_a_line_show_names_as_they_are(name: str, capsys: pytest.CaptureFixture[str]):
    table = Table()
    table.add_column(name)
    table.add_row(name)
    show(table, name)
    assert capsys.readouterr().out.count(name) == 3


@pytest.mark.parametrize("name", NAMES)
def test_remarks_and_bars_show_names_as_they_are(name: str, monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with Bars() as bars:
        bars(Event("reading", remark=f"remark {name}"))
        bars(Event("training", name, 1, 2))
    shown = terminal.getvalue()
    assert f"remark {name}" in shown and f"training {name}" in shown
