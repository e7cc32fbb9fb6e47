"""A loaded classifier as layers of Keras 3, one after another without nesting, to put a new head on: of either Keras generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.data.synthetic import synthetic_pixels
from edgecls.errors import StageError, UnsupportedModelError
from edgecls.models.keras_graph import Call, replay
from edgecls.models.keras_model import cause_of, load_errors
from edgecls.models.loaded_model import LoadedModel
from edgecls.models.rebuild import AMPLIFIED, TOLERANCE, relative_difference
from edgecls.models.statistics import take_over_statistics
from edgecls.system.extras import require

_PROOF_IMAGES = 4
_DROPPED = {"dtype", "build_config", "quantization_config", "batch_input_shape", "batch_shape", "autocast", "jit_compile"}
_RENAMED: dict[str, dict[str, str]] = {"LeakyReLU": {"alpha": "negative_slope"}}
_PREFIX = "base_"
_REMEDY = "give a base whose layers are Keras's own, or name one of keras.applications"


@dataclass(frozen=True)
class FlatBase:
    """What a classifier computes before its head.

    Attributes:
        model: Keras 3 Functional model: its inputs [N, *input_shape] to the last feature map [N, h, w, c].
        layers: those that are called, in that order.
        cut: names of the layers that were its head.
    """

    model: Any
    layers: tuple[Any, ...]
    cut: tuple[str, ...]


def flat_base(loaded: LoadedModel) -> FlatBase:
    """The base of a classifier: everything up to its last feature map of more than one place.

    Raises:
        UnsupportedModelError: no layer graph, a layer that Keras 3 does not have, or no feature map.
        StageError: the layers of Keras 3 compute something else.
    """
    loaded.require_layers("a base of layers")
    keras = require("keras")
    inputs = keras.Input(loaded.image_spec.input_shape)
    trace = _Trace(keras)
    scores = replay(loaded.model, [inputs], trace.call)[loaded.output_index]
    _prove(loaded, _connected(keras, inputs, scores))
    maps = [place for place, (_, value) in enumerate(trace.made) if _is_map(value)]
    if not maps:
        raise UnsupportedModelError("a classifier with feature maps", f"{loaded.source.name}, which has none", _REMEDY)
    features = trace.made[maps[-1]][1]
    model = _connected(keras, inputs, features)
    used = {id(operation) for operation in model.operations}
    layers = [layer for layer, _ in trace.made[: maps[-1] + 1] if id(layer) in used]
    return FlatBase(model, tuple(dict.fromkeys(layers)), tuple(layer.name for layer, _ in trace.made[maps[-1] + 1 :]))


def resized(base: FlatBase, pixels: Any) -> tuple[Any, tuple[Any, ...]]:
    """The features of other Keras tensors [N, H, W, C], also of another size, and the layers that make them, with the base's weights.

    These are layers of their own: what is trained of one network changes neither the base nor another network of it, and their random
    generators begin as the seed at this moment says, not as it was when the file was read. They are called `base_…`: Keras calls the
    first of a kind alike in every session, and so those of a new head as those of an old base.

    Raises:
        UnsupportedModelError: its layers take images of its own size alone, or Keras makes no second ones of them.
    """
    copies: dict[int, Any] = {}
    names: set[str] = set()

    def call(one: Call) -> Any:
        is_new = id(one.layer) not in copies
        if is_new:
            copies[id(one.layer)] = _copy(one, names)
        layer = copies[id(one.layer)]
        result = layer(*one.args, **{**one.kwargs, **_mode(one)})
        if is_new:
            _give_weights(layer, one.layer)
        return result

    try:
        features = replay(base.model, [pixels], call)[0]
    except load_errors() as error:
        is_own_size = tuple(pixels.shape[1:3]) == tuple(base.model.inputs[0].shape[1:3])
        raise UnsupportedModelError(
            f"a base that takes images of {pixels.shape[1]}x{pixels.shape[2]}x{pixels.shape[3]}",
            cause_of(error),
            _REMEDY if is_own_size else "leave --size out",
        ) from error
    return features, tuple(copies.values())


def _connected(keras: Any, inputs: Any, outputs: Any) -> Any:
    """The model between them.

    Raises:
        UnsupportedModelError: Keras makes none of it, as of two layers of a class whose copies keep their name.
    """
    try:
        return keras.Model(inputs, outputs)
    except load_errors() as error:
        raise UnsupportedModelError("a base of layers that Keras 3 connects", cause_of(error), _REMEDY) from error


def _copy(call: Call, names: set[str]) -> Any:
    """A layer that computes what a call's does, without its weights; a Lambda, of which Keras makes no second one, stays."""
    if call.kind == "Lambda":
        return call.layer
    return _another(call, _unused(_PREFIX + call.layer.name.removeprefix(_PREFIX), names))


