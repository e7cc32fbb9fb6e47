"""Run: what was measured in one environment by the same engines. Results of several machines or phones become one Run each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgecls.errors import InputError
from edgecls.evaluation.pick import pick_artifacts
from edgecls.records.measurement import Measurement
from edgecls.records.report import Report

_HASH_SHOWN = 8


@dataclass(frozen=True)
class Run:
    """The newest measurement of each artifact in one environment, by the same versions of engines.

    Attributes:
        name: of the environment, different for each run.
        report: the measurements; what was left out stands in its notes.
    """

    name: str
    report: Report


def merge_reports(reports: Sequence[Report], *, different_models: bool = False, within_points: float | None = None) -> list[Run]:
    """Put results of the same environment together.

    Of an artifact measured twice in the same environment (machine, instruction sets and versions of packages) by the same engines the
    newest measurement is taken, and a note says so. Where instruction sets or versions of engines alone keep results of one machine
    apart, a note says that.

    Args:
        different_models: take results of several source models; each model has its own runs.
        within_points: percentage points of accuracy that a pick may lose; None: what the results were picked with.

    Raises:
        InputError: results of several models without `different_models`.
    """
    models = list(dict.fromkeys(report.source_sha256 for report in reports))
    if len(models) > 1 and not different_models:
        found = ", ".join(model[:_HASH_SHOWN] if model else "unknown" for model in models)
        raise InputError("results of one source model", f"{len(models)}: {found}", "leave some out, or add --different-models")
    merged = [_newest(group) for group in _grouped(reports)]
    titles = [_name(report, len(models) > 1) for report in merged]
    names = [_numbered(titles, index) for index in range(len(titles))]
    apart = [_apart(report, titles[index], zip(names, titles, merged, strict=True)) for index, report in enumerate(merged)]
    runs = [
        Run(name, report.model_copy(update={"notes": [*report.notes, *notes]}))
        for name, report, notes in zip(names, merged, apart, strict=True)
    ]
    return [_with_picks(run, runs, within_points) for run in runs]


def _grouped(reports: Sequence[Report]) -> list[list[Report]]:
    """Reports whose rows can stand in one table, in the order of the first of each."""
    groups: list[list[Report]] = []
    for report in reports:
        group = next((found for found in groups if all(_measured_alike(report, other) for other in found)), None)
        if group is None:
            groups.append([report])
        else:
            group.append(report)
    return groups


def _measured_alike(one: Report, other: Report) -> bool:
    same_place = (one.source_sha256, one.environment) == (other.source_sha256, other.environment)
    return same_place and not _engines_apart(one, other)


def _engines_apart(one: Report, other: Report) -> list[tuple[str, str]]:
    """Engines that both used in different versions, in words. A version that is not known is only like another such."""
    ours, theirs = _engines(one), _engines(other)
    return [
        (f"{name} {ours[name] or 'of unknown version'}", f"{name} {theirs[name] or 'of unknown version'}")
        for name in sorted(ours.keys() & theirs.keys())
        if ours[name] != theirs[name]
    ]


def _engines(report: Report) -> dict[str, str]:
    versions: dict[str, set[str]] = {}
    for row in report.measurements:
        if row.engine:
            versions.setdefault(row.engine.name, set()).add(row.engine.version)
    return {name: " and ".join(sorted(found)) for name, found in versions.items()}


def _apart(report: Report, title: str, others: Iterable[tuple[str, str, Report]]) -> list[str]:
    """Notes on the other runs of the same machine and model whose latencies are not comparable with this one's."""
    notes = []
    for name, other_title, other in others:
        if other is report or other_title != title or other.source_sha256 != report.source_sha256:
            continue
        differences = _engines_apart(report, other)
        if report.environment.instruction_sets != other.environment.instruction_sets:
            differences.insert(0, (_sets(report), _sets(other)))
        if differences:
            here, there = (", ".join(texts) for texts in zip(*differences, strict=True))
            notes.append(f"latencies here ({here}) are not comparable with those of {name} ({there})")
    return notes


def _sets(report: Report) -> str:
    return " ".join(report.environment.instruction_sets) or "unknown instruction sets"


def _with_picks(run: Run, runs: Sequence[Run], within_points: float | None) -> Run:
    """A run that asked no images, as on a phone, picks by the accuracy that another one of the same model found, and says so."""
    report = run.report
    if within_points is None:
        within_points = next((pick.within_points for found in (run, *runs) for pick in found.report.picks), None)
    asked = [
        found for found in (run, *runs) if found.report.source_sha256 == report.source_sha256 and _has_accuracy(found.report)
    ]
    answers = asked[0] if asked else run
    notes = [] if answers is run else [f"the pick goes by the accuracy that was measured on {answers.name}"]
    picks = pick_artifacts(report.measurements, within_points, answers.report.measurements)
    return Run(run.name, report.model_copy(update={"picks": picks, "notes": [*report.notes, *notes]}))


def _has_accuracy(report: Report) -> bool:
    return any(row.accuracy or row.multilabel for row in report.measurements)


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
    name = environment.device or environment.processor or environment.platform
    return f"{name}, model {(report.source_sha256 or 'unknown')[:_HASH_SHOWN]}" if with_model else name


def _numbered(names: Sequence[str], index: int) -> str:
    """Equal names get a number."""
    nth = names[: index + 1].count(names[index])
    return names[index] if nth == 1 else f"{names[index]} ({nth})"
