"""SavedModel folders: what their protobufs say, scanned before TensorFlow or Keras read them, and their serving function."""

from __future__ import annotations

import contextlib
import json
import shlex
import warnings
from pathlib import Path
from typing import Any

from edgecls.errors import InputError, ModelFileError, UnsupportedModelError
from edgecls.models import tfmot
from edgecls.models.computation import Computation, TrainingRefusal, keras_computation, refuse_several_inputs
from edgecls.models.custom_objects import CustomObjects, read_custom_objects, registered
from edgecls.models.freezing import constant_call
from edgecls.models.graph_scan import scan_saved_model
from edgecls.models.keras_model import cause_of, load_errors
from edgecls.models.safety import Suspect, refuse, scan_config
from edgecls.records.artifact import Repair
from edgecls.system.extras import require

_INTERNAL_SIGNATURES = {"__saved_model_init_op", "__saved_model_train_op"}
_REFERENCE_VARIABLES = {"Variable", "VariableV2"}
_KERAS_METADATA = "keras_metadata.pb"
_EXPORT_AGAIN = "export it again with model.export('folder')"
INFERENCE_ONLY = TrainingRefusal(
    "a SavedModel, which holds the traced inference function alone, without layers to train",
    "give the Keras file it was exported from",
)


def load_saved_model(
    path: Path, allow_code: bool, signature: str | None = None, custom_objects: Path | None = None
) -> tuple[Computation, str, str | None, list[str]]:
    """Load a SavedModel: as a Keras 2 model where it is one, else its serving function for inference alone.

    Args:
        signature: the function to read, whatever else is there; None where one alone can be meant.
        custom_objects: Python file with the classes of a Keras model's layers.

    Returns:
        the computation, the format, the Keras version where the folder tells it, notes for people.

    Raises:
        InputError: no such signature.
        ModelFileError, UnsafeModelError, UnsupportedModelError, MissingExtraError.
    """
    saved_model = _parse(path)
    metadata = _keras_metadata(path, saved_model)
    refuse(_scan(saved_model, metadata), allow_code)
    if custom_objects and (signature is not None or not metadata):
        raise InputError(
            "a Keras model's layers for --custom-objects",
            f"{path}, read as a graph, which needs none",
            "leave --custom-objects out",
        )
    custom = read_custom_objects(custom_objects, 2, allow_code) if custom_objects else CustomObjects()
    version = next((str(node["keras_version"]) for node in metadata if node.get("keras_version")), None)
    notes: list[str] = []
    if metadata and signature is not None:
        notes.append(f"read as the inference function --signature {signature}, not as a Keras model")
    elif metadata:
        model, repairs, reason = _load_keras(path, tfmot.is_wrapped(metadata), custom.for_model(metadata))
        if model is not None:
            refusal = tfmot.QAT_REFUSAL if tfmot.rounds(model) else None
            notes += [f"{repair.layer}: {repair.action}" for repair in repairs]
            return keras_computation(model, require("tensorflow"), refusal), "keras2-savedmodel", version, notes
        if custom_objects:
            raise ModelFileError(
                "a Keras model of the classes in --custom-objects",
                f"{path} with {custom_objects}: {reason}",
                "mend the classes there, or leave --custom-objects out: the folder holds the graph they make",
            )
        notes.append(f"read as an inference function, not as a Keras model: {reason}")
    return _load_signature(path, saved_model, signature), "savedmodel", version, notes


def _parse(path: Path) -> Any:
    require("tensorflow")
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString((path / "saved_model.pb").read_bytes())
    except DecodeError:
        raise ModelFileError(
            "a SavedModel folder", f"{path}, whose saved_model.pb is damaged", "copy or export it again"
        ) from None
    if not saved_model.meta_graphs:
        raise ModelFileError("a SavedModel folder", f"{path}, whose saved_model.pb holds no graph", "copy or export it again")
    return saved_model


def _keras_metadata(path: Path, saved_model: Any) -> list[dict[str, Any]]:
    """What Keras 2 wrote about each layer: in keras_metadata.pb, before TensorFlow 2.5 in the object graph."""
    nodes = saved_model.meta_graphs[0].object_graph_def.nodes
    texts = [node.user_object.metadata for node in nodes if node.user_object.identifier.startswith("_tf_keras_")]
    file = path / _KERAS_METADATA
    if file.is_file():
        require("tf_keras")
        from google.protobuf.message import DecodeError
        from tf_keras.protobuf import saved_metadata_pb2

        stored = saved_metadata_pb2.SavedMetadata()
        try:
            stored.ParseFromString(file.read_bytes())
        except DecodeError:
            raise ModelFileError(
                "a Keras 2 SavedModel", f"{path}, whose {_KERAS_METADATA} is damaged", "copy or save it again"
            ) from None
        texts += [node.metadata for node in stored.nodes]
    try:
        parsed = [json.loads(text) for text in texts if text]
    except (ValueError, RecursionError):
        raise ModelFileError(
            "a Keras 2 SavedModel", f"{path}, whose layer descriptions are no JSON", "copy or save it again"
        ) from None
    return [node for node in parsed if isinstance(node, dict)]


def _scan(saved_model: Any, metadata: list[dict[str, Any]]) -> list[Suspect]:
    findings = [finding for node in metadata for finding in scan_config(_loaded_part(node)) if finding.kind == "code"]
    return findings + scan_saved_model(saved_model)


def _loaded_part(node: dict[str, Any]) -> dict[str, Any]:
    """What Keras reads of a layer's description; how it was compiled stays unread."""
    return {key: value for key, value in node.items() if key != "training_config"}


