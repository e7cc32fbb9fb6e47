"""Core ML: a frozen graph becomes classifier packages with an image input that does the preprocessing itself."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgecls.converters.coreml import program as coreml_program
from edgecls.converters.coreml.int8 import SharedInt8, take_over
from edgecls.converters.coreml.structure import check_structure
from edgecls.converters.coreml.weights import SPARSE, compress_weights
from edgecls.errors import ConversionError, OutputError, SchemeError
from edgecls.formats.coreml.labels import unique_labels
from edgecls.formats.coreml.layout import WEIGHTS_FOLDER, WEIGHTS_NAME, write_package
from edgecls.formats.coreml.read import open_package
from edgecls.records.artifact import SUFFIXES, Scheme
from edgecls.records.frozen_graph import FrozenGraph
from edgecls.records.metadata import METADATA_KEY, ArtifactMetadata
from edgecls.system.extras import require
from edgecls.system.memory import few_collections

__all__ = ["MINIMUM_TARGETS", "check_structure", "convert_coreml"]

INPUT_NAME, SCORES_NAME, LABEL_NAME = "image", "scores", "classLabel"
_UNKNOWN = re.compile(r"""Conversion for TF op '(\w+)' not implemented\.\s+name: "([^"]+)\"""")  # what it is, where it is

# The oldest system each scheme runs on: ML programs came with iOS 15; int8 weights, tables and sparse kernels with iOS 16; quantized
# activations with iOS 17; 4-bit weights and kernels that are both sparse and packed with iOS 18.
MINIMUM_TARGETS: dict[Scheme, str] = {
    "float32": "iOS15",
    "float16": "iOS15",
    "int8": "iOS17",
    "weight8": "iOS16",
    "weight4": "iOS18",
    "palette8": "iOS16",
    "palette6": "iOS16",
    "palette4": "iOS16",
    "palette2": "iOS16",
    "sparse": "iOS16",
    "sparse-palette4": "iOS18",
    "sparse-weight8": "iOS18",
}


def convert_coreml(
    graph: FrozenGraph,
    record: ArtifactMetadata,
    schemes: Sequence[Scheme],
    folder: Path,
    *,
    minimum_deployment_target: str | None = None,
    int8: SharedInt8 | None = None,
    float16_package: Path | None = None,
) -> dict[Scheme, Path]:
    """Write one classifier package per scheme.

    The image enters as 8-bit pixels of `record.image_spec`'s size and colour order (a number of channels other than 1 or 3: as an
    array of pixels [1, H, W, C]); mean and std are part of the program. The outputs are `classLabel`, the dictionary `scores`, and
    an array for each further head. One score becomes two classes: a probability p as 1 - p and p, a logit x as -x and x. Core ML
    wants unique labels: see `unique_labels`; the user-defined metadata `renamed_labels` tells which were changed. Where the channels of
    `int8` are to be of one height and those of the program cannot be, `unequalized` says so.

    Args:
        graph: the model.
        record: what the artifact carries; its labels become the class labels.
        schemes: `float32`, `float16` (weights and computation), or float16 computation with weights as `coreml_weights` stores them.
        folder: where `<record.name>-coreml-<scheme>.mlpackage` is written, each renamed into place when it is complete.
        minimum_deployment_target: a name as `iOS16` or `macOS13`; None for the oldest that each scheme runs on.
        int8: for the scheme `int8`, the parameters it shares with the other formats.
        float16_package: where the one that the compressed ones are made from is kept for a second call; taken from there if it exists.

    Returns:
        The package of each scheme.

    Raises:
        SchemeError: a scheme or deployment target that does not exist, a target older than the scheme needs, or a sparse scheme of a
            model that was not pruned; the other packages are written then.
        ConversionError: coremltools cannot convert the graph.
        OutputError: the folder cannot be written.
        MissingExtraError: coremltools or TensorFlow is not installed.
    """
    targets: dict[Scheme, Any] = {scheme: _deployment_target(scheme, minimum_deployment_target) for scheme in schemes}
    _check_labels(record)
    done: dict[Scheme, Path] = {}
    with _staging(folder) as staging, few_collections():
        for scheme, built in _build(graph, record, targets, staging, int8, float16_package):
            name = f"{record.name}-coreml-{scheme}{SUFFIXES['coreml']}"
            _describe(built.spec, record, scheme)
            built.spec.description.metadata.userDefined.update(built.remarks)
            with _writing(folder):
                write_package(staging / name, built.spec, built.weights)
                done[scheme] = _put(staging / name, folder / name, staging)
    return {scheme: done[scheme] for scheme in targets}


@dataclass(frozen=True)
class _Built:
    """A Core ML `Model` message, the weight file its program refers to, and what its user-defined metadata tell of how it was made."""

    spec: Any
    weights: Path
    remarks: Mapping[str, str] = field(default_factory=dict)


def _build(
    graph: FrozenGraph,
    record: ArtifactMetadata,
    targets: dict[Scheme, Any],
    staging: Path,
    int8: SharedInt8 | None,
    kept: Path | None,
) -> Iterator[tuple[Scheme, _Built]]:
    """Convert as rarely as possible: everything that is compressed is made from the float16 program."""
    compressed: list[Scheme] = [scheme for scheme in targets if scheme not in ("float32", "float16")]
    package = kept or staging / "float16.mlpackage"
    if "float16" in targets or compressed:
        with _failures("float16"):
            float16 = _float16(graph, record, targets.get("float16", min(targets.values())), staging, package)
        if "float16" in targets:
            yield "float16", float16
    if "float32" in targets:
        with _failures("float32"):
            full = _convert(graph, record, "float32", targets["float32"], staging)
        yield "float32", full
    compressed.sort(key=lambda scheme: scheme in SPARSE)  # which may be refused: after all others
    for scheme in compressed:
        with _failures(scheme):
            change = _change(scheme, package, int8)
            yield scheme, _rewrite(float16, scheme, targets[scheme], staging, change)


def _float16(graph: FrozenGraph, record: ArtifactMetadata, target: Any, staging: Path, package: Path) -> _Built:
    """The float16 program, from an earlier call's package where there is one."""
    if package.exists():
        opened = open_package(package)
        return _Built(opened.spec, opened.files.model.parent / WEIGHTS_FOLDER / WEIGHTS_NAME)
    built = _convert(graph, record, "float16", target, staging)
    write_package(package, built.spec, built.weights)
    return built


