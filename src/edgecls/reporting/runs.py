"""Run: what was measured in one environment. Results of several machines or phones become one Run each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecls.errors import InputError
from edgecls.measurement import Measurement, Report

_HASH_SHOWN = 8


@dataclass(frozen=True)
class Run:
    """The newest measurement of each artifact in one environment.

    Attributes:
        name: of the environment, different for each run.
        report: the measurements; what was left out stands in its notes.
    """

    name: str
    report: Report


def merge_reports(reports: Sequence[Report], *, different_models: bool = False) -> list[Run]:
    """Put results of the same environment together.

    Of an artifact measured twice in the same environment (machine and versions of packages) the newest measurement is taken, and a
    note says so.

    Args:
        different_models: take results of several source models; each model has its own runs.

    Raises:
        InputError: results of several models without `different_models`.
    """
    models = list(dict.fromkeys(report.source_sha256 for report in reports))
    if len(models) > 1 and not different_models:
        found = ", ".join(model[:_HASH_SHOWN] if model else "unknown" for model in models)
        raise InputError("results of one source model", f"{len(models)}: {found}", "leave some out, or add --different-models")
    groups: dict[str, list[Report]] = {}
    for report in reports:
        groups.setdefault(f"{report.source_sha256}{report.environment.model_dump_json()}", []).append(report)
    merged = [_newest(found) for found in groups.values()]
    names = [_name(report, len(models) > 1) for report in merged]
    return [Run(_numbered(names, index), report) for index, report in enumerate(merged)]


def _newest(reports: Sequence[Report]) -> Report:
    newest_first = sorted(reports, key=lambda report: report.created, reverse=True)
    rows: dict[str, Measurement] = {}
    older = 0
    for report in newest_first:
        for row in report.measurements:
            older += row.artifact in rows
            rows.setdefault(row.artifact, row)
    notes = list(dict.fromkeys(note for report in newest_first for note in report.notes))
    if older:
        notes.append(f"{older} older measurements of the same artifacts in the same environment are left out")
    return newest_first[0].model_copy(update={"measurements": list(rows.values()), "notes": notes})


def _name(report: Report, with_model: bool) -> str:
    environment = report.environment
    name = environment.device or environment.processor or environment.machine or environment.platform
    return f"{name}, model {(report.source_sha256 or 'unknown')[:_HASH_SHOWN]}" if with_model else name


def _numbered(names: Sequence[str], index: int) -> str:
    """Equal names get a number."""
    nth = names[: index + 1].count(names[index])
    return names[index] if nth == 1 else f"{names[index]} ({nth})"
