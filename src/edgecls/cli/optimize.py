"""`edgecls optimize`: how small or how fast a model may be for what you are willing to lose."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecls.cli.model_options import (
    AllowCode,
    CustomObjects,
    Filter,
    Fit,
    Flip,
    InputSize,
    Labels,
    Limit,
    ModelOutput,
    Preprocess,
    Signature,
    Weights,
)
from edgecls.cli.output import note

if TYPE_CHECKING:
    from edgecls.records.recipe import Training
    from edgecls.records.trial import Goal
    from edgecls.system.machine import Machine

_MINIMIZE = ("download", "size", "latency")
_AGAINST = ("base", "control")


def optimize(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model as `edgecls convert` takes it; Keras files can be trained.")
    ],
    data: Annotated[
        Path, typer.Option(metavar="PATH", help="Labelled images: class folders or an .npz. Its test part stays unseen.")
    ],
    within: Annotated[str, typer.Option(metavar="'drop<=POINTS'", help="What may be lost, in percentage points of accuracy.")],
    minimize: Annotated[str, typer.Option(metavar="WHAT", help="download (after deflate), size (on disk) or latency.")],
    targets: Annotated[
        str, typer.Option(metavar="LIST", help="Formats: tflite, onnx, coreml. One variant serves all.")
    ] = "tflite",
    time: Annotated[str, typer.Option(metavar="TIME", help="How long it may take, as 30m, 1h30m or 90s.")] = "30m",
    trials: Annotated[int | None, typer.Option(metavar="N", help="At most N trials, kept ones included. [any number]")] = None,
    latency_on: Annotated[
        str | None,
        typer.Option(metavar="MACHINE", help="Measure latency there, as `edgecls bench --on` does. [here]", show_default=False),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="tcp://…", help="Make trials on the workers of a Dask cluster; measure here.", show_default=False),
    ] = None,
    against: Annotated[
        str, typer.Option(metavar="WHAT", help="Hold accuracy against base, your model, or control: it, trained for --epochs.")
    ] = "base",
    epochs: Annotated[int, typer.Option(metavar="N", help="Epochs of every stage of training.")] = 6,
    batch: Annotated[int, typer.Option(metavar="N", help="Images a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(metavar="RATE", help="At the start of its cosine.")] = 5e-4,
    distill: Annotated[bool, typer.Option("--distill/--no-distill", help="Learn from the model's own scores as well.")] = True,
    held_out: Annotated[float, typer.Option(metavar="SHARE", help="Without a val part: half choose, half judge.")] = 0.2,
    limit: Limit = None,
    flip: Flip = False,
    shift: Annotated[float, typer.Option(metavar="SHARE", help="Augmentation: move by up to this share of a side.")] = 0.0,
    zoom: Annotated[float, typer.Option(metavar="SHARE", help="Augmentation: enlarge by up to this share.")] = 0.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Of everything random.")] = 0,
    labels: Labels = None,
    preprocess: Preprocess = None,
    fit: Fit = None,
    filter: Filter = None,
    weights: Weights = None,
    model_output: ModelOutput = None,
    signature: Signature = None,
    input_size: InputSize = None,
    custom_objects: CustomObjects = None,
    allow_code: AllowCode = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Where everything goes. [<model>.optimized]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print optimize.json, for machines.")] = False,
) -> None:
    """Find the variant of MODEL that is smallest or fastest while it loses no more than you allow; a second call goes on."""
    from edgecls.cli.output import console, show, show_json
    from edgecls.cli.progress import Bars
    from edgecls.reporting import optimization_table
    from edgecls.search import parse_time
    from edgecls.workflow.best import BEST, PAGE_NAME, RECIPE_NAME
    from edgecls.workflow.optimize import optimize as run
    from edgecls.workflow.optimize_options import OptimizeRequest

    training = {
        "epochs": epochs,
        "batch": batch,
        "learning_rate": learning_rate,
        "held_out": held_out,
        "limit": limit,
        "seed": seed,
        "augmentation": {"flip": flip, "shift": shift, "zoom": zoom} if flip or shift or zoom else None,
        "distillation": {} if distill else None,
    }
    request = OptimizeRequest(
        model=model,
        data=data,
        goal=_goal(within, minimize, targets),
        training=_training(training),
        output=output,
        seconds=parse_time(time),
        trials=trials,
        against=_one_of("--against", against, _AGAINST),
        machine=_machine(latency_on),
        scheduler=scheduler,
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
    )
    with Bars() as bars:
        found = run(request, bars)
    if json:
        show_json(found)
    else:
        show(optimization_table(found, console().width))
        show(found.sentence)
    folder = request.folder
    note(f"{folder / PAGE_NAME}: every trial on the Pareto page")
    for advice in found.advice:
        note(f"what would help: {advice}")
    if found.pick is None:
        raise typer.Exit(1)
    note(f"{folder / BEST}: its artifacts; put them into an app: edgecls embed {shlex.quote(str(folder / BEST))} --into APP")
    trust = " --allow-code" if allow_code else ""
    note(f"{folder / RECIPE_NAME}: makes them again: edgecls run {shlex.quote(str(folder / RECIPE_NAME))}{trust}")


def _goal(within: str, minimize: str, targets: str) -> Goal:
    from edgecls.converters.support import parse_targets
    from edgecls.quantization.accuracy_goal import parse_goal
    from edgecls.records.trial import Goal

    points = parse_goal(within, "--within")
    return Goal(within_points=points, minimize=_one_of("--minimize", minimize, _MINIMIZE), targets=tuple(parse_targets(targets)))


def _training(content: dict[str, Any]) -> Training:
    from edgecls.records.recipe import Training, parse_options

    return parse_options({key: value for key, value in content.items() if value is not None}, Training, {})


def _machine(text: str | None) -> Machine | None:
    from edgecls.crew import require_ready
    from edgecls.gate.budget import BUDGET_NAME
    from edgecls.system.machine import find_machines, read_machines

    if text is None:
        return None
    machine = find_machines([text], read_machines(Path(BUDGET_NAME)))[0]
    require_ready(machine)
    return machine


def _one_of(option: str, text: str, known: tuple[str, ...]) -> Any:
    from edgecls.errors import InputError

    if text not in known:
        raise InputError(f"{option} with one of {', '.join(known)}", repr(text), f"write {option} {known[0]}")
    return text
