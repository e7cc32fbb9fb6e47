"""`edgecls check`: the gate."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecls.cli.output import note

if TYPE_CHECKING:
    from edgecls.records.finding import GateResult
    from edgecls.workflow.check import CheckRequest

_BASELINE = "edgecls-baseline.json"  # as `gate.baseline` calls it, whose import the help has no time for


def check(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="An artifacts folder. [the newest one here]", show_default=False)
    ] = None,
    baseline: Annotated[Path, typer.Option(metavar="FILE", help="The committed state to compare with.")] = Path(_BASELINE),
    budget: Annotated[Path | None, typer.Option(metavar="FILE", help="Limits. [edgecls.toml beside the baseline]")] = None,
    results: Annotated[Path | None, typer.Option(metavar="FILE", help="Measurements. [OUT/results.json]")] = None,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Write the state of OUT as the baseline instead.")
    ] = False,
    why: Annotated[bool, typer.Option("--why", help="Show which layers grew or shrank.")] = False,
    gate_latency: Annotated[
        bool, typer.Option("--gate-latency", help="Fail on latency too, relative to a reference artifact of the same run.")
    ] = False,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a pull-request comment.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    github: Annotated[
        bool, typer.Option("--github", help="Write annotations, step summary and outputs for a GitHub runner.")
    ] = False,
    comment_threshold: Annotated[
        str, typer.Option(metavar="SHARE", help="With --github: smaller changes within budget are not worth a comment.")
    ] = "0.5%",
) -> None:
    """Compare the artifacts of OUT with a baseline: exit 1 when they break the budget, 2 when they cannot be compared."""
    from edgecls.cli.output import console, show
    from edgecls.errors import InputError
    from edgecls.gate.budget import parse_share
    from edgecls.reporting import gate_junit, gate_line, gate_markdown, gate_table
    from edgecls.system.store import write_text
    from edgecls.workflow.bench import newest_folder
    from edgecls.workflow.check import CheckRequest, explain
    from edgecls.workflow.check import check as run

    try:
        threshold = parse_share(comment_threshold)
    except ValueError as error:
        raise InputError(str(error), f"--comment-threshold {comment_threshold}", "correct it") from None
    if folder is None:
        folder = newest_folder(Path())
        note(f"Checking {folder}, the newest artifacts folder here.")
    request = CheckRequest(folder=folder, baseline=baseline, budget=budget, results=results, gate_latency=gate_latency)
    if update_baseline:
        if why or gate_latency or markdown or junit or github:
            raise InputError(
                "--update-baseline, which compares nothing, without what tells of a comparison",
                "more than that",
                "leave the rest out",
            )
        _update(request)
        return
    result = run(request)
    layers, remarks = explain(request, result) if why else ([], [])
    show(gate_table(result, layers, console().width))
    for remark in remarks:
        note(remark)
    if markdown is not None:
        write_text(markdown, gate_markdown(result, layers))
    if junit is not None:
        write_text(junit, gate_junit(result))
    if github:
        _tell_runner(result, baseline, gate_markdown(result, layers), result.changed_beyond(threshold))
    note(gate_line(result))
    if result.violations:
        if broken := dict.fromkeys(finding.artifact for finding in result.violations if finding.absolute):
            place = request.budget or baseline.with_name("edgecls.toml")
            note(f"Absolute limits, which a new baseline does not change, are broken by {', '.join(broken)}: {place} has them.")
        if any(finding.relative for finding in result.violations):
            note(f"Where this is as intended: {_accepting(request)}, and commit the baseline with the change.")
        raise typer.Exit(1)


def _accepting(request: CheckRequest) -> str:
    """The command that takes what was checked as the baseline; not a temporary one, as a gate's copy of an earlier one."""
    given = {"--baseline": request.baseline, "--budget": request.budget, "--results": request.results}
    if request.baseline.is_relative_to(tempfile.gettempdir()) or request.baseline == Path(_BASELINE):
        del given["--baseline"]
    words = [word for option, path in given.items() if path is not None for word in (option, str(path))]
    return shlex.join(["edgecls", "check", str(request.folder), *words, "--update-baseline"])


def _update(request: CheckRequest) -> None:
    from edgecls.records.counted import counted
    from edgecls.workflow.check import update_baseline

    written, notes = update_baseline(request)
    for line in notes:
        note(f"note: {line}")
    measured = sum((entry.accuracy or entry.multilabel) is not None for entry in written.artifacts.values())
    note(f"{request.baseline}: {counted(len(written.artifacts), 'artifact')}, {measured} with accuracy. Commit it.")


def _tell_runner(result: GateResult, baseline: Path, markdown: str, notable: bool) -> None:
    """Annotations on stdout; summary and outputs in the files that the runner names."""
    from edgecls.reporting import gate_annotations

    for line in gate_annotations(result, None if baseline.is_absolute() else baseline.as_posix()):
        typer.echo(line)
    verdict = "failed" if result.violations else "passed"
    outputs = f"verdict={verdict}\nnotable={str(notable).lower()}\n"
    for variable, text in (("GITHUB_STEP_SUMMARY", markdown), ("GITHUB_OUTPUT", outputs)):
        if place := os.environ.get(variable):
            with open(place, "a", encoding="utf-8") as stream:
                stream.write(text)
