"""`edgecls train`: pictures to a classifier that says itself what it takes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from edgecls.cli.model_options import Filter, Fit
from edgecls.cli.output import note

OPTIONS = {"augmentation.rotation": "--rotate", "hidden": "--head"}  # of which the names are not those of the plan


def train(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="Class folders (with or without train, val, test), an .npz, a CSV of file and label."
        ),
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME", help="cnn, resnet, a name of keras.applications, or a classifier file as base.")
    ] = "cnn",
    weights: Annotated[
        str | None, typer.Option(metavar="FILE", help="Of a network of keras.applications: imagenet, or a file. [random ones]")
    ] = None,
    preprocess: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="How pixels enter a base, as `edgecls convert` takes it. [as known or assumed]"),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="PIXELS", help="Of the images: 128, or height x width as 96x128. [the data's, or 96]")
    ] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Images of one channel.")] = False,
    head: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Units of dense layers before the scores, as 128; binary for one sigmoid; 128,binary."),
    ] = None,
    multi_label: Annotated[
        bool, typer.Option("--multi-label", help="Images may have several classes or none: sigmoids, binary cross-entropy.")
    ] = False,
    dropout: Annotated[float | None, typer.Option(metavar="SHARE", help="Of the features, in the head.")] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the images, a base frozen. [20]")] = None,
    fine_tune: Annotated[
        int | None, typer.Option(metavar="N", help="Then so many in which layers of the base train too. [0]")
    ] = None,
    unfreeze: Annotated[
        str | None, typer.Option(metavar="FROM", help="Which: 30% for the last of them, or 100 for layer 100 on. [100%]")
    ] = None,
    batch: Annotated[int | None, typer.Option(metavar="N", help="Images a step. [32]")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(metavar="RATE", help="At the start. [0.001; cnn, resnet 0.003; 0.01 while a base is frozen]")
    ] = None,
    fine_tune_rate: Annotated[float | None, typer.Option(metavar="RATE", help="The same of fine-tuning. [0.0001]")] = None,
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Find it: raise it step by step, take it where the loss falls steepest.")
    ] = False,
    rates: Annotated[
        str | None, typer.Option(metavar="LIST", help="Train with each, as 1e-3,1e-4,1e-5, and keep the best one held out.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Half precision, where the processor or GPU is faster with it.")] = False,
    optimizer: Annotated[str | None, typer.Option(metavar="NAME", help="adamw, adam or sgd. [adamw]")] = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="NAME", help="How the rate falls: cosine, exponential, plateau or constant. [cosine]")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(metavar="RATE", help="Of adamw, on kernels. [0.0001]")] = None,
    patience: Annotated[int | None, typer.Option(metavar="N", help="Stop after N epochs without a better one. [off]")] = None,
    loss: Annotated[str | None, typer.Option(metavar="NAME", help="cross-entropy or focal. [cross-entropy]")] = None,
    class_weights: Annotated[
        str | None, typer.Option(metavar="HOW", help="What an image counts by its class: equal or balanced. [equal]")
    ] = None,
    oversample: Annotated[
        bool, typer.Option("--oversample", help="Show images of rarer classes several times an epoch.")
    ] = False,
    flip: Annotated[str | None, typer.Option(metavar="HOW", help="Augmentation: horizontal, vertical or both.")] = None,
    rotate: Annotated[float | None, typer.Option(metavar="DEGREES", help="Augmentation: by up to so many.")] = None,
    shift: Annotated[float | None, typer.Option(metavar="SHARE", help="Augmentation: by up to this share of a side.")] = None,
    zoom: Annotated[float | None, typer.Option(metavar="SHARE", help="Augmentation: in or out by up to this share.")] = None,
    shear: Annotated[float | None, typer.Option(metavar="SHARE", help="Augmentation: by up to this share of a side.")] = None,
    brightness: Annotated[float | None, typer.Option(metavar="SHARE", help="Augmentation: by up to this share.")] = None,
    contrast: Annotated[float | None, typer.Option(metavar="SHARE", help="Augmentation: by up to this share.")] = None,
    held_out: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Of images without a part of their own for it, judged on. [0.2]")
    ] = None,
    keep_duplicates: Annotated[
        bool, typer.Option("--keep-duplicates", help="Train also on pictures that are in another part as well.")
    ] = False,
    labels: Annotated[Path | None, typer.Option(metavar="FILE", help="Class names, of an .npz that has none.")] = None,
    fit: Fit = None,
    filter: Filter = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Load a base whose layers hold code. Trusted files only.")
    ] = False,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of everything random. [0]")] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the report's charts as PNG files too.")] = None,
    positive: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Class that ROC-AUC and threshold are of. [the second of two]")
    ] = None,
    recall: Annotated[float, typer.Option(metavar="SHARE", help="Of its images, for the threshold to find.")] = 0.95,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write logs for it, in the folder tensorboard.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run of the same was stopped.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Folder of the model. [<data>.trained]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print training.json, for machines.")] = False,
) -> None:
    """Train a classifier on DATA. `edgecls convert` needs no option for it: size, preprocessing and labels are in the model file."""
    from edgecls.cli.output import console, show, show_json
    from edgecls.cli.progress import Bars
    from edgecls.records.recipe import parse_options
    from edgecls.records.training import TrainingPlan
    from edgecls.reporting.evaluation import evaluation_table
    from edgecls.reporting.training import describe_training
    from edgecls.workflow.train import TrainOptions
    from edgecls.workflow.train import train as run

    augmentation = {
        "flip": flip,
        "rotation": rotate,
        "shift": shift,
        "zoom": zoom,
        "shear": shear,
        "brightness": brightness,
        "contrast": contrast,
    }
    content = {
        "model": model,
        "size": _size(size),
        "grey": grey or None,
        **_head(head),
        "multi_label": multi_label or None,
        "dropout": dropout,
        "epochs": epochs,
        "fine_tune": fine_tune,
        "unfreeze": unfreeze,
        "batch": batch,
        "learning_rate": learning_rate,
        "fine_tune_rate": fine_tune_rate,
        "optimizer": optimizer,
        "schedule": schedule,
        "weight_decay": weight_decay,
        "patience": patience,
        "loss": loss,
        "class_weights": class_weights,
        "oversample": oversample or None,
        "held_out": held_out,
        "half": half or None,
        "keep_duplicates": keep_duplicates or None,
        "seed": seed,
        "augmentation": _given(augmentation),
    }
    plan = parse_options(_given(content), TrainingPlan, OPTIONS)
    options = TrainOptions(
        data,
        plan,
        output=output,
        weights=weights,
        preprocess=preprocess,
        allow_code=allow_code,
        labels=labels,
        fit=fit,
        filter=filter,
        find_rate=find_rate,
        rates=_rates(rates),
        tensorboard=tensorboard,
        plots=plots,
        positive=positive,
        recall=recall,
        resume=resume,
    )
    with Bars() as bars:
        done = run(options, bars)
    if json:
        show_json(done)
        return
    assert done.evaluation is not None  # it was judged
    show(*describe_training(done), evaluation_table(done.evaluation, console().width))
    note(f"{options.folder}: to convert, without any option: edgecls convert {shlex.quote(str(options.folder / 'model.keras'))}")


def _given(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if value is not None}


def _rates(text: str | None) -> tuple[float, ...]:
    from edgecls.errors import InputError

    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise InputError("learning rates for --rates", repr(text), "write as --rates 1e-3,1e-4,1e-5") from None


def _size(text: str | None) -> tuple[int, int] | None:
    from edgecls.errors import InputError

    if text is None:
        return None
    sides = text.split("x") if "x" in text else [text, text]
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise InputError("pixels for --size", repr(text), "write as --size 128, or height x width as --size 96x128")
    return int(sides[0]), int(sides[1])


def _head(text: str | None) -> dict[str, Any]:
    from edgecls.errors import InputError

    if text is None:
        return {}
    parts = text.split(",")
    hidden = [part for part in parts if part != "binary"]
    if not all(part.isdecimal() and int(part) > 0 for part in hidden):
        raise InputError(
            "numbers of units, or binary, for --head", repr(text), "write as --head 128, --head binary or --head 128,binary"
        )
    return {"binary": "binary" in parts, "hidden": tuple(map(int, hidden)) if hidden else None}
