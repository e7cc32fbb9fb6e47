"""Rebuild: a loaded classifier as one flat tf_keras Functional model, proven to compute the same.

Nested models are opened, Keras 3 is traced again onto tf_keras, activations become layers of their own, weights are copied. What such a
model holds is then known: layers and arithmetic, each called on tensors, which is what pruning, clustering and quantization work on.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecls.data.synthetic import synthetic_pixels
from edgecls.errors import StageError, UnsupportedModelError
from edgecls.extras import require
from edgecls.models.activations import KERAS3, TF_KERAS, separate_activation
from edgecls.models.keras_graph import Call, replay
from edgecls.models.loaded_model import LoadedModel
from edgecls.models.operations import translate_operation

TOLERANCE = 1e-5  # of the largest output: float32 sums of some thousand products in another order differ by less
AMPLIFIED = 1e-3  # what a hundred layers may make of it; a wrong connection or a forgotten weight changes far more
_PROOF_IMAGES = 8
_NOT_NEEDED = ("_initializer", "_regularizer", "_constraint")  # weights are copied; what trains further has rules of its own
_DROPPED = {"dtype", "quantization_config", "build_config", "autocast", "batch_shape", "batch_input_shape", "seed"}
_NEUTRAL: tuple[Any, ...] = (None, False, "auto", "channels_last", [], {}, 1)
_FROM_APPLICATIONS = ("LayerScale", "StochasticDepth")  # tf_keras keeps them beside ConvNeXt


@dataclass(frozen=True)
class Rebuilt:
    """A classifier ready for training.

    Attributes:
        model: tf_keras Functional model of layers alone: [N, *input_shape] float32 -> [N, outputs].
        largest_difference: from the source model's scores, as a share of the largest of them, on the images it was proven on.
        notes: what a person should know, one sentence each.
    """

    model: Any
    largest_difference: float
    notes: list[str] = field(default_factory=list)


def rebuild(loaded: LoadedModel, images: np.ndarray | None = None) -> Rebuilt:
    """Rebuild a model for training and prove it on random inputs, and on real ones where there are any.

    Args:
        loaded: any model with a layer graph, of either Keras generation.
        images: model inputs [N, *input_shape], float32.

    Raises:
        UnsupportedModelError: no layer graph, or a layer that tf_keras has no counterpart for.
        StageError: the result computes something else; the error names the first layer that does.
    """
    source = loaded.model
    if loaded.training_refusal or not hasattr(source, "layers"):
        reason, _, remedy = (loaded.training_refusal or "").partition("; ")
        raise UnsupportedModelError(
            "a model with layers", reason or "none", remedy or "give the Keras file (.keras or .h5) it was made from"
        )
    tf_keras = require("tf_keras")
    inputs = tf_keras.Input(loaded.image_spec.input_shape, name=_input_name(source), dtype="float32")
    retracing = _Retracing(tf_keras)
    outputs = replay(source, [inputs], retracing.call)
    scores = outputs[loaded.output_index]
    if tuple(scores.shape[1:]) != (loaded.outputs,):
        scores = tf_keras.layers.Reshape((loaded.outputs,), name=retracing.free_name("scores"))(scores)
    flat = tf_keras.Model(inputs, scores, name=_identifier(source.name))
    largest = _prove(loaded, flat, retracing, _proof_inputs(loaded, images))
    return Rebuilt(flat, largest, retracing.notes)


class _Retracing:
    """Calls the tf_keras counterpart of each layer, one counterpart for each layer however often it is called."""

    def __init__(self, tf_keras: Any) -> None:
        self.tf_keras = tf_keras
        self.notes: list[str] = []
        self.trace: list[tuple[Call, Any]] = []
        self._counterparts: dict[int, tuple[Any, str | None]] = {}
        self._names: set[str] = set()

    def free_name(self, name: str) -> str:
        """The name, or with a number where it is taken."""
        name, count = _identifier(name), 1
        free = name
        while free in self._names:
            free, count = f"{name}_{count}", count + 1
        self._names.add(free)
        return free

    def call(self, call: Call) -> Any:
        try:
            result = self._call(call)
        except UnsupportedModelError:
            raise
        except (TypeError, ValueError, AttributeError, LookupError, NotImplementedError) as error:
            lines = str(error).strip().splitlines() or [""]
            raise UnsupportedModelError(
                "layers that tf_keras can rebuild",
                f"{call.kind} {call.path!r}: {type(error).__name__}: {lines[0][:200]}",
                "replace that layer; the model can still be converted without compression",
            ) from error
        self.trace.append((call, result))
        return result

    def _call(self, call: Call) -> Any:
        if call.is_operation:
            return translate_operation(self.tf_keras, call, self.free_name)
        counterpart, activation = self._counterpart(call)
        if counterpart is None:  # inert at inference and without a counterpart
            return call.args[0]
        # A base called with training=False keeps the statistics of its BatchNorms in further training; what else such a call
        # switches off (dropout, augmentation) may work again then.
        frozen = {"training": False} if call.kind == "BatchNormalization" and call.training is False else {}
        result = counterpart(*call.args, **{**call.kwargs, **frozen})
        if activation is not None:
            result = separate_activation(self.tf_keras, activation, result, self.free_name)
        return result

    def _counterpart(self, call: Call) -> tuple[Any, str | None]:
        key = id(call.layer)
        if key not in self._counterparts:
            self._counterparts[key] = self._make(call)
        return self._counterparts[key]

    def _make(self, call: Call) -> tuple[Any, str | None]:
        layer, config = call.layer, dict(call.layer.get_config())
        known = KERAS3 if call.generation == 3 else TF_KERAS
        activation = None
        if "activation" in config:
            name = getattr(layer.activation, "__name__", None)
            if name not in known:
                raise ValueError(f"its activation {name or layer.activation!r} is unknown")
            activation = known[name]
            if call.kind == "Activation":
                return _unchanged, activation
            config["activation"] = "linear"
        cls = self._class(call)
        if cls is None:
            self.notes.append(f"{call.path} ({call.kind}) is left out: tf_keras has none, and it changes nothing at inference.")
            return None, None
        made = cls.from_config({**self._fields(config, cls), "name": self.free_name(layer.name)})
        return made, activation

    def _class(self, call: Call) -> Any:
        if call.generation == 2:
            return type(call.layer)
        if call.kind in _FROM_APPLICATIONS:
            from tf_keras.src.applications import convnext

            return getattr(convnext, call.kind)
        found = getattr(self.tf_keras.layers, call.kind, None)
        if found is None and not call.is_inert:
            raise ValueError("tf_keras has no such layer")
        return found

    def _fields(self, config: dict[str, Any], cls: type) -> dict[str, Any]:
        accepted = {name for base in cls.__mro__ if "__init__" in base.__dict__ for name in _parameters(base)}
        kept = {}
        for name, value in config.items():
            if name in _DROPPED or name.endswith(_NOT_NEEDED):
                continue
            if name in accepted:
                kept[name] = value
            elif not any(value is neutral or value == neutral for neutral in _NEUTRAL):
                raise ValueError(f"its setting {name}={value!r} is unknown to tf_keras")
        return kept


def _unchanged(value: Any) -> Any:
    return value


def _parameters(cls: type) -> set[str]:
    return {
        name
        for name, parameter in inspect.signature(cls.__dict__["__init__"]).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and name != "self"
    } | {"name", "trainable"}


def _input_name(model: Any) -> str:
    return _identifier(getattr(model.inputs[0], "name", None) or "image")


def _identifier(name: str) -> str:
    """A name TensorFlow takes as a scope."""
    text = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name.partition(":")[0])
    return text if text[:1].isalnum() else f"layer{text}"


def _proof_inputs(loaded: LoadedModel, images: np.ndarray | None) -> np.ndarray:
    random = loaded.image_spec.apply(synthetic_pixels(loaded.image_spec, _PROOF_IMAGES))
    return random if images is None else np.concatenate([random, np.asarray(images, np.float32)])


def _prove(loaded: LoadedModel, flat: Any, retracing: _Retracing, inputs: np.ndarray) -> float:
    """Difference of the scores as a share of the largest.

    Deep networks amplify rounding, so that scores of the same layers may differ by more than each layer's: then every layer is held to
    the tolerance alone, on the inputs it has in the source model, and the scores to a wider one that no wrong connection would meet.
    """
    _copy_weights(retracing)
    difference = relative_difference(loaded.predict(inputs), _run(flat, inputs))
    if difference <= TOLERANCE:
        return difference
    path, kind, share = _largest_difference(loaded, retracing, inputs)
    if not (share <= TOLERANCE and difference <= AMPLIFIED):  # NaN as well
        raise StageError(
            f"a rebuilt model whose scores differ by at most {TOLERANCE:g} of the largest",
            f"{difference:.2g}; {kind} {path!r} alone differs by {share:.2g} of its largest output",
            "replace that layer; the model can still be converted without compression",
        )
    retracing.notes.append(
        f"The rebuilt model's scores differ by {difference:.1g} of the largest: it amplifies rounding. No layer alone differs by more "
        f"than {share:.1g}."
    )
    return difference


def relative_difference(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest difference of two arrays as a share of the largest expected value."""
    largest = float(np.abs(expected).max(initial=0.0))
    return float(np.abs(found - expected).max(initial=0.0)) / max(largest, float(np.finfo(np.float32).tiny))


