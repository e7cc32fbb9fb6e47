"""The measurements of a folder's artifacts, where they are of those that lie there now."""

from __future__ import annotations

from pathlib import Path

from edgecls.errors import GateError
from edgecls.records.artifact import Manifest
from edgecls.records.report import Report

RESULTS_NAME = "results.json"
_REMEASURE = "measure them again with `edgecls bench`"


def results_of(path: Path, folder: Path, manifest: Manifest) -> Report:
    """The results in a file.

    Raises:
        GateError: they are not of the artifacts in this folder.
        ArtifactError: they cannot be read.
    """
    report = Report.read(path)
    expected = f"results of the artifacts in {folder}"
    if report.source_sha256 != manifest.source.sha256:
        found = f"{path}: of another model" if report.source_sha256 else f"{path}, which lacks source_sha256"
        raise GateError(expected, found, _REMEASURE)
    if report.created < manifest.created:
        raise GateError(expected, f"{path}, written before the artifacts were", _REMEASURE)
    sizes = {artifact.name: artifact.size_bytes for artifact in manifest.artifacts if artifact.status == "ok"}
    own = [row for row in report.measurements if row.artifact in sizes]
    if not own:
        raise GateError(expected, f"{path}: of none of them", _REMEASURE)
    for row in (row for row in own if row.status != "failed"):  # one whose file had changed failed, with the size of that file
        if row.size_bytes not in (0, sizes[row.artifact]):  # a phone may not know the size
            raise GateError(
                expected, f"{path}: {row.artifact} of {row.size_bytes:,} bytes, now {sizes[row.artifact]:,}", _REMEASURE
            )
    return report
