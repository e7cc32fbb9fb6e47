"""`edgecls predict`: what an artifact says about images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecls.cli.model_options import Filter, Fit


def predict(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .tflite, .onnx or .mlpackage.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE…", help="Images to classify, or folders of them.")],
    top: Annotated[int, typer.Option(min=1, metavar="K", help="How many classes to show.")] = 5,
    preprocess: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="How pixels enter FILE, where it does not say: 0..255, 0..1, -1..1, imagenet-torch, imagenet-caffe "
            "or scale=S,mean=M,std=D; 0..1,order=BGR where blue comes first.",
        ),
    ] = None,
    fit: Fit = None,
    filter: Filter = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Class names, where FILE has none; or imagenet.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show the best classes of each IMAGE with bars."""
    from edgecls.cli.output import note, show, show_json
    from edgecls.data.imagenet import CLASSES
    from edgecls.data.labels import are_default
    from edgecls.evaluation.top_predictions import top_predictions
    from edgecls.records.prediction import Answer, Answers
    from edgecls.reporting import prediction_bars
    from edgecls.runners.scored import score_images

    found = score_images(file, images, preprocess, fit, filter, labels)
    if found.spec.provenance == "assumed":
        note(f"note: {found.spec.note}")
    if found.spec.resizing_note:
        note(f"note: {found.spec.resizing_note}")
    if len(found.labels) == CLASSES and are_default(found.labels):
        note("note: 1,000 classes without names; if they are ImageNet's: --labels imagenet")
    if found.stand_in:
        note(f"note: computed by {found.stand_in}")
    answers = [
        Answer(image=str(image), predictions=top_predictions(scores, found.output_kind, found.labels, top))
        for image, scores in zip(found.images, found.scores, strict=True)
    ]
    if json:
        show_json(Answers(artifact=str(file), answers=answers))
    else:
        show(*(prediction_bars(answer.image, answer.predictions) for answer in answers))
    for error in found.refused:
        note(f"error: {error}")
    if found.refused:
        raise typer.Exit(found.refused[0].exit_code)
