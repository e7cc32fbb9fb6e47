"""Rebuild: a loaded classifier as one flat tf_keras Functional model, proven to compute the same.

Nested models are opened, Keras 3 is traced again onto tf_keras, activations become layers of their own, weights are copied. What such a
model holds is then known: layers and arithmetic, each called on tensors, which is what pruning, clustering and quantization work on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecls.data.synthetic import synthetic_pixels
from edgecls.errors import StageError, UnsupportedModelError
from edgecls.models.activations import KERAS3, TF_KERAS, separate_activation
from edgecls.models.counterparts import NoCounterpartError, keras_refusals, make_counterpart
from edgecls.models.keras_graph import Call, replay
from edgecls.models.loaded_model import LoadedModel
from edgecls.models.operations import translate_operation
from edgecls.models.written_out import write_out
from edgecls.system.extras import require

TOLERANCE = 1e-5  # of the largest output: float32 sums of some thousand products in another order differ by less
AMPLIFIED = 1e-3  # what a hundred layers may make of it; a wrong connection or a forgotten weight changes far more
_PROOF_IMAGES = 8
# Layers that put their activation behind everything else they compute, so that it may stand alone.
_ACTIVATED_LAST = (
    "Activation",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Dense",
    "Depthwise",
    "EinsumDense",
    "LocallyConnected",
    "Separable",
)


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
        UnsupportedModelError: no layer graph, or a layer that has no counterpart in tf_keras and cannot be written out either.
        StageError: the result computes something else; the error names the first layer that does.
    """
    if loaded.heads:
        raise UnsupportedModelError("one output to train", f"{len(loaded.heads)}", "name one with --output")
    loaded.require_layers("a model with layers")
    inputs = _proof_inputs(loaded, images)
    expected = loaded.predict(inputs)
    attempt = _retrace(loaded, written_out={})
    difference = relative_difference(expected, _run(attempt.model, inputs))
    if not difference <= TOLERANCE and (wrong := _wrong(_differences(loaded, attempt, inputs))):
        attempt = _retrace(loaded, written_out=wrong)
        difference = relative_difference(expected, _run(attempt.model, inputs))
    if not difference <= TOLERANCE:
        attempt.notes.append(_excuse(difference, _differences(loaded, attempt, inputs)))
    return Rebuilt(attempt.model, difference, attempt.notes)


def _retrace(loaded: LoadedModel, *, written_out: dict[int, str]) -> _Retracing:
    """Rebuild a model once, without a proof."""
    tf_keras, source = require("tf_keras"), loaded.model
    inputs = tf_keras.Input(loaded.image_spec.input_shape, name=_input_name(source), dtype="float32")
    retracing = _Retracing(tf_keras, written_out)
    scores = replay(source, [inputs], retracing.call)[loaded.output_index]
    if tuple(scores.shape[1:]) != (loaded.outputs,):
        scores = tf_keras.layers.Reshape((loaded.outputs,), name=retracing.free_name("scores"))(scores)
    retracing.model = tf_keras.Model(inputs, scores, name=_identifier(source.name))
    return retracing


class _Retracing:
    """Calls the tf_keras counterpart of each layer, one counterpart for each layer however often it is called.

    Args:
        written_out: id of a layer -> why it is written out, whatever counterpart it has.
    """

    def __init__(self, tf_keras: Any, written_out: dict[int, str]) -> None:
        self.tf_keras, self.model = tf_keras, tf_keras.Model()
        self.notes: list[str] = []
        self.trace: list[tuple[Call, Any]] = []
        self._written_out = dict(written_out)
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
        reason = self._written_out.get(id(call.layer))
        if reason is None:
            try:
                result = self._call(call)
            except NoCounterpartError as error:
                reason = str(error)
        if reason is not None:
            result = self._write_out(call, reason)
        self.trace.append((call, result))
        return result

    def _call(self, call: Call) -> Any:
        if call.is_operation:
            return translate_operation(self.tf_keras, call, self.free_name)
        counterpart, activation = self._counterpart(call)
        # A base called with training=False keeps the statistics of its BatchNorms in further training; what else such a call
        # switches off (dropout, augmentation) may work again then.
        frozen = {"training": False} if call.kind == "BatchNormalization" and call.training is False else {}
        with keras_refusals():
            result = counterpart(*call.args, **{**call.kwargs, **frozen})
        if getattr(counterpart, "weights", None):
            _take_weights(counterpart, call.layer)
        if activation is not None:
            result = separate_activation(self.tf_keras, activation, result, self.free_name)
        return result

    def _write_out(self, call: Call, reason: str) -> Any:
        """The functions that a layer calls, where no layer of tf_keras computes the same."""
        try:
            results = write_out(call, self.free_name)
        except NoCounterpartError as error:
            raise UnsupportedModelError(
                "layers that tf_keras can rebuild",
                f"{call.kind} {call.path!r}: {reason}, and written out: {error}",
                "replace that layer; the model can still be converted without compression",
            ) from error
        note = _said(call, reason, changes=not any(results[0] is value for value in call.args))
        if note not in self.notes:
            self.notes.append(note)
        return results

    def _counterpart(self, call: Call) -> tuple[Any, str | None]:
        key = id(call.layer)
        if key not in self._counterparts:
            self._counterparts[key] = self._make(call)
        return self._counterparts[key]

    def _make(self, call: Call) -> tuple[Any, str | None]:
        layer, settings, activation = call.layer, {}, None
        if hasattr(layer, "activation") and call.kind.startswith(_ACTIVATED_LAST):
            known = KERAS3 if call.generation == 3 else TF_KERAS
            name = getattr(layer.activation, "__name__", None)
            if name not in known:
                raise NoCounterpartError(f"its activation {name or layer.activation!r} is unknown")
            activation = known[name]
            if call.kind == "Activation":
                return _unchanged, activation
            settings = {"activation": "linear"}
        return make_counterpart(self.tf_keras, layer, call.generation, name=self.free_name(layer.name), **settings), activation


