"""`edgecls convert`: a model to verified artifacts."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecls.cli.model_options import AllowCode, CustomObjects, Filter, Fit, InputSize, Labels, Signature, Verbose, Weights
from edgecls.cli.output import note

if TYPE_CHECKING:
    from edgecls.records.artifact import Activation, Manifest, OnnxBatch
    from edgecls.workflow import ConvertOptions


def convert(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A .h5, .hdf5, .keras, architecture .json, SavedModel folder, model.json of TensorFlow.js, or what compress made.",
        ),
    ],
    targets: Annotated[
        str, typer.Option(metavar="LIST", help="Among tflite, coreml, onnx; also saved_model.")
    ] = "tflite,coreml,onnx",
    schemes: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="float32, float16, dynamic, int8, weight8, palette4 …, also as tflite:int8. [the first five, where they can be]",
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Images for int8: a folder or an .npz. About 100 are enough.")
    ] = None,
    calibration_images: Annotated[int, typer.Option(metavar="N", min=1, help="Most calibration images to use.")] = 500,
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Labelled images: verifies on them, and `bench` will measure on them.")
    ] = None,
    labels: Labels = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Artifacts folder. [<model>.artifacts]")
    ] = None,
    weights: Weights = None,
    preprocess: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How pixels enter: 0..255, 0..1, -1..1, imagenet-torch, imagenet-caffe, or 'scale=1/255,mean=0.5,std=0.5'; "
            "0..1,order=BGR where blue comes first.",
        ),
    ] = None,
    fit: Fit = None,
    filter: Filter = None,
    model_output: Annotated[
        str | None,
        typer.Option(
            "--output",
            metavar="NAME",
            help="Of several outputs, the one that classifies; or some, as a,b, of which the first does: every file then has them all.",
        ),
    ] = None,
    add_softmax: Annotated[
        bool, typer.Option("--add-softmax", help="End every file with a softmax: the model itself gives logits.")
    ] = False,
    add_sigmoid: Annotated[
        bool,
        typer.Option("--add-sigmoid", help="The same with a sigmoid, for one score or classes that do not exclude each other."),
    ] = False,
    io: Annotated[str, typer.Option(metavar="DTYPE", help="Border of the TFLite int8 file: float32, int8 or uint8.")] = "float32",
    onnx_weights: Annotated[
        str, typer.Option(metavar="DTYPE", help="Weights of the ONNX int8 file: uint8, or int8 where no processor saturates.")
    ] = "uint8",
    onnx_layout: Annotated[
        str | None, typer.Option(metavar="NAME", help="Axes of the ONNX files' input: nhwc or nchw. [those of the model]")
    ] = None,
    onnx_batch: Annotated[
        str | None,
        typer.Option(metavar="N", help="Images that the ONNX files take at once: a number, or free. [free if it can be]"),
    ] = None,
    estimator: Annotated[
        str | None, typer.Option(metavar="NAME", help="int8 ranges: minmax, percentile or mse. [the one that loses least]")
    ] = None,
    effort: Annotated[
        str, typer.Option(metavar="NAME", help="int8: high tries every way and rounds wide layers by data too; slower.")
    ] = "normal",
    minimum_deployment_target: Annotated[
        str | None, typer.Option("--minimum-deployment-target", metavar="NAME", help="Core ML: iOS15, iOS16, macOS13 …")
    ] = None,
    keep_float: Annotated[
        list[str] | None,
        typer.Option(
            "--keep-float", metavar="LAYER", help="Leave this layer float in int8 files; repeat it for more.", show_default=False
        ),
    ] = None,
    mixed_precision: Annotated[
        str | None,
        typer.Option(
            "--mixed-precision",
            metavar="GOAL",
            help="As 'drop<=0.5': leave the fewest layers float that keep int8 within so many percentage points on --data.",
        ),
    ] = None,
    signature: Signature = None,
    input_size: InputSize = None,
    custom_objects: CustomObjects = None,
    allow_code: AllowCode = False,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Compare each artifact with the source model.")] = True,
    verbose: Verbose = False,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON, for machines.")] = False,
) -> None:
    """Convert MODEL to TFLite, Core ML and ONNX, and prove that every artifact still computes the same."""
    from edgecls.system.spare import start_spare

    start_spare(["h5py"])  # which reads the model's weights first
    from edgecls.cli.output import console, show, show_json
    from edgecls.cli.progress import Bars
    from edgecls.converters import parse_targets
    from edgecls.reporting import conversion_table
    from edgecls.workflow import ConvertOptions, convert_all

    choices: dict[str, Any] = {  # `convert` refuses what is none of theirs
        "io": io,
        "estimator": estimator,
        "effort": effort,
        "onnx_weights": onnx_weights,
        "onnx_layout": onnx_layout,
    }
    options = ConvertOptions(
        model=model,
        output=output,
        targets=tuple(parse_targets(targets)),
        schemes=schemes,
        calibration=calibration,
        calibration_images=calibration_images,
        data=data,
        labels=labels,
        weights=weights,
        preprocess=preprocess,
        fit=fit,
        filter=filter,
        model_output=model_output,
        signature=signature,
        input_size=input_size,
        custom_objects=custom_objects,
        onnx_batch=_batch(onnx_batch),
        activation=_activation(add_softmax, add_sigmoid),
        minimum_deployment_target=minimum_deployment_target,
        keep_float=tuple(keep_float or ()),
        mixed_precision=mixed_precision,
        allow_code=allow_code,
        verify=verify,
        **choices,
    )
    with Bars() as bars:
        manifest = convert_all(options, bars)
    if json:
        show_json(manifest)
    else:
        show(conversion_table(manifest, console().width, verbose=verbose))
        _remarks(manifest, options)
    if any(artifact.status != "ok" for artifact in manifest.artifacts):
        raise typer.Exit(3)


def _batch(value: str | None) -> OnnxBatch | None:
    from edgecls.errors import InputError

    if value is None or value == "free":
        return value
    if not value.isascii() or not value.isdigit():
        raise InputError("a number of images, or free, for --onnx-batch", repr(value), "write as --onnx-batch 1")
    return int(value)


def _activation(softmax: bool, sigmoid: bool) -> Activation | None:
    from edgecls.errors import InputError

    if softmax and sigmoid:
        raise InputError("one of --add-softmax and --add-sigmoid", "both", "leave one of them out")
    return "softmax" if softmax else "sigmoid" if sigmoid else None


def _remarks(manifest: Manifest, options: ConvertOptions) -> None:
    from edgecls.data.imagenet import CLASSES
    from edgecls.records.counted import counted

    spec, quoted = manifest.image_spec, shlex.quote(str(options.folder))
    if spec.provenance == "assumed":
        note(f"{spec.note} Which one fits labelled images: edgecls bench {quoted} --preprocess auto --data PATH")
    if spec.resizing_note:
        note(spec.resizing_note)
    if manifest.labels_source == "default" and manifest.outputs == CLASSES:
        note("No labels given: are the 1,000 classes ImageNet's? Name them with --labels imagenet, or with --labels FILE.")
    elif manifest.labels_source == "default":
        note("No labels given: the classes are called class_0, class_1 … Name them with --labels FILE.")
    schemes = {artifact.scheme for artifact in manifest.artifacts if artifact.target == "tflite"}
    if options.schemes is None and not manifest.data and schemes and "int8" not in schemes:
        note("No int8 without images to calibrate on: add --calibration PATH for it.")
    made = sum(artifact.status == "ok" for artifact in manifest.artifacts)
    note(f"{options.folder}: {counted(made, 'artifact')}.{f' To measure: edgecls bench {quoted}' if made else ''}")
