"""Whether measurements are of the artifacts that lie in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecls.errors import GateError
from edgecls.workflow.results import results_of
from gate_folder import FLOAT, INT8, make_folder, row, write_results


def test_sizes_are_those_of_files_that_were_measured(tmp_path: Path) -> None:
    """A file that changed since conversion fails unmeasured, and its row has the size that it has now."""
    manifest = make_folder(tmp_path, {FLOAT: 16, INT8: 16})
    changed = row(FLOAT).model_copy(update={"size_bytes": 9000})
    failed = changed.model_copy(update={"status": "failed", "reason": "changed since conversion", "accuracy": None})
    written = write_results(tmp_path, manifest, {FLOAT: failed, INT8: row(INT8)})
    assert results_of(tmp_path / "results.json", tmp_path, manifest).measurements == written.measurements
    write_results(tmp_path, manifest, {FLOAT: changed, INT8: row(INT8)})
    with pytest.raises(GateError, match=f"{FLOAT} of 9,000 bytes, now"):
        results_of(tmp_path / "results.json", tmp_path, manifest)