def _load_keras(path: Path, wrapped: bool, custom_objects: dict[str, Any]) -> tuple[Any, list[Repair], str]:
    """The Keras 2 model of a folder, what was taken off it, and no reason; None and the reason when its layers cannot be rebuilt.

    Args:
        wrapped: whether it has wrappers of tfmot.
        custom_objects: classes and functions it may name.
    """
    tf_keras = require("tf_keras")
    scopes = tfmot.scopes() if wrapped else contextlib.nullcontext()
    with warnings.catch_warnings(), scopes, registered(tf_keras, custom_objects):
        warnings.simplefilter("ignore")
        try:
            model, repairs = tfmot.strip(tf_keras.models.load_model(str(path), compile=False))
        except load_errors() as error:
            return None, [], cause_of(error)
    if any("saved_model.load" in type(layer).__module__ for layer in model._flatten_layers()):  # stand-ins made of the graph
        return None, [], "it holds custom classes, whose code is not in the folder"
    if not getattr(model, "_is_graph_network", False):
        return None, [], "its layers are connected in Python code"
    return model, repairs, ""


def _load_signature(path: Path, saved_model: Any, wanted: str | None) -> Computation:
    tf = require("tensorflow")
    meta_graph = _serving_graph(saved_model, path)
    key = _signature_key(meta_graph, path, wanted)
    signature = meta_graph.signature_def[key]
    refuse_several_inputs({name: _shape(tensor)[1:] for name, tensor in signature.inputs.items()})
    input_name, tensor = next(iter(signature.inputs.items()))
    dtype = tf.dtypes.as_dtype(tensor.dtype)
    if not (dtype.is_floating or dtype.is_integer):
        raise UnsupportedModelError(
            "a signature that takes an image tensor",
            f"the input {input_name} of dtype {dtype.name}",
            _advice_of_images(meta_graph),
        )
    shape = _shape(tensor)
    try:
        loaded = tf.saved_model.load(str(path), tags=list(meta_graph.meta_info_def.tags) or None)
    except load_errors() as error:
        raise _explain(error, path) from error
    function = loaded.signatures[key]
    names = sorted(signature.outputs)

    def call(image: Any) -> list[Any]:
        results = function(**{input_name: image})
        return [results[name] for name in names]

    batch = shape[0] if shape else None
    needs_constants = batch not in (None, 1) or any(
        node.op in _REFERENCE_VARIABLES for node in function.graph.as_graph_def().node
    )
    return Computation(
        call,
        shape[1:],
        dtype.name,
        batch,
        {name: _shape(signature.outputs[name])[1:] for name in names},
        loaded,
        INFERENCE_ONLY,
        constant_call(function) if needs_constants else None,
    )


def _serving_graph(saved_model: Any, path: Path) -> Any:
    graphs = list(saved_model.meta_graphs)
    serving = [graph for graph in graphs if "serve" in graph.meta_info_def.tags]
    if not serving and len(graphs) > 1:
        raise UnsupportedModelError("a SavedModel with a graph tagged `serve`", f"{path}, which has none", _EXPORT_AGAIN)
    return min(serving or graphs, key=lambda graph: len(graph.meta_info_def.tags))


def _keys(meta_graph: Any) -> list[str]:
    return sorted(set(meta_graph.signature_def) - _INTERNAL_SIGNATURES)


def _signature_key(meta_graph: Any, path: Path, wanted: str | None) -> str:
    keys = _keys(meta_graph)
    if not keys:
        raise UnsupportedModelError("a SavedModel with a serving signature", f"{path} with none", _EXPORT_AGAIN)
    likely = min(keys, key=lambda key: not _takes_one_image(meta_graph.signature_def[key]))
    advice = f"name one, as --signature {shlex.quote(likely)}"
    if wanted is not None and wanted not in keys:
        raise InputError(f"a signature named {wanted!r}", f"{path} with {', '.join(keys)}", advice)
    if wanted is None and "serving_default" not in keys and len(keys) > 1:
        raise UnsupportedModelError(
            "a SavedModel with one serving signature", f"{path} with {len(keys)} ({', '.join(keys)})", advice
        )
    return wanted or ("serving_default" if "serving_default" in keys else keys[0])


def _advice_of_images(meta_graph: Any) -> str:
    """What to do where the signature that was read takes no tensor of pixels."""
    other = next((key for key in _keys(meta_graph) if _takes_one_image(meta_graph.signature_def[key])), None)
    return (
        f"name the one that does, as --signature {shlex.quote(other)}" if other else "export one whose input is the decoded image"
    )


def _takes_one_image(signature: Any) -> bool:
    """Whether a signature has one input, of numbers, with three axes behind the batch."""
    dtypes = require("tensorflow").dtypes
    tensors = list(signature.inputs.values())
    return len(tensors) == 1 and len(_shape(tensors[0])) == 4 and dtypes.as_dtype(tensors[0].dtype) != dtypes.string


def _shape(tensor: Any) -> tuple[int | None, ...]:
    """Shape of a signature's tensor, batch axis first; of unknown rank: unknown sizes."""
    if tensor.tensor_shape.unknown_rank:
        return (None, None)
    return tuple(dim.size if dim.size >= 0 else None for dim in tensor.tensor_shape.dim)


def _explain(error: BaseException, path: Path) -> ModelFileError | UnsupportedModelError:
    text = " ".join(str(error).split())
    if "not registered" in text:
        return UnsupportedModelError(
            "a SavedModel of TensorFlow's own operations", f"{path}: {text[:300]}", "rebuild the model without that operation"
        )
    return ModelFileError(
        "a whole SavedModel folder", f"{path}: {text[:300]}", "copy the folder again, with variables/, or export it again"
    )