def _run(model: Any, inputs: np.ndarray) -> np.ndarray:
    call = require("tensorflow").function(lambda batch: model(batch, training=False), autograph=False)
    return np.concatenate([call(inputs[start : start + 32]).numpy() for start in range(0, len(inputs), 32)])


def _copy_weights(retracing: _Retracing) -> None:
    for call, _ in retracing.trace:
        counterpart = None if call.is_operation else retracing._counterparts[id(call.layer)][0]
        if counterpart is not None and getattr(counterpart, "weights", None):
            values = call.layer.get_weights()
            if [value.shape for value in values] != [tuple(weight.shape) for weight in counterpart.weights]:
                raise UnsupportedModelError(
                    "layers that tf_keras can rebuild",
                    f"{call.kind} {call.path!r}, whose weights have other shapes there",
                    "replace that layer; the model can still be converted without compression",
                )
            counterpart.set_weights(values)


def _largest_difference(loaded: LoadedModel, retracing: _Retracing, inputs: np.ndarray) -> tuple[str, str, float]:
    """The first layer that differs by more than the tolerance on the inputs it has in the source model; else the one that differs most.

    Returns:
        its path, its class and the difference as a share of its largest output.
    """
    trace = iter(retracing.trace)
    differences: list[tuple[str, str, float]] = []

    def run(call: Call) -> Any:
        rebuilt, result = next(trace)
        mode = {"training": False} if call.takes_training else {}
        found = call.layer(*call.args, **{**call.kwargs, **mode})
        sources = [tensor for tensor in _flatten((rebuilt.args, rebuilt.kwargs)) if hasattr(tensor, "_keras_history")]
        values = [value for value in _flatten((call.args, call.kwargs)) if hasattr(value, "numpy")]
        alone = retracing.tf_keras.Model(sources, _flatten(result))(values, training=False)
        pairs = zip(_flatten(found), _flatten(alone), strict=True)
        shares = [relative_difference(np.asarray(value), np.asarray(other)) for value, other in pairs]
        differences.append((call.path, call.kind, max(shares)))
        return found

    replay(loaded.model, [require("tensorflow").constant(inputs)], run)
    return next((item for item in differences if not item[2] <= TOLERANCE), max(differences, key=lambda item: item[2]))


def _flatten(value: Any) -> list[Any]:
    return require("tensorflow").nest.flatten(value)
