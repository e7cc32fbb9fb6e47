"""`edgecls demo`: the whole flow on a model trained on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecls.cli.output import note


def demo(
    output: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where model, artifacts and results go.")] = Path(
        "demo"
    ),
) -> None:
    """Train a small classifier of handwritten digits, compress it, convert it to everything, verify and measure it all."""
    from edgecls.cli.output import console, show
    from edgecls.cli.progress import Bars
    from edgecls.reporting import conversion_table, report_table, variants_table
    from edgecls.workflow import BenchRequest, bench, compress, convert, read_variants
    from edgecls.workflow.demo import compress_options, convert_options, train_demo_model

    note("Training a small CNN on scikit-learn's real handwritten digits …")
    model = train_demo_model(output)
    note("Pruning half of its weights, training it with int8 rounding, and both …")
    compression = compress_options(model, output)
    with Bars() as bars:
        done = compress(compression, bars)
    show(variants_table(done, read_variants(compression.folder), console().width))
    jobs = convert_options(model, compression.folder, output)
    with Bars() as bars:
        for job in jobs:
            manifest = convert(job, bars)
    folder = jobs[0].folder
    show(conversion_table(manifest, console().width))
    with Bars() as bars:
        report = bench(BenchRequest(folder=folder, output=output / "results.json"), bars)
    show(report_table(report, console().width))
    note(f"Model: {model}")
    note(f"Artifacts: {folder}")
    note(f"Results with all raw samples: {output / 'results.json'}")
    if any(artifact.status != "ok" for artifact in manifest.artifacts):
        raise typer.Exit(3)
