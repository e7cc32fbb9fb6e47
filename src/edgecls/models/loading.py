"""load_model: from a path to a LoadedModel."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgecls.data.label_file import read_all_labels
from edgecls.data.synthetic import natural_pixels
from edgecls.errors import InputError
from edgecls.formats.files import sha256
from edgecls.formats.model_contract import read_contract
from edgecls.models import keras_hub, tfjs, tfmot
from edgecls.models.channels_last import CHANNELS_FIRST_REFUSAL, compute_channels_last
from edgecls.models.computation import Computation, TrainingRefusal, keras_computation
from edgecls.models.custom_objects import CustomObjects, read_custom_objects
from edgecls.models.finiteness import require_numbers
from edgecls.models.graph_evidence import input_scaling
from edgecls.models.graph_rewrites import compute_in_float32, other_precisions
from edgecls.models.input_size import with_input_size
from edgecls.models.input_spec import application_of, image_shape, infer_image_spec
from edgecls.models.keras_model import load_keras
from edgecls.models.loaded_model import LoadedModel, Scores
from edgecls.models.model_file import ModelFile, examine
from edgecls.models.output_choice import open_scores
from edgecls.models.relu_scales import move_scales_before_relus
from edgecls.models.saved_model import load_saved_model
from edgecls.models.scores_evidence import may_sum_to_one, output_kind, sum_to_one
from edgecls.models.teachable_machine import LABELS_NAME, opened_export
from edgecls.models.trained_ranges import ROUNDING, TrainedRange, take_out_rounding
from edgecls.records.artifact import Head, OutputKind, Repair, Source
from edgecls.records.image_spec import ImageSpec
from edgecls.records.model_contract import ModelContract
from edgecls.system.extras import require

_IMAGES = 8  # on which scores are looked at


def load_model(
    path: Path,
    *,
    weights: Path | None = None,
    allow_code: bool = False,
    output: str | None = None,
    signature: str | None = None,
    input_size: str | None = None,
    custom_objects: Path | None = None,
) -> LoadedModel:
    """Load any Keras image classifier.

    Args:
        path: `.h5`/`.hdf5` or `.keras` of Keras 2 or 3, a SavedModel folder, an architecture `.json`, or `model.json` of TensorFlow.js
            with its shards beside it, or their folder.
        weights: the weights that belong to an architecture `.json`.
        allow_code: load files that hold code (Lambda layers and the like) and run it.
        output: which of several outputs holds the scores; several, divided by commas, are converted together, and the first classifies.
        signature: of a SavedModel with several, the serving function to read.
        input_size: height x width of the images, as `224x224`, where the model leaves them open.
        custom_objects: Python file with classes and functions that the model names; it is run, so `allow_code` must be given.

    Raises:
        InputError: a signature or size that the model does not have.
        ModelFileError: no readable model.
        UnsafeModelError: it, or `custom_objects`, holds code and `allow_code` is not given; nothing was deserialized or run.
        UnsupportedModelError: a model that no image classifier can be made of.
        MissingExtraError: the frameworks are not installed.
    """
    path = Path(path)
    beside = weights and Path(weights), custom_objects and Path(custom_objects)
    with opened_export(path) as export:
        file = examine(export.model)
        computation, source, repairs, notes = _load(file, *beside, allow_code, signature)
        labels = read_all_labels(export.labels) if export.labels else []
        contract = read_contract(export.model)
    converter = keras_hub.converter_of(file.config)
    if input_size is None and converter and None in computation.input_shape:
        input_size = keras_hub.input_size(converter)
    if input_size is not None:
        computation = with_input_size(computation, input_size)
    image_shape(computation.input_shape)  # refuse before the work of tracing
    heads, graph = open_scores(computation, output)
    require_numbers(graph, computation.model)
    outputs = heads[0].outputs
    if labels:
        labels, note = _exported_labels(labels, outputs)
        notes.append(note)
    rewritten = _rewrite(graph, heads)
    parts, names = _part_names(graph), [str(getattr(computation.model, "name", "")), path.stem]
    takes_integers = not computation.input_dtype.startswith(("float", "bfloat"))
    spec = infer_image_spec(computation.input_shape, takes_integers, input_scaling(graph), parts, names)
    if converter is not None:
        spec, note = keras_hub.image_spec(spec, converter)
        rewritten.notes.append(note)
    if contract is not None:
        spec, labels, note = _as_declared(contract, spec, outputs)
        rewritten.notes.append(note)
    chosen = {
        "name": path.name,
        "output": output,
        "signature": signature,
        "input_size": input_size,
        "custom_objects": beside[1] and beside[1].name,
    }
    return LoadedModel(
        source=source.model_copy(update=chosen),
        image_spec=spec,
        labels=labels,
        application=application_of(parts, names),
        outputs=outputs,
        output_kind=_output_kind(graph, heads[0], spec),
        model=computation.model,
        repairs=repairs,
        notes=[note for note in (*notes, *rewritten.notes, *(head.note for head in heads)) if note],
        training_refusal=computation.training_refusal or rewritten.training_refusal,
        output_index=heads[0].index,
        heads=_heads(heads, graph, spec) if len(heads) > 1 else [],
        trained_ranges=rewritten.trained_ranges,
        _scores=heads,
        _graph=graph,
    )


def _exported_labels(labels: list[str], outputs: int) -> tuple[list[str], str]:
    """The labels beside an exported model, as far as they fit it, and what to say of them."""
    if len(labels) == max(outputs, 2):
        return labels, f"labels taken from {LABELS_NAME} of the export"
    return [], f"{LABELS_NAME} of the export is not taken: it has {len(labels)} labels for {outputs} outputs"


@dataclass
class _Rewritten:
    """What was changed of a graph.

    Attributes:
        training_refusal: why the model cannot be trained for it.
        trained_ranges: of activations, whose rounding was taken out.
    """

    notes: list[str] = field(default_factory=list)
    training_refusal: TrainingRefusal | None = None
    trained_ranges: list[TrainedRange] = field(default_factory=list)


def _rewrite(graph: Any, heads: list[Scores]) -> _Rewritten:
    """Rewrite a graph in place into one that every converter takes: without rounding, channels last, in float32; the heads follow it."""
    done = _Rewritten()
    trained = take_out_rounding(graph)
    if trained is not None:
        done.trained_ranges = trained
        done.notes.append("computed without the int8 rounding of its training")
    if compute_channels_last(graph, [head.node for head in heads]):
        move_scales_before_relus(graph)
        done.training_refusal = CHANNELS_FIRST_REFUSAL
        done.notes.append("computed channels last what the model computes channels first, which TensorFlow does not on CPUs")
    precisions = other_precisions(graph)
    if precisions:
        compute_in_float32(graph)
        done.notes.append(f"computed in float32 what the model computes in {', '.join(precisions)}")
    if done.notes:
        for head in heads:
            head.follow(graph)
    return done


def _as_declared(contract: ModelContract, spec: ImageSpec, outputs: int) -> tuple[ImageSpec, list[str], str]:
    """The image spec and the labels that a contract in the model file declares, as far as it fits the model, and what to say of it."""
    declared = contract.image_spec
    if declared.input_shape != spec.input_shape or declared.layout != spec.layout:
        return (
            spec,
            [],
            f"the contract in the file is not taken: it is of images {declared.input_shape}, the model of {spec.input_shape}",
        )
    if len(contract.labels) != max(outputs, 2):
        return declared, [], f"labels of the contract in the file are not taken: {len(contract.labels)} for {outputs} outputs"
    return declared, contract.labels, "image spec and labels are those its training declared in the file"


def was_trained_for_int8(path: Path) -> bool:
    """Whether layers of a model round, as its architecture or its graph says; nothing of it is deserialized.

    Raises:
        ModelFileError, UnsafeModelError, UnsupportedModelError: as `load_model`.
    """
    with opened_export(Path(path)) as export:
        file = examine(export.model)
    if file.kind == "saved-model":
        return ROUNDING.encode() in (file.path / "saved_model.pb").read_bytes()
    return tfmot.has_rounding(file.config)


def _load(
    file: ModelFile, weights: Path | None, custom_objects: Path | None, allow_code: bool, signature: str | None
) -> tuple[Computation, Source, list[Repair], list[str]]:
    if file.kind == "saved-model":
        computation, format_name, version, notes = load_saved_model(file.path, allow_code, signature, custom_objects)
        return computation, _source(file, (weights, custom_objects), format_name, version), [], notes
    if signature is not None:
        raise InputError(f"a SavedModel with --signature {signature}", f"{file.path}, which is none", "leave --signature out")
    assert file.generation is not None
    custom = read_custom_objects(custom_objects, file.generation, allow_code) if custom_objects else CustomObjects()
    model, repairs = load_keras(file, weights, allow_code, custom)
    refusal = tfmot.QAT_REFUSAL if file.generation == 2 and tfmot.rounds(model) else None
    computation = keras_computation(model, require("tensorflow"), refusal)
    name = f"keras{file.generation}-{file.kind}"
    shards = tfjs.shard_paths(file.weights_manifest, file.path) if file.weights_manifest is not None else []
    return computation, _source(file, (weights, custom_objects, *shards), name, file.keras_version), repairs, []


def _source(file: ModelFile, beside: tuple[Path | None, ...], format_name: str, version: str | None) -> Source:
    digest = sha256(file.path)
    for part in filter(None, beside):
        digest = hashlib.sha256(f"{digest} {sha256(part)}".encode()).hexdigest()
    return Source(name=file.path.name, sha256=digest, format=format_name, keras_version=version)


def _heads(heads: list[Scores], graph: Any, spec: ImageSpec) -> list[Head]:
    return [
        Head(name=head.name, output=head.node, outputs=head.outputs, output_kind=_output_kind(graph, head, spec))
        for head in heads
    ]


def _output_kind(graph: Any, head: Scores, spec: ImageSpec) -> OutputKind:
    """What the graph tells of the scores, or where it cannot, what they are on some images."""
    kind = output_kind(graph, head.node)
    if kind == "softmax" or head.outputs == 1 or not may_sum_to_one(graph, head.node):
        return kind
    return "softmax" if sum_to_one(head.run(spec.apply(natural_pixels(spec, _IMAGES)))) else kind


def _part_names(graph: Any) -> set[str]:
    """Names of layers, as the scopes of the graph's operations tell them, with and without the number Keras 3 adds."""
    parts = {part for node in graph.node for part in node.name.split("/")}
    return parts | {re.sub(r"_\d+$", "", part) for part in parts}