def _said(call: Call, reason: str, *, changes: bool) -> str:
    if not changes:
        return f"{call.path} ({call.kind}) is left out: it changes nothing at inference, and {reason}."
    held = "; its weights stay as they are" if getattr(call.layer, "weights", None) else ""
    return f"{call.path} ({call.kind}) is written out as the functions it calls: {reason}{held}."


def _unchanged(value: Any) -> Any:
    return value


def _input_name(model: Any) -> str:
    return _identifier(getattr(model.inputs[0], "name", None) or "image")


def _identifier(name: str) -> str:
    """A name TensorFlow takes as a scope."""
    text = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name.partition(":")[0])
    return text if text[:1].isalnum() else f"layer{text}"


def _proof_inputs(loaded: LoadedModel, images: np.ndarray | None) -> np.ndarray:
    random = loaded.image_spec.apply(synthetic_pixels(loaded.image_spec, _PROOF_IMAGES))
    return random if images is None else np.concatenate([random, np.asarray(images, np.float32)])


def _excuse(difference: float, each: list[_Difference]) -> str:
    """Why scores may differ by more than the tolerance.

    Deep networks amplify rounding, so that scores of the same layers may differ by more than each layer's: then every layer is held to
    the tolerance alone, on the inputs it has in the source model, and the scores to a wider one that no wrong connection would meet.

    Raises:
        StageError: they may not.
    """
    worst = next((item for item in each if not item.share <= TOLERANCE), max(each, key=lambda item: item.share))
    if not (worst.share <= TOLERANCE and difference <= AMPLIFIED):  # NaN as well
        raise StageError(
            f"a rebuilt model whose scores differ by at most {TOLERANCE:g} of the largest",
            f"{difference:.2g}; {worst.call.kind} {worst.call.path!r} alone differs by {worst.share:.2g} of its largest output",
            "replace that layer; the model can still be converted without compression",
        )
    return (
        f"The rebuilt model's scores differ by {difference:.1g} of the largest: it amplifies rounding. No layer alone differs by more "
        f"than {worst.share:.1g}."
    )


def relative_difference(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest difference of two arrays as a share of the largest expected value; infinite where their shapes differ."""
    if expected.shape != found.shape:
        return float("inf")
    largest = float(np.abs(expected).max(initial=0.0))
    return float(np.abs(found - expected).max(initial=0.0)) / max(largest, float(np.finfo(np.float32).tiny))


def _run(model: Any, inputs: np.ndarray) -> np.ndarray:
    call = require("tensorflow").function(lambda batch: model(batch, training=False), autograph=False)
    return np.concatenate([call(inputs[start : start + 32]).numpy() for start in range(0, len(inputs), 32)])


def _take_weights(counterpart: Any, layer: Any) -> None:
    values = layer.get_weights()
    if [value.shape for value in values] != [tuple(weight.shape) for weight in counterpart.weights]:
        raise NoCounterpartError("its weights have other shapes in tf_keras")
    counterpart.set_weights(values)


@dataclass(frozen=True)
class _Difference:
    """How far a call is from its rebuild on the inputs it has in the source model, as a share of its largest output."""

    call: Call
    share: float


def _wrong(each: list[_Difference]) -> dict[int, str]:
    """Layers whose counterparts compute something else, and how far off they are."""
    return {
        id(item.call.layer): "that of tf_keras gives another shape"
        if item.share == np.inf
        else f"that of tf_keras differs by {item.share:.2g} of its largest output"
        for item in each
        if not item.share <= TOLERANCE
    }


def _differences(loaded: LoadedModel, retracing: _Retracing, inputs: np.ndarray) -> list[_Difference]:
    """Every call's, in their order."""
    trace = iter(retracing.trace)
    differences: list[_Difference] = []

    def run(call: Call) -> Any:
        rebuilt, result = next(trace)
        mode = {"training": False} if call.takes_training else {}
        found = call.layer(*call.args, **{**call.kwargs, **mode})
        sources = [tensor for tensor in _flatten((rebuilt.args, rebuilt.kwargs)) if hasattr(tensor, "_keras_history")]
        values = [value for value in _flatten((call.args, call.kwargs)) if hasattr(value, "numpy")]
        if any(not tensor.shape.is_compatible_with(value.shape) for tensor, value in zip(sources, values, strict=True)):
            return found  # the layer before it makes another shape, and is among the differences
        results = retracing.tf_keras.layers.Activation("linear")
        alone = retracing.tf_keras.Model(sources, [results(tensor) for tensor in _flatten(result)])(values, training=False)
        pairs = zip(_flatten(found), _flatten(alone), strict=True)
        shares = [relative_difference(np.asarray(value), np.asarray(other)) for value, other in pairs]
        differences.append(_Difference(call, max(shares)))
        return found

    replay(loaded.model, [require("tensorflow").constant(inputs)], run)
    return differences


def _flatten(value: Any) -> list[Any]:
    return require("tensorflow").nest.flatten(value)
