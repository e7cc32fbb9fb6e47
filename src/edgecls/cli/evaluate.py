"""`edgecls evaluate`: one classifier on labelled images, class by class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecls.cli.model_options import AllowCode, CustomObjects, Filter, Fit, InputSize, ModelOutput, Signature, Weights


def evaluate(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A Keras model (.keras, .h5, SavedModel …), or a .tflite, .onnx or .mlpackage."),
    ],
    data: Annotated[
        Path, typer.Option(metavar="PATH", help="Labelled images: class folders, .npz, or a CSV.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="The report page. [<model>.evaluation.html]")
    ] = None,
    recall: Annotated[
        float, typer.Option(metavar="SHARE", help="Of two classes: find the threshold that reaches this recall.")
    ] = 0.95,
    positive: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="The class that recall and ROC-AUC are of. [the second of two]", show_default=False),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Class names, where MODEL has none; or imagenet.", show_default=False)
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Most images. [all]", show_default=False)] = None,
    worst: Annotated[int, typer.Option(metavar="N", min=0, help="How many mistakes to show.")] = 24,
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", help="training.json, whose curves the page shows too.", show_default=False)
    ] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write the charts as PNG.", show_default=False)] = None,
    preprocess: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How pixels enter, where MODEL does not say, as `edgecls convert` takes it.",
            show_default=False,
        ),
    ] = None,
    fit: Fit = None,
    filter: Filter = None,
    weights: Weights = None,
    model_output: ModelOutput = None,
    signature: Signature = None,
    input_size: InputSize = None,
    custom_objects: CustomObjects = None,
    allow_code: AllowCode = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines; the page is written with -o alone.")] = False,
) -> None:
    """Show precision, recall, F1 and support of each class of MODEL, and write a page with its worst mistakes."""
    from edgecls.cli.output import console, note, show, show_json
    from edgecls.cli.progress import Bars
    from edgecls.reporting import evaluation_page, evaluation_plots, evaluation_table, require_plots
    from edgecls.system.store import require_place, write_text
    from edgecls.workflow.evaluate import EvaluateOptions
    from edgecls.workflow.evaluate import evaluate as run
    from edgecls.workflow.history import read_history

    if plots:
        require_plots(plots)
    page = output or (None if json else Path(f"{model.resolve().stem}.evaluation.html"))
    if page:
        require_place(page, "the page", "evaluation.html")
    epochs = read_history(history) if history else None
    options = EvaluateOptions(
        model,
        labels=labels,
        weights=weights,
        preprocess=preprocess,
        fit=fit,
        filter=filter,
        model_output=model_output,
        signature=signature,
        input_size=input_size,
        custom_objects=custom_objects,
        allow_code=allow_code,
        data=data,
        limit=limit,
        recall=recall,
        positive=positive,
        worst=worst,
    )
    with Bars() as bars:
        found = run(options, bars)
    if json:
        show_json(found.evaluation)
    else:
        show(evaluation_table(found.evaluation, console().width))
    if page:
        write_text(page, evaluation_page(found.evaluation, title=model.name, pictures=found.pictures, history=epochs))
        note(f"{page}: the worst mistakes as pictures, confusion, calibration")
    if plots:
        for path in evaluation_plots(found.evaluation, plots, pictures=found.pictures, history=epochs):
            note(f"{path}")
