"""`edgecls demo`: the whole flow on a model trained on the spot."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecls.cli.model_options import Verbose
from edgecls.cli.output import note

if TYPE_CHECKING:
    from edgecls.records.report import Report

PAGE_NAME = "report.html"


def demo(
    output: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where model, artifacts and results go.")] = Path(
        "demo"
    ),
    open_page: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Open the report in the browser. [asked, at a terminal]")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Train a small classifier of handwritten digits, compress it, convert it to everything, verify and measure it all."""
    from edgecls.cli.output import console, show
    from edgecls.cli.progress import Bars
    from edgecls.reporting import conversion_table, demo_table, merge_reports, report_html, report_table, variants_table
    from edgecls.system.store import write_text
    from edgecls.workflow import BenchRequest, bench, compress, convert, read_variants
    from edgecls.workflow.bench import has_failed
    from edgecls.workflow.demo import compress_options, convert_options, train_demo_model
    from edgecls.workflow.results import RESULTS_NAME

    note("1/4 Training a small CNN on scikit-learn's 1,438 handwritten digits …")
    model = train_demo_model(output)
    note("2/4 Training it on: half of the weights zero, with int8 rounding, and both …")
    compression = compress_options(model, output)
    with Bars(remarks=verbose) as bars:
        done = compress(compression, bars)
    note("3/4 Converting all to TFLite, ONNX and Core ML, each compared with its model …")
    jobs = convert_options(model, compression.folder, output)
    with Bars(remarks=verbose) as bars:
        for job in jobs:
            manifest = convert(job, bars)
    folder = jobs[0].folder
    note("4/4 Measuring every file on 359 digits that none has seen …")
    with Bars(remarks=verbose) as bars:
        report = bench(BenchRequest(folder=folder, output=output / RESULTS_NAME), bars)
    page = output / PAGE_NAME
    write_text(page, report_html(merge_reports([report])))
    width = console().width
    if verbose:
        show(variants_table(done, read_variants(compression.folder), width))
        show(conversion_table(manifest, width), report_table(report, width))
    else:
        show(demo_table(report, width))
    _tell_next(report, folder, page)
    _offer(page, open_page)
    if any(artifact.status != "ok" for artifact in manifest.artifacts) or has_failed(report):
        raise typer.Exit(3)


def _tell_next(report: Report, folder: Path, page: Path) -> None:
    program, quoted = _program(), shlex.quote(str(folder))
    note(f"Made: {len(report.measurements)} files in {folder}; every figure and reason: {page}")
    note("Next, with a model of your own:")
    note(f"  {program} convert model.keras --calibration photos/ --labels labels.txt")
    note(f"  {program} embed {quoted} --into APP")


def _program() -> str:
    """What to type for this program: its name where the shell finds it, else the path it was started by, which is short in a clone."""
    started, near = Path(sys.argv[0]).absolute(), os.path.relpath(sys.argv[0])
    return "edgecls" if shutil.which("edgecls") else str(started) if near.startswith("..") else near


def _offer(page: Path, wanted: bool | None) -> None:
    """Open the page, where that is wanted; ask where somebody is there to answer."""
    if wanted is None:
        wanted = (
            sys.stdin.isatty() and sys.stderr.isatty() and typer.confirm(f"Open {page} in the browser?", default=False, err=True)
        )
    if wanted:
        typer.launch(str(page))
