"""`edgecls inspect`: what is in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecls.cli.model_options import AllowCode, CustomObjects, InputSize, ModelOutput, Signature, Weights

if TYPE_CHECKING:
    from edgecls.formats import FileDescription
    from edgecls.records.artifact import Manifest
    from edgecls.records.preflight import Preflight

_MODEL_SUFFIXES = {".h5", ".hdf5", ".keras", ".json", ".pb"}
_MODEL_HEADS = (b"\x89HDF", b"PK\x03\x04")  # HDF5; zip, which a .keras file is


def inspect(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="An artifact, a folder of artifacts, or a model: .tflite .onnx .mlpackage .keras .h5 …"
        ),
    ],
    weights: Weights = None,
    output: ModelOutput = None,
    signature: Signature = None,
    input_size: InputSize = None,
    custom_objects: CustomObjects = None,
    allow_code: AllowCode = False,
    compression: Annotated[
        bool, typer.Option("--compression", help="Of a model: what pruning, clustering and QAT can do with each layer.")
    ] = False,
    accelerators: Annotated[
        bool,
        typer.Option(
            "--delegates",
            help="Of .tflite and .mlpackage: what GPU, NNAPI, XNNPACK or Neural Engine would not take.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show inputs, outputs, operations, dtypes, sparsity, size by layer and metadata of FILE."""
    from edgecls.cli.output import console, show, show_json
    from edgecls.reporting import conversion_table, description_tables

    opening = {
        "weights": weights,
        "output": output,
        "signature": signature,
        "input_size": input_size,
        "custom_objects": custom_objects,
        "allow_code": allow_code,
    }
    if compression:
        from edgecls.reporting import preflight_table

        found = _preflight(file, opening)
        if json:
            show_json(found)
        else:
            show(preflight_table(found, console().width))
        return
    if file.exists() and not _is_model(file):
        _refuse_opening(file, opening)
    if accelerators:
        _show_delegates(file, json)
        return
    if _is_artifacts_folder(file):
        from edgecls.records.artifact import Manifest

        manifest = Manifest.read(file)
        if json:
            show_json(manifest)
        else:
            show(_heading(manifest), conversion_table(manifest, console().width))
        _tell_changes(file, manifest)
        return
    description = _describe_model(file, opening) if _is_model(file) else _describe_artifact(file)
    if json:
        show_json(description)
    else:
        show(*description_tables(description, console().width))


def _show_delegates(file: Path, json: bool) -> None:
    from edgecls.cli.output import console, show, show_json
    from edgecls.errors import InputError
    from edgecls.formats.delegates import delegates, folder_delegates
    from edgecls.reporting import delegates_table

    if _is_artifacts_folder(file):
        of_folder = folder_delegates(file)
        if json:
            show_json(of_folder)
        for found in () if json else of_folder.files:
            show(found.file, delegates_table(found, console().width))
        return
    if file.exists() and _is_model(file):
        raise InputError(
            "a .tflite, an .mlpackage or a folder of artifacts for --delegates",
            str(file),
            "name what `edgecls convert` makes of it",
        )
    found = delegates(file)
    if json:
        show_json(found)
    else:
        show(delegates_table(found, console().width))


def _is_artifacts_folder(path: Path) -> bool:
    from edgecls.records.artifact import MANIFEST_NAME

    # by listing: on a file system that ignores case an .mlpackage, which has a Manifest.json, would match too
    return path.is_dir() and any(item.name == MANIFEST_NAME for item in path.iterdir())


def _is_model(path: Path) -> bool:
    if path.is_dir():
        return any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt", "keras_model.h5"))
    if path.suffix.lower() in _MODEL_SUFFIXES:
        return True
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) in _MODEL_HEADS


def _describe_artifact(path: Path) -> FileDescription:
    from edgecls.formats import describe

    return describe(path)


def _describe_model(path: Path, opening: dict[str, Any]) -> FileDescription:
    from edgecls.models import describe_model, load_model

    return describe_model(load_model(path, **opening), path)


def _preflight(file: Path, opening: dict[str, Any]) -> Preflight:
    from edgecls.errors import InputError
    from edgecls.workflow import preflight

    if file.exists() and not _is_model(file):
        raise InputError(
            "a model with --compression", f"{file}, which is none", "give the Keras file, or leave --compression out"
        )
    return preflight(file, **opening)


def _refuse_opening(path: Path, opening: dict[str, Any]) -> None:
    from edgecls.errors import InputError

    for name in (name for name, value in opening.items() if value is not None and value is not False):
        flag = f"--{name.replace('_', '-')}"
        raise InputError(f"a model with {flag}", f"{path}, which is none", f"leave {flag} out")


def _tell_changes(folder: Path, manifest: Manifest) -> None:
    """Say which files are no longer what the manifest, and so all that was shown, tells of them."""
    from edgecls.cli.output import note
    from edgecls.formats import change_since_conversion

    for artifact in manifest.artifacts:
        if artifact.status == "ok" and (reason := change_since_conversion(folder / artifact.path, artifact)):
            note(f"note: {artifact.name} is not what was made: {reason}; convert again")


def _heading(manifest: Manifest) -> str:
    from edgecls.records.counted import counted

    source, outputs, labels = manifest.source, counted(manifest.outputs, "output"), counted(len(manifest.labels), "label")
    return f"{source.name} ({source.format}), {outputs}, {labels}, made by edgecls {manifest.edgecls_version}"