def _change(scheme: Scheme, float16: Path, int8: SharedInt8 | None) -> Callable[[Any], Mapping[str, str] | None]:
    """What makes a program of the scheme of the float16 program, and gives remarks on it."""
    if scheme != "int8":
        return lambda program: compress_weights(program, scheme)
    if int8 is None:
        raise SchemeError("parameters for Core ML int8", "none", "quantize the model first")
    return lambda program: take_over(program, float16, int8)


def _convert(graph: FrozenGraph, record: ArtifactMetadata, scheme: Scheme, target: Any, staging: Path) -> _Built:
    ct = require("coremltools")
    with coreml_program.quiet():
        program = coreml_program.load(graph, record, INPUT_NAME, int(target))
        with coreml_program.unchecked_passes(), coreml_program.exact_batch_norms(), coreml_program.untyped_outputs():
            model = ct.convert(
                program,
                source="milinternal",
                convert_to="mlprogram",
                # The scores by name: coremltools would take the last operation's result, which some graphs compute before others.
                classifier_config=ct.ClassifierConfig(
                    unique_labels(record.labels),
                    predicted_feature_name=LABEL_NAME,
                    predicted_probabilities_output=coreml_program.OUTPUT_NAME,
                ),
                compute_precision=coreml_program.precision(ct, scheme),
                minimum_deployment_target=target,
                skip_model_load=True,
                package_dir=str(staging / f"{scheme}-raw.mlpackage"),
            )
        coreml_program.validate(model)
        spec = model._spec
        ct.utils.rename_feature(spec, f"{LABEL_NAME}_probs", SCORES_NAME, rename_inputs=False)
    return _Built(spec, Path(model.weights_dir) / WEIGHTS_NAME)


def _rewrite(
    float16: _Built, scheme: Scheme, target: Any, staging: Path, change: Callable[[Any], Mapping[str, str] | None]
) -> _Built:
    remarks: dict[str, str] = {}
    weights = staging / f"{scheme}-raw" / WEIGHTS_NAME
    weights.parent.mkdir()
    with coreml_program.quiet():
        spec = coreml_program.rewrite(
            float16.spec,
            float16.weights.parent,
            int(target),
            weights.parent,
            lambda program: remarks.update(change(program) or {}),
        )
    return _Built(spec, weights, remarks)


