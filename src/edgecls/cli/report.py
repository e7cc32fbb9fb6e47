"""`edgecls report`: results of one or many machines as a page, a table or CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecls.cli.output import note

_SUFFIXES = {".html": "html", ".htm": "html", ".md": "md", ".csv": "csv"}


def report(
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULTS…", help="results.json of one or more runs, machines or phones.")
    ],
    output: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="Where the report goes.")] = Path("report.html"),
    format_: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="html, md or csv. [as the suffix of FILE says]")
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            metavar="'drop<=POINTS'",
            help="What an artifact worth shipping may lose. [as it was measured with]",
            show_default=False,
        ),
    ] = None,
    different_models: Annotated[
        bool, typer.Option("--different-models", help="Take results of several source models into one report.")
    ] = False,
) -> None:
    """Write a report of measurements: one HTML page that needs no network, Markdown or CSV."""
    from edgecls.errors import InputError
    from edgecls.quantization.accuracy_goal import parse_goal
    from edgecls.records.counted import counted
    from edgecls.records.report import Report
    from edgecls.reporting import merge_reports, report_html, runs_csv, runs_markdown
    from edgecls.system.store import write_text

    renderers = {"html": report_html, "md": runs_markdown, "csv": runs_csv}
    chosen = format_ or _SUFFIXES.get(output.suffix.lower())
    if chosen not in renderers:
        found = f"--format {format_}" if format_ else str(output)
        raise InputError("a report as .html, .md or .csv", found, "name one of them with -o or --format")
    points = None if within is None else parse_goal(within, "--within")
    reports = [Report.read(path) for path in results]
    runs = merge_reports(reports, different_models=different_models, within_points=points)
    write_text(output, renderers[chosen](runs))
    note(f"{output}: {counted(len(runs), 'environment')}, {output.stat().st_size / 1024:.0f} KiB")
