"""`--plots` and `evaluate -o`: what would fail at the end of the work is told before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecls.errors import OutputError
from edgecls.reporting import require_plots

pytest.importorskip("matplotlib")


def test_a_file_in_the_place_of_the_folder(tmp_path: Path, command):
    require_plots(tmp_path / "new")
    (tmp_path / "charts").write_text("")
    with pytest.raises(OutputError, match="a folder for --plots"):
        require_plots(tmp_path / "charts")
    arguments = (tmp_path / "missing.tflite", "--data", tmp_path, "--plots", tmp_path / "charts")
    found = command("evaluate", *arguments)
    assert found.exit_code == 2 and "a folder for --plots" in found.stderr


def test_a_folder_in_the_place_of_the_page(tmp_path: Path, command):
    found = command("evaluate", tmp_path / "missing.tflite", "--data", tmp_path, "-o", tmp_path)
    assert found.exit_code == 2 and f"write -o {tmp_path / 'evaluation.html'}" in " ".join(found.stderr.split())
