"""`edgecls compress`: a model and its data to pruned, clustered and quantization-aware variants."""

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
    from edgecls.records.recipe import Recipe

_OPTIONS = {
    "channels": "--prune-channels",
    "channels.share": "--prune-channels",
    "channels.by": "--channels-by",
    "channels.importance": "--channel-importance",
    "channels.multiple": "--channel-multiple",
    "channels.rounds": "--channel-rounds",
    "pruning": "--prune",
    "pruning.sparsity": "--prune",
    "pruning.pattern": "--prune-pattern",
    "pruning.schedule": "--prune-schedule",
    "clustering": "--cluster",
    "clustering.clusters": "--cluster",
    "training.distillation.weight": "--distill-weight",
}
_TECHNIQUES = ("channels", "pruning", "clustering", "qat", "control")


def compress(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A .h5, .hdf5, .keras, architecture .json or model.json of TensorFlow.js.")
    ],
    data: Annotated[Path, typer.Option(metavar="PATH", help="Labelled images to train on: class folders or an .npz.")],
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="All that follows to --seed as a TOML file, instead of options.")
    ] = None,
    prune_channels: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Remove this share of the multiply-accumulates with whole channels, as 0.5."),
    ] = None,
    channels_by: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Count macs, or latency: the time of the kernels on this machine. [macs]"),
    ] = None,
    channel_importance: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which go first: taylor, magnitude, batchnorm or random. [taylor]")
    ] = None,
    channel_multiple: Annotated[
        int | None,
        typer.Option(metavar="N", help="Leave multiples of N channels at most, where a layer has four times as many. [8]"),
    ] = None,
    channel_rounds: Annotated[
        int | None, typer.Option(metavar="N", help="Remove them in N rounds, with an epoch between two. [3]")
    ] = None,
    prune: Annotated[float | None, typer.Option(metavar="SHARE", help="Prune to this share of zeros, as 0.5.")] = None,
    prune_pattern: Annotated[
        str | None, typer.Option(metavar="NAME", help="unstructured, 2:4, or blocks as 4x1 (inputs x outputs). [unstructured]")
    ] = None,
    prune_schedule: Annotated[str | None, typer.Option(metavar="NAME", help="polynomial or constant. [polynomial]")] = None,
    cluster: Annotated[int | None, typer.Option(metavar="N", help="Let each kernel hold N distinct values.")] = None,
    qat: Annotated[bool, typer.Option("--qat", help="Quantization-aware training.")] = False,
    keep_float: Annotated[
        list[str] | None, typer.Option(metavar="LAYER", help="Leave this layer float in --qat and its int8 files; repeatable.")
    ] = None,
    skip_first: Annotated[bool, typer.Option("--skip-first", help="Neither prune nor cluster the first convolution.")] = False,
    skip_last: Annotated[bool, typer.Option("--skip-last", help="Neither prune nor cluster the classifying layer.")] = False,
    control: Annotated[bool, typer.Option("--control", help="Also train the model without compression, as a yardstick.")] = False,
    variants: Annotated[
        str | None, typer.Option(metavar="LIST", help="Of the combinations these alone, as pruned50-qat. [all]")
    ] = None,
    distill: Annotated[
        bool | None,
        typer.Option("--distill/--no-distill", help="Learn from the float model's scores as well. [with --prune-channels alone]"),
    ] = None,
    temperature: Annotated[float | None, typer.Option(metavar="T", help="Softens the scores for --distill. [2]")] = None,
    distill_weight: Annotated[float | None, typer.Option(metavar="SHARE", help="Share of the distillation loss. [0.7]")] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Epochs of every stage. [3]")] = None,
    batch: Annotated[int | None, typer.Option(metavar="N", help="Images a step. [32]")] = None,
    learning_rate: Annotated[float | None, typer.Option(metavar="RATE", help="At the start of its cosine. [0.0002]")] = None,
    optimizer: Annotated[str | None, typer.Option(metavar="NAME", help="adamw or sgd. [adamw]")] = None,
    held_out: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Of images without a val part, judged on and not trained on. [0.1]")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(metavar="N", help="Stop after N epochs without a better one, keep the best. [off]")
    ] = None,
    limit: Limit = None,
    flip: Flip = False,
    shift: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Augmentation: move by up to this share of a side.")
    ] = None,
    zoom: Annotated[float | None, typer.Option(metavar="SHARE", help="Augmentation: enlarge by up to this share.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of everything random. [0]")] = None,
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
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier run of the same was stopped; keep what is finished.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Folder of variants. [<model>.variants]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print variants.json, for machines.")] = False,
) -> None:
    """Prune, cluster and quantize MODEL while it trains on, in every combination asked for; each variant converts like a model."""
    from edgecls.cli.output import console, show, show_json
    from edgecls.cli.progress import Bars
    from edgecls.records.counted import counted
    from edgecls.reporting import variants_table
    from edgecls.workflow import CompressOptions, read_variants
    from edgecls.workflow import compress as run

    skips = {"skip_first": skip_first or None, "skip_last": skip_last or None}
    flags = {
        "channels": {
            "share": prune_channels,
            "by": channels_by,
            "importance": channel_importance,
            "multiple": channel_multiple,
            "rounds": channel_rounds,
            "distill": False if distill is False else None,
        },
        "pruning": {
            "sparsity": prune,
            "pattern": prune_pattern,
            "schedule": prune_schedule,
            **(skips if prune is not None else {}),
        },
        "clustering": {"clusters": cluster, **(skips if cluster is not None else {})},
        "training": {
            "epochs": epochs,
            "batch": batch,
            "learning_rate": learning_rate,
            "optimizer": optimizer,
            "held_out": held_out,
            "patience": patience,
            "limit": limit,
            "seed": seed,
            "augmentation": {"flip": flip or None, "shift": shift, "zoom": zoom},
            "distillation": {"temperature": temperature, "weight": distill_weight},
        },
        "qat": {"keep_float": keep_float or None},
        "control": control or None,
        "variants": variants.split(",") if variants is not None else None,
    }
    content = _given(flags)
    if qat:
        content.setdefault("qat", {})
    if distill:
        content.setdefault("training", {}).setdefault("distillation", {})
    _refuse_idle(content, qat=qat, distill=bool(distill), skips=skip_first or skip_last)
    options = CompressOptions(
        model=model,
        data=data,
        recipe=_recipe(recipe, content),
        output=output,
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
        resume=resume,
    )
    with Bars() as bars:
        done = run(options, bars)
    if json:
        show_json(done)
        return
    show(variants_table(done, read_variants(options.folder), console().width))
    for assumed in (done.image_spec.note if done.image_spec.provenance == "assumed" else "", done.image_spec.resizing_note):
        if assumed:
            note(assumed)
    folder = f"{shlex.quote(str(options.folder))}{' --allow-code' if allow_code else ''}"
    note(f"{options.folder}: {counted(len(done.variants), 'variant')}. Convert them with their base: edgecls convert {folder}")


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, nested as a recipe is."""
    found = {key: _given(value) if isinstance(value, dict) else value for key, value in flags.items()}
    return {key: value for key, value in found.items() if value is not None and value != {}}


def _refuse_idle(content: dict[str, Any], *, qat: bool, distill: bool, skips: bool) -> None:
    from edgecls.errors import RecipeError

    channels = content.get("channels", {})
    idle = {
        "--channels-by, --channel-importance, --channel-multiple, --channel-rounds or --no-distill": (
            bool(channels) and "share" not in channels,
            "--prune-channels",
        ),
        "--prune-pattern or --prune-schedule": ("pruning" in content and "sparsity" not in content["pruning"], "--prune"),
        "--temperature or --distill-weight": (
            "distillation" in content.get("training", {}) and not distill,
            "--distill",
        ),
        "--keep-float": ("qat" in content and not qat, "--qat"),
        "--skip-first or --skip-last": (skips and not content.keys() & {"pruning", "clustering"}, "--prune or --cluster"),
    }
    for option, (is_idle, needed) in idle.items():
        if is_idle:
            raise RecipeError(f"{needed} together with {option}", "a run without it", "ask for it, or leave the option out")


def _recipe(path: Path | None, content: dict[str, Any]) -> Recipe:
    from edgecls.errors import RecipeError
    from edgecls.records.recipe import Recipe, parse_options, read_recipe

    if path is None and not content.keys() & set(_TECHNIQUES):
        remedy = "ask for --prune-channels, --prune, --cluster, --qat or --control, or give --recipe FILE"
        raise RecipeError("an option that says what to do", "none", remedy)
    if path is None:
        return parse_options(content, Recipe, _OPTIONS)
    if content:
        found = f"--recipe {path} beside options for {', '.join(content)}"
        raise RecipeError("a recipe file, or the options that say the same", found, "give one")
    return read_recipe(path, Recipe)
