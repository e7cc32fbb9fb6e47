"""`edgecls predict`: what an artifact says about images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np

    from edgecls.image_spec import ImageSpec
    from edgecls.runner import Runner


def predict(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .tflite, .onnx or .mlpackage.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE…", help="Images to classify.")],
    top: Annotated[int, typer.Option(min=1, metavar="K", help="How many classes to show.")] = 5,
    preprocess: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="How pixels enter FILE, where it does not say: 0..255, 0..1, -1..1, imagenet-torch, imagenet-caffe "
            "or scale=S,mean=M,std=D.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show the best classes of each IMAGE with bars."""
    from edgecls.cli.output import note, show, show_json
    from edgecls.data.label_file import default_labels
    from edgecls.formats import read_record
    from edgecls.reporting import Answer, Answers, prediction_bars, top_predictions

    runner = _open(file, preprocess)
    if runner.spec.provenance == "assumed":
        note(f"note: {runner.spec.note}")
    if runner.stand_in:
        note(f"note: computed by {runner.stand_in}")
    record = read_record(file)
    labels = record.labels if record else list(runner.labels) or default_labels(max(2, runner.outputs))
    answers = []
    for image in images:
        scores = runner.predict(_pixels(image, runner.spec))[0]
        answers.append(Answer(image=str(image), predictions=top_predictions(scores, runner.output_kind, labels, top)))
    if json:
        show_json(Answers(artifact=str(file), answers=answers))
    else:
        show(*(prediction_bars(answer.image, answer.predictions) for answer in answers))


def _open(file: Path, preprocess: str | None) -> Runner:
    from edgecls.cli.output import quiet_engine
    from edgecls.runners import open_runner

    with quiet_engine():
        runner = open_runner(file)
        return open_runner(file, spec=runner.spec.with_preprocess(preprocess)) if preprocess else runner


def _pixels(image: Path, spec: ImageSpec) -> np.ndarray:
    """[1, H, W, C]."""
    from edgecls.data import open_images
    from edgecls.errors import DataError

    if not image.is_file():
        raise DataError(
            "an image file", f"{image}, which {'is a folder' if image.exists() else 'does not exist'}", "check the path"
        )
    opened = open_images(image, spec, role="data")
    return next(opened.batches(1))
