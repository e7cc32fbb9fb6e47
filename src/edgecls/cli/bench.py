"""`edgecls bench`: accuracy, latency, memory and size of every artifact."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edgecls.cli.model_options import Filter, Fit, Verbose
from edgecls.cli.output import note

_MOST = 1024  # threads or images at once


def bench(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[OUT] [FILES]...",
            help="An artifacts folder and files from elsewhere. [the newest folder here]",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Labelled images: class folders or .npz. [those the manifest remembers]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="Where results go. [OUT/results.json]")
    ] = None,
    min_seconds: Annotated[float, typer.Option(metavar="S", min=0.0, help="Sample each latency at least so long.")] = 1.0,
    min_runs: Annotated[int, typer.Option(metavar="N", min=1, help="Sample each latency at least so often.")] = 50,
    threads: Annotated[
        str, typer.Option(metavar="N,…", help="Threads of one inference; several: measured with each, the first counts.")
    ] = "1",
    batch: Annotated[
        str | None, typer.Option(metavar="N,…", help="Also measure throughput with so many images at once.", show_default=False)
    ] = None,
    sustained: Annotated[
        float, typer.Option(metavar="MINUTES", min=0.0, help="Also run each without a pause: does it get slower?")
    ] = 0.0,
    profile: Annotated[bool, typer.Option("--profile", help="Also profile the operations: where does the time go?")] = False,
    timeout: Annotated[float, typer.Option(metavar="S", min=0.1, help="Longest time one step of one artifact may take.")] = 300.0,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Most images to measure accuracy on. [all]")] = None,
    preprocess: Annotated[
        str | None, typer.Option(metavar="NAME", help="How pixels enter, as in convert; auto: try the common choices.")
    ] = None,
    fit: Fit = None,
    filter: Filter = None,
    within: Annotated[
        str | None,
        typer.Option(
            metavar="'drop<=POINTS'",
            help="What an artifact worth shipping may lose. [nothing that can be told from float at 95 %]",
            show_default=False,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="tcp://…", help="Measure accuracy on the workers of a Dask cluster; latency here.", show_default=False
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MACHINE",
            help="Measure there: a command such as 'ssh pi python3', or a name in edgecls.toml. Repeat it for more.",
            show_default=False,
        ),
    ] = None,
    verbose: Verbose = False,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, for machines.")] = False,
) -> None:
    """Measure every artifact of OUT, and FILES beside it, each in a process of its own."""
    from edgecls.system.spare import start_spare

    start_spare(["edgecls.timing.stopwatch", "edgecls.runners"])  # for the artifact that is measured first
    from edgecls.cli.output import console, show, show_json
    from edgecls.cli.progress import Bars
    from edgecls.crew import BenchOptions
    from edgecls.errors import InputError, WorkerError
    from edgecls.quantization.accuracy_goal import parse_goal
    from edgecls.workflow.bench import BenchRequest, has_failed, newest_folder, ready_machines, results_path
    from edgecls.workflow.bench import bench as run

    folder, files = _split(paths or [])
    if folder is None and not files:
        folder = newest_folder(Path())
        note(f"Measuring {folder}, the newest artifacts folder here.")
    options = BenchOptions(
        min_seconds=min_seconds,
        min_runs=min_runs,
        threads=_counts("--threads", threads),
        batches=_counts("--batch", batch) if batch else (),
        sustained_minutes=sustained,
        profile=profile,
        timeout_s=timeout,
    )
    request = BenchRequest(
        folder=folder,
        files=tuple(files),
        data=data,
        output=output,
        preprocess=preprocess,
        fit=fit,
        filter=filter,
        limit=limit,
        scheduler=scheduler,
        within_points=None if within is None else parse_goal(within, "--within"),
        options=options,
    )
    if json and on and len(on) > 1:
        raise InputError("one machine with --json", f"{len(on)}", "read their results files instead")
    failed = False
    for machine in ready_machines(on, request) if on else [None]:
        asked = replace(request, machine=machine)
        try:
            with Bars() as bars:
                report = run(asked, bars)
        except WorkerError as error:  # lost before anything was measured; the other machines go on
            note(f"error: {machine.name if machine else 'this machine'}: {error}")
            failed = True
            continue
        if json:
            show_json(report)
        else:
            from edgecls.reporting import report_table  # after the run: the first inference should not wait for it

            show(report_table(report, console().width, verbose=verbose))
            results = results_path(asked, folder)
            more = "" if verbose else "; intervals, memory and reasons: --verbose"
            note(f"All of it: {results}; as a page: edgecls report {shlex.quote(str(results))}{more}")
        failed |= has_failed(report)
    if failed:
        raise typer.Exit(3)


def _split(paths: list[Path]) -> tuple[Path | None, list[Path]]:
    """Tell artifacts folders from artifacts (an .mlpackage is a folder too)."""
    from edgecls.errors import ArtifactError

    folders = [path for path in paths if path.is_dir() and path.suffix not in (".mlpackage", ".savedmodel")]
    if len(folders) > 1:
        raise ArtifactError(
            "one artifacts folder", ", ".join(str(folder) for folder in folders), "measure them one after another"
        )
    return (folders[0] if folders else None), [path for path in paths if path not in folders]


def _counts(option: str, text: str) -> tuple[int, ...]:
    """`1,2,4` as numbers, each once.

    Raises:
        InputError: something else.
    """
    from edgecls.errors import InputError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= _MOST for part in parts):
        raise InputError(f"numbers from 1 to {_MOST} as in {option} 1,2,4", f"{option} {text!r}", "separate them by commas")
    return tuple(dict.fromkeys(int(part) for part in parts))
