"""`edgecls report`: which file becomes what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from typer.testing import Result

from edgecls.records.report import results_schema
from gate_folder import FLOAT, INT8, make_folder, row, write_results
from phone_results import phone_results

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


def test_the_pick_stands_in_every_kind_of_page_and_its_limit_moves(results: Path, edgecls: Edgecls) -> None:
    manifest = make_folder(results.parent, {FLOAT: 32, INT8: 8})
    rows = {FLOAT: row(FLOAT, top1=0.9), INT8: row(INT8, top1=0.89, lost=range(10))}
    sizes = {artifact.name: artifact.compressed_bytes for artifact in manifest.artifacts}
    rows = {name: found.model_copy(update={"compressed_bytes": sizes[name]}) for name, found in rows.items()}
    write_results(results.parent, manifest, rows)
    for name in ("r.md", "r.html"):
        assert edgecls("report", results, "-o", results.parent / name).exit_code == 0
        assert f"ONNX: ship {FLOAT}" in (results.parent / name).read_text(encoding="utf-8")
        assert edgecls("report", results, "-o", results.parent / name, "--within", "drop<=1").exit_code == 0
        assert f"ONNX: ship {INT8}" in (results.parent / name).read_text(encoding="utf-8")


def test_another_limit_is_exit_2(results: Path, edgecls: Edgecls) -> None:
    done = edgecls("report", results, "--within", "1%")
    assert done.exit_code == 2
    assert "--within 'drop<=POINTS'" in done.stderr


def test_host_and_phone_stand_in_one_report(results: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    """The phone's pick goes by its own times and the host's accuracy: int8 has the smaller download, and lost nothing."""
    manifest = make_folder(results.parent, {FLOAT: 32, INT8: 8})
    write_results(results.parent, manifest, {FLOAT: row(FLOAT), INT8: row(INT8)})
    phone = phone_results(tmp_path / "phone.json", "a" * 64, {FLOAT: 30.0, INT8: 12.0}, device="Pixel 9")
    browser = phone_results(tmp_path / "browser.json", "a" * 64, {FLOAT: 5.0})  # which knows its platform alone
    jsonschema.validate(json.loads(browser.read_text()), json.loads(results_schema()))
    for name in ("r.html", "r.md", "r.csv"):
        done = edgecls("report", results, phone, browser, "-o", tmp_path / name)
        assert done.exit_code == 0, done.stderr
        assert "3 environments" in done.stderr
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert all(place in text for place in ("a processor", "Pixel 9", "Android 15"))
        if name != "r.csv":
            assert "the pick goes by the accuracy that was measured on a processor" in text
            assert f"ONNX: ship {INT8}: the fastest, as sizes are not known, of the 2 not distinguishable from {FLOAT}" in text
    assert "cores" not in (tmp_path / "r.html").read_text(encoding="utf-8").split("Android 15")[-1]