def _another(call: Call, name: str) -> Any:
    """A layer or operation of Keras 3 that computes what a call's does, under another name and without its weights."""
    kind = type(call.layer)
    if not call.is_operation:
        return kind.from_config({**call.layer.get_config(), "name": name})
    made = object.__new__(kind)  # most operations have no config, and copy.copy would have Keras save it as a model
    vars(made).update(vars(call.layer), name=name, _inbound_nodes=[], _outbound_nodes=[])
    return made


def _give_weights(layer: Any, source: Any) -> None:
    if getattr(layer, "weights", None):
        layer.set_weights(source.get_weights())
        take_over_statistics(layer._flatten_layers() if hasattr(layer, "_flatten_layers") else [layer])  # some hold others


def _unused(name: str, names: set[str]) -> str:
    """The name, with a number where another layer has it, which is then taken too: Keras wants one of its own for each."""
    found, count = name, 1
    while found in names:
        found, count = f"{name}_{count}", count + 1
    names.add(found)
    return found


def _mode(call: Call) -> dict[str, bool]:
    """BatchNorm of a base that is called with training=False stays so."""
    return {"training": False} if call.kind == "BatchNormalization" and call.training is False else {}


class _Trace:
    """Calls the Keras 3 layer of each layer, one for each however often it is called, and keeps what they made, in their order."""

    def __init__(self, keras: Any) -> None:
        self._keras = keras
        self._layers: dict[int, Any] = {}
        self._names: set[str] = set()
        self.made: list[tuple[Any, Any]] = []

    def call(self, call: Call) -> Any:
        try:
            layer = self._layer(call)
            before = not getattr(layer, "built", True)
            result = layer(*call.args, **{**call.kwargs, **_mode(call)})
            if layer is not call.layer and before:
                _give_weights(layer, call.layer)
        except load_errors() as error:
            found = f"{call.kind} {call.path!r}: {cause_of(error)[:200]}"
            raise UnsupportedModelError("a base of layers that Keras 3 has", found, _REMEDY) from error
        self.made.append((layer, result))
        return result

    def _layer(self, call: Call) -> Any:
        if id(call.layer) not in self._layers:
            self._layers[id(call.layer)] = self._own(call) if call.generation == 3 else self._of_keras_3(call)
        return self._layers[id(call.layer)]

    def _own(self, call: Call) -> Any:
        """A layer or operation of Keras 3 itself; one like it where another nested model has one of that name."""
        name = _unused(call.layer.name, self._names)
        return call.layer if name == call.layer.name else _another(call, name)

    def _of_keras_3(self, call: Call) -> Any:
        cls = getattr(self._keras.layers, call.kind, None)
        if cls is None or call.is_operation:
            raise UnsupportedModelError("a base of layers that Keras 3 has", f"{call.kind} {call.path!r}", _REMEDY)
        return cls.from_config(self._config(call))

    def _config(self, call: Call) -> dict[str, Any]:
        renamed = _RENAMED.get(call.kind, {})
        written: dict[str, Any] = call.layer.get_config()
        config = {renamed.get(name, name): value for name, value in written.items() if name not in _DROPPED}
        if call.kind == "DepthwiseConv2D":  # what Keras 2 wrote of every convolution
            config = {name: value for name, value in config.items() if name not in ("groups", "filters", "kernel_initializer")}
        if call.kind == "BatchNormalization" and isinstance(config.get("axis"), list | tuple):
            config["axis"] = config["axis"][0]
        config["name"] = _unused(config["name"].replace("/", "_"), self._names)
        return {key: value for key, value in config.items() if not key.endswith(("_regularizer", "_constraint"))}


def _is_map(value: Any) -> bool:
    shape = getattr(value, "shape", ())
    return len(shape) == 4 and shape[1] is not None and shape[1] * shape[2] > 1


def _prove(loaded: LoadedModel, model: Any) -> None:
    inputs = loaded.image_spec.apply(synthetic_pixels(loaded.image_spec, _PROOF_IMAGES))
    expected = loaded.predict(inputs)
    found = np.asarray(model(inputs, training=False)).reshape(expected.shape)
    difference = relative_difference(expected, found)
    if not difference <= AMPLIFIED:
        raise StageError(
            f"layers of Keras 3 that compute what {loaded.source.name} does, within {TOLERANCE:g} or what depth amplifies, {AMPLIFIED:g}",
            f"{difference:.2g} of the largest score",
            _REMEDY,
        )
