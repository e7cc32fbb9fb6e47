"""`edgecls run`: compress, convert and bench as a recipe file says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecls.cli.model_options import Verbose
from edgecls.cli.output import note


def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A .toml file: model, data, out, and what to do.")],
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Load models whose layers hold code. Trusted files only.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Compress, convert and bench as RECIPE says; what has not changed since the last time is kept."""
    from edgecls.cli.output import console, show
    from edgecls.cli.progress import Bars
    from edgecls.reporting import conversion_table, report_table, variants_table
    from edgecls.workflow.bench import has_failed
    from edgecls.workflow.results import RESULTS_NAME
    from edgecls.workflow.run import run as execute
    from edgecls.workflow.variants import read_variants

    with Bars() as bars:  # answers for the stages in turn
        outcome = execute(recipe, bars, allow_code=allow_code)
    width = console().width
    if outcome.variants is not None:
        show(variants_table(outcome.variants, read_variants(outcome.folder / "variants"), width))
    show(conversion_table(outcome.manifest, width, verbose=verbose))
    show(report_table(outcome.report, width, verbose=verbose))
    made = "variants, artifacts" if outcome.variants is not None else "artifacts"
    note(f"{outcome.folder}: {made} and {RESULTS_NAME}")
    if any(row.status != "ok" for row in outcome.manifest.artifacts) or has_failed(outcome.report):
        raise typer.Exit(3)
