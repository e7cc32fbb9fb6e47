"""`edgecls report`: which file becomes what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gate_folder import FLOAT, INT8, make_folder, row, write_results

Edgecls = Callable[..., Result]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    manifest = make_folder(tmp_path / "out", {FLOAT: 8, INT8: 8})
    write_results(tmp_path / "out", manifest, {FLOAT: row(FLOAT), INT8: row(INT8)})
    return tmp_path / "out" / "results.json"


@pytest.mark.parametrize(
    ("name", "options", "begins"),
    [
        ("r.html", [], "<!doctype html>"),
        ("r.md", [], "## a processor"),
        ("r.csv", [], "environment,artifact,"),
        ("r.txt", ["--format", "csv"], "environment,artifact,"),
    ],
)
def test_the_suffix_or_the_format_decides(results: Path, edgecls: Edgecls, name: str, options: list[str], begins: str) -> None:
    output = results.parent / name
    done = edgecls("report", results, "-o", output, *options)
    assert done.exit_code == 0, done.stderr
    assert output.read_text(encoding="utf-8").lstrip().startswith(begins)


@pytest.mark.parametrize(("arguments", "said"), [(["-o", "r.txt"], "r.txt"), (["--format", "pdf"], "--format pdf")])
def test_another_kind_of_report_is_exit_2(results: Path, edgecls: Edgecls, arguments: list[str], said: str) -> None:
    done = edgecls("report", results, *arguments)
    assert done.exit_code == 2
    assert f"found {said}" in done.stderr


def test_damaged_results_are_exit_2(results: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    results.write_text(results.read_text(encoding="utf-8")[:100], encoding="utf-8")
    done = edgecls("report", results, "-o", tmp_path / "r.html")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "r.html").exists()