def _describe(spec: Any, record: ArtifactMetadata, scheme: Scheme) -> None:
    """Write what Xcode and apps read: descriptions, the record, and its main points as plain text."""
    image = record.image_spec
    description = spec.description
    labels = unique_labels(record.labels)
    renamed = {index: label for index, label in enumerate(labels) if label != record.labels[index]}
    input_kind = f"{image.color_order} image" if description.input[0].type.HasField("imageType") else "array of pixels"
    description.input[
        0
    ].shortDescription = (
        f"{input_kind}, {image.width} wide and {image.height} high, pixels 0..255; the model does the preprocessing itself"
    )
    texts = {LABEL_NAME: "the class with the highest score", SCORES_NAME: f"score of each class ({_described(record)})"}
    texts |= {head.output: f"the model's output {head.name}" for head in record.heads[1:]}
    for output in description.output:
        output.shortDescription = texts[output.name]
    metadata = description.metadata
    metadata.shortDescription = f"{record.title}: image classifier with {len(labels)} classes, {scheme}"
    metadata.versionString = f"edgecls {record.edgecls_version}"
    user = metadata.userDefined
    for key in [key for key in user if key.endswith(".conversion_date")]:
        del user[key]  # the same model gives the same bytes on any day
    user["com.github.apple.coremltools.source"] = f"tensorflow=={require('tensorflow').__version__}"
    user[METADATA_KEY] = record.model_dump_json()
    user["source_sha256"] = record.source_sha256
    user["preprocessing"] = (
        f"inside the model: (pixel - mean) / std, channels {image.color_order}, "
        f"mean {' '.join(map(repr, image.mean))}, std {' '.join(map(repr, image.std))}"
    )
    user["resizing"] = f"before the model: fit {image.fit_choice}, filter {image.filter}"
    if renamed:
        user["renamed_labels"] = json.dumps(renamed, ensure_ascii=False)


def _described(record: ArtifactMetadata) -> str:
    if record.outputs > 1:
        return record.scores
    return f"{'-x and x' if record.output_kind == 'logits' else '1 - x and x'}, x being {record.scores}"


def _check_labels(record: ArtifactMetadata) -> None:
    expected = max(record.outputs, 2)
    if len(record.labels) != expected:
        raise ConversionError(
            f"{expected} labels for a Core ML classifier with {record.outputs} output(s)",
            f"{len(record.labels)}",
            "give one label per class (two for a single sigmoid output)",
        )


def check_deployment_target(schemes: Sequence[Scheme], name: str) -> None:
    """Refuse a deployment target that does not exist or is too old for one of the schemes, before any work.

    Raises:
        SchemeError: with the targets that would do.
    """
    for scheme in schemes:
        _deployment_target(scheme, name)


def _deployment_target(scheme: Scheme, name: str | None) -> Any:
    """The deployment target of a scheme as coremltools' enumeration."""
    if scheme not in MINIMUM_TARGETS:
        raise SchemeError(f"a Core ML scheme ({', '.join(MINIMUM_TARGETS)})", repr(scheme), "choose one of them")
    known = require("coremltools").target.__members__
    oldest = known[MINIMUM_TARGETS[scheme]]
    choices = ", ".join(choice for choice, target in known.items() if target >= oldest)
    target = oldest if name is None else known.get(name)
    if target is None:
        raise SchemeError("a deployment target that coremltools knows", repr(name), f"choose one of {choices}")
    if target < oldest:
        raise SchemeError(
            f"a deployment target of {MINIMUM_TARGETS[scheme]} or newer for Core ML {scheme}",
            repr(name),
            f"choose one of {choices}",
        )
    return target


@contextmanager
def _failures(scheme: Scheme) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError("room for temporary files", str(error), "free space or set TMPDIR") from None
    except coreml_program.CONVERTER_ERRORS as error:
        raise ConversionError(
            f"a graph that coremltools converts to {scheme}",
            _cause(error),
            "replace the layer that it comes from: Core ML has nothing for it",
        ) from error


def _cause(error: Exception) -> str:
    """What coremltools could not convert and where, or else the first line of what it says."""
    unknown = _UNKNOWN.search(str(error))
    if unknown:
        return f"{unknown[1]} ({unknown[2].removeprefix('model/')})"
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:300]}"


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A hidden folder beside the packages: what is renamed from it into `folder` never crosses a file system."""
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        staging = tempfile.TemporaryDirectory(prefix=".coreml-", dir=folder, ignore_cleanup_errors=True)
    with staging:
        yield Path(staging.name)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "choose another folder with -o, or free space"
        raise OutputError("a folder that can be written", f"{folder}: {error.strerror or error}", remedy) from None


def _put(package: Path, destination: Path, staging: Path) -> Path:
    """Rename a complete package into place; one that was there before goes away only then."""
    if destination.is_dir() and not destination.is_symlink():
        destination.rename(staging / f"before-{destination.name}")
    elif destination.exists() or destination.is_symlink():
        destination.unlink()
    package.rename(destination)
    shutil.rmtree(staging / f"before-{destination.name}", ignore_errors=True)
    return destination
