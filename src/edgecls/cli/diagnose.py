"""`edgecls diagnose`: which layers a quantized artifact loses in, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecls.cli.output import note


def diagnose(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="An artifacts folder. [the newest one here]", show_default=False)
    ] = None,
    artifact: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which quantized artifact. [TFLite int8, else ONNX int8]", show_default=False),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Images; labels are not needed. [those the manifest remembers]")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Most images to look at.")] = 100,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="So many layers in the table.")] = 15,
    json: Annotated[bool, typer.Option("--json", help="Print all layers as JSON, for machines.")] = False,
) -> None:
    """Compare a quantized artifact of OUT with its float self layer by layer, worst first, and say what to do."""
    from edgecls.cli.output import console, quiet_engine, show, show_json
    from edgecls.cli.progress import Bars
    from edgecls.reporting import diagnosis_table
    from edgecls.workflow.bench import newest_folder
    from edgecls.workflow.diagnose import DiagnoseRequest
    from edgecls.workflow.diagnose import diagnose as run

    if folder is None:
        folder = newest_folder(Path())
        note(f"Diagnosing {folder}, the newest artifacts folder here.")
    with Bars() as bars, quiet_engine():
        found = run(DiagnoseRequest(folder=folder, artifact=artifact, data=data, limit=limit), bars)
    if json:
        show_json(found)
        return
    show(diagnosis_table(found, top, console().width))
    for entry in found.advice:
        typer.echo(f"→ {entry.text}")
        if entry.command:
            typer.echo(f"    {entry.command}")  # in one piece, to be copied
