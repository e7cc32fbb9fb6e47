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
    """Train a small classifier of handwritten digits, convert it to everything, verify and measure it."""
    from edgecls.cli.bench import BenchProgress
    from edgecls.cli.convert import ConvertProgress
    from edgecls.cli.output import console, show
    from edgecls.reporting import conversion_table, report_table
    from edgecls.workflow import BenchRequest, ConvertOptions, bench, convert
    from edgecls.workflow.demo import demo_data, train_demo_model

    note("Training a small CNN on scikit-learn's real handwritten digits …")
    model = train_demo_model(output)
    folder = output / "digits_cnn.artifacts"
    options = ConvertOptions(model=model, output=folder, calibration=demo_data(), data=demo_data(), labels=output / "labels.txt")
    with ConvertProgress() as progress:
        manifest = convert(options, progress)
    show(conversion_table(manifest, console().width))
    with BenchProgress() as bench_progress:
        report = bench(BenchRequest(folder=folder, output=output / "results.json"), bench_progress)
    show(report_table(report, console().width))
    note(f"Model: {model}")
    note(f"Artifacts: {folder}")
    note(f"Results with all raw samples: {output / 'results.json'}")
    if any(artifact.status != "ok" for artifact in manifest.artifacts):
        raise typer.Exit(3)
