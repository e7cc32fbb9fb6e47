"""Normalisation: a flat tf_keras model rewritten, without changing what it computes, into operations that int8 kernels have.

BatchNorm, Rescaling, Normalization and LayerScale are all x * scale + shift for each channel. Such a step is folded into the weights of
the layer before it or after it where that is exact, else it becomes a 1x1 depthwise convolution with bias. SeparableConv2D becomes its
two convolutions, swish its sigmoid and product, a global maximum a pooling. Factors and summands of a LayerNormalization go into the Dense
behind it, where TensorFlow Lite puts them. The scale of a BatchNorm behind a ReLU goes before it, where `models.relu_scales` puts it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecls.compression.batch_norm import BatchNorm, Unfolded, batch_norm_of, scale_outputs
from edgecls.quantization.scales import is_clustered
from edgecls.system.extras import require
from edgecls.training.flat_graph import WEIGHTED, FlatGraph, Node

_BATCH_NORMS = ("BatchNormalization", "SyncBatchNormalization")
_POOLINGS = ("MaxPooling2D", "AveragePooling2D")  # a factor above 0 may as well come before them
_SWISH = ("swish", "silu")
_SWISH_FUNCTIONS = ("nn.silu", "nn.swish")


@dataclass(frozen=True)
class ChannelFactors:
    """x * scale + shift over the last axis; both [channels], float64."""

    scale: np.ndarray
    shift: np.ndarray

    def after(self, first: ChannelFactors) -> ChannelFactors:
        """Both steps as one."""
        return ChannelFactors(first.scale * self.scale, first.shift * self.scale + self.shift)


@dataclass(frozen=True)
class _Following:
    """The affine steps behind a layer as one, and the BatchNorm that they begin with, if they do."""

    affine: ChannelFactors
    norm: BatchNorm | None


@dataclass(frozen=True)
class Normalised:
    """What came of it.

    Attributes:
        model: flat tf_keras model that computes the same.
        actions: layer of the given model -> what was done about it, for those that did not stay as they are.
        unfolded: layer of `model` -> what it was before the BatchNorm behind it was folded into it.
    """

    model: Any
    actions: dict[str, str] = field(default_factory=dict)
    unfolded: dict[str, Unfolded] = field(default_factory=dict)


def normalise(model: Any) -> Normalised:
    """Rewrite a flat tf_keras model; the given one stays as it is."""
    return _Normaliser(model).run()


class _Normaliser:
    def __init__(self, model: Any) -> None:
        self.tf_keras = require("tf_keras")
        self.layers = self.tf_keras.layers
        self.model, self.graph = model, FlatGraph(model)
        self.values: dict[int, Any] = {}
        self.pending: dict[int, ChannelFactors] = {}  # tensor -> what its taker still has to apply to it
        self.folded: dict[str, str] = {}  # calls that are part of the layer before them
        self.scaled: dict[
            str, ChannelFactors
        ] = {}  # calls of a BatchNorm behind a ReLU -> takes back what the layer before it took over
        self.made: dict[tuple[int, int], Any] = {}
        self.weights: list[tuple[Any, list[np.ndarray]]] = []
        self.actions: dict[str, str] = {}
        self.unfolded: dict[str, Unfolded] = {}

    def run(self) -> Normalised:
        source = self.graph.inputs[0]
        self.values[id(source)] = self.tf_keras.Input(source.shape[1:], name=self.model.input_names[0], dtype=source.dtype)
        image = self.values[id(source)]
        for node in self.graph.nodes:
            self._emit(node)
        result = self.tf_keras.Model(image, self.values[id(self.graph.outputs[0])], name=self.model.name)
        for layer, values in self.weights:
            layer.set_weights(values)
        return Normalised(result, self.actions, self.unfolded)

    def _emit(self, node: Node) -> None:
        affine = affine_of(node)
        if node.name in self.folded:
            self._pass(node)
        elif affine is not None:
            self._affine(node, affine)
        elif node.kind in WEIGHTED or node.kind == "SeparableConv2D":
            self._weighted(node)
        elif node.is_inert:
            self._copy(node)
            if id(node.inputs[0]) in self.pending:
                self.pending[id(node.outputs[0])] = self.pending[id(node.inputs[0])]
        elif node.activation in _SWISH or node.kind in _SWISH_FUNCTIONS:
            value, name = self.values[id(node.inputs[0])], _layer_name(node)
            gate = self.layers.Activation("sigmoid", name=f"{name}_sigmoid")(value)
            self._set(node, self.layers.Multiply(name=name)([value, gate]))
            self.actions[node.name] = "written as x * sigmoid(x)"
        elif node.kind == "GlobalMaxPooling2D":
            self._global_maximum(node)
        elif node.kind == "LayerNormalization" and (taker := self._dense_behind(node)):
            self._plain_normalisation(node, taker)
        else:
            self._copy(node)

    def _copy(self, node: Node) -> None:
        """The same layer with the same weights, a copy of its own."""
        key = id(node.layer), 0
        if key not in self.made:
            copy = type(node.layer).from_config(node.layer.get_config())
            self.made[key] = copy
            self.weights += [(copy, node.layer.get_weights())] if node.layer.weights else []
        args, kwargs = node.called(self.values)
        results = self.made[key](*args, **kwargs)
        for tensor, value in zip(node.outputs, require("tensorflow").nest.flatten(results), strict=True):
            self.values[id(tensor)] = value

    def _pass(self, node: Node) -> None:
        self.values[id(node.outputs[0])] = self.values[id(node.inputs[0])]
        self.actions[node.name] = self.folded[node.name]

    def _set(self, node: Node, value: Any) -> None:
        self.values[id(node.outputs[0])] = value

    def _affine(self, node: Node, affine: ChannelFactors) -> None:
        before = self.pending.get(id(node.inputs[0])) or self.scaled.get(node.name)
        affine = affine.after(before) if before else affine
        taker = self.graph.sole_consumer(node.outputs[0])
        if taker is not None and (affine_of(taker) is not None or _takes(taker, affine)):
            self._set(node, self.values[id(node.inputs[0])])
            self.pending[id(node.outputs[0])] = affine
            self.actions[node.name] = f"folded into {taker.name}, after it"
            return
        name = _layer_name(node)
        self._set(node, self._depthwise(name, self.values[id(node.inputs[0])], affine))
        if node.kind in _BATCH_NORMS:
            norm, kernel = batch_norm_of(node.layer), before.scale if before else np.ones_like(affine.scale)
            self.unfolded[name] = Unfolded(kernel.reshape(1, 1, -1, 1), norm.without(before.shift) if before else norm)
        self.actions[node.name] = "becomes a 1x1 depthwise convolution"

    def _depthwise(self, name: str, value: Any, affine: ChannelFactors) -> Any:
        shape = tuple(value.shape[1:])
        layer = self.layers.DepthwiseConv2D(1, name=name)
        self.weights.append((layer, [affine.scale.reshape(1, 1, -1, 1), affine.shift]))
        if len(shape) == 3:
            return layer(value)
        image = self.layers.Reshape((1, *(1,) * (2 - len(shape)), *shape), name=f"{name}_as_image")(value)
        return self.layers.Reshape(shape, name=f"{name}_as_before")(layer(image))

    def _weighted(self, node: Node) -> None:
        before, (after, last) = self.pending.get(id(node.inputs[0])), self._following(node)
        size = self._scale_behind_relu(node, last)
        if before is None and after is None and size is None and node.kind != "SeparableConv2D":
            self._copy(node)
            return
        value = self.values[id(node.inputs[0])]
        parts = _parts(node.layer)
        for index, part in enumerate(parts):
            if index == 0 and before is not None:
                part.take_before(before)
            if index == len(parts) - 1 and after is not None:
                if after.norm is not None:
                    norm = after.norm if size is None else after.norm.followed_by(size, np.zeros_like(size))
                    self.unfolded[part.config["name"]] = Unfolded(part.kernel, norm.without(part.bias))
                part.take_after(after.affine)
            if index == len(parts) - 1 and size is not None:
                part.take_after(ChannelFactors(size, np.zeros_like(size)))
            made = self.made.get((id(node.layer), index))
            if made is None:
                made = self.made[id(node.layer), index] = getattr(self.layers, part.kind).from_config(part.config)
                self.weights.append((made, part.weights))
            value = made(value)
        self._set(node, value)
        if len(parts) > 1:
            self.actions[node.name] = f"becomes {' and '.join(part.config['name'] for part in parts)}"

    def _following(self, node: Node) -> tuple[_Following | None, Any]:
        """The affine steps right behind a layer, now part of it, and the tensor they make."""
        found = None
        tensor = node.outputs[0]
        while node.calls == 1:
            taker = self.graph.sole_consumer(tensor, through_inert=False)
            step = affine_of(taker) if taker is not None else None
            if taker is None or step is None:
                break
            if found is None:
                found = _Following(step, batch_norm_of(taker.layer) if taker.kind in _BATCH_NORMS else None)
            else:
                norm = found.norm.followed_by(step.scale, step.shift) if found.norm else None
                found = _Following(step.after(found.affine), norm)
            self.folded[taker.name] = f"folded into {node.name}, before it"
            tensor = taker.outputs[0]
        return found, tensor

    def _scale_behind_relu(self, node: Node, tensor: Any) -> np.ndarray | None:
        """The size of the scale that a BatchNorm behind the ReLU of a layer has, for the layer to take: relu(x) * s = relu(x * |s|) * ±1.

        Channels then come to int8 as even as the BatchNorm makes them. A clustered kernel keeps its few values.
        """
        relu = self.graph.sole_consumer(tensor)
        if node.calls != 1 or relu is None or not _is_plain_relu(relu):
            return None
        taker = self.graph.sole_consumer(relu.outputs[0])
        while taker is not None and taker.kind in _POOLINGS:
            taker = self.graph.sole_consumer(taker.outputs[0])
        if taker is None or taker.kind not in _BATCH_NORMS or (affine := affine_of(taker)) is None:
            return None
        if is_clustered(_parts(node.layer)[-1].kernel):
            return None
        size = np.where(affine.scale == 0, 1.0, np.abs(affine.scale))
        self.scaled[taker.name] = ChannelFactors(1 / size, np.zeros_like(size))
        return size

    def _dense_behind(self, node: Node) -> Node | None:
        """The Dense that alone takes what a LayerNormalization of the last axis makes."""
        taker = self.graph.sole_consumer(node.outputs[0])
        last = list(node.layer.axis) in ([-1], [len(node.outputs[0].shape) - 1])
        return taker if last and taker is not None and taker.kind == "Dense" and taker.calls == node.calls == 1 else None

    def _plain_normalisation(self, node: Node, taker: Node) -> None:
        layer, channels = node.layer, node.outputs[0].shape[-1]
        scale = layer.gamma.numpy().astype(np.float64) if layer.scale else np.ones(channels)
        shift = layer.beta.numpy().astype(np.float64) if layer.center else np.zeros(channels)
        plain = type(layer).from_config({**layer.get_config(), "scale": False, "center": False})
        self._set(node, plain(self.values[id(node.inputs[0])]))
        self.pending[id(node.outputs[0])] = ChannelFactors(scale, shift)
        self.actions[node.name] = f"its factors and summands are folded into {taker.name}, after it"

    def _global_maximum(self, node: Node) -> None:
        value, name = self.values[id(node.inputs[0])], _layer_name(node)
        pooled = self.layers.MaxPooling2D(value.shape[1:3], name=f"{name}_pool")(value)
        self._set(node, self.layers.Reshape(node.outputs[0].shape[1:], name=name)(pooled))
        self.actions[node.name] = "becomes a pooling over the whole image"


def _layer_name(node: Node) -> str:
    """Of a layer that a call becomes: TensorFlow has no colon in names, which stands before the number of a shared layer's call."""
    return node.name.replace(":", "_call_")


def affine_of(node: Node) -> ChannelFactors | None:
    """What a call computes as x * scale + shift over the last axis; None where it is something else."""
    layer, kind = node.layer, node.kind
    channels = next(iter(node.outputs[0].shape[-1:]), 0)  # a number alone, as a size that is computed, has none
    if kind in _BATCH_NORMS:
        if list(layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]) not in (
            [-1],
            [len(node.outputs[0].shape) - 1],
        ):
            return None
        norm = batch_norm_of(layer)
        return ChannelFactors(norm.scale, norm.shift)
    if kind == "Rescaling":
        return ChannelFactors(
            *(np.broadcast_to(np.asarray(value, np.float64), (channels,)) for value in (layer.scale, layer.offset))
        )
    if kind == "Normalization" and not layer.invert and _size(layer.mean) in (1, channels):
        mean, variance = (np.asarray(value, np.float64).reshape(-1) for value in (layer.mean, layer.variance))
        scale = np.broadcast_to(1.0 / np.maximum(np.sqrt(variance), 1e-7), (channels,))
        return ChannelFactors(scale, -mean * scale)
    if kind == "LayerScale":
        return ChannelFactors(layer.gamma.numpy().astype(np.float64), np.zeros(channels))
    return None


def _is_plain_relu(node: Node) -> bool:
    if node.kind == "ReLU":
        return node.layer.max_value is None and not node.layer.negative_slope and not node.layer.threshold
    return node.activation == "relu" or node.kind == "nn.relu"


def _size(value: Any) -> int:
    return int(np.size(np.asarray(value)))


def _takes(node: Node, affine: ChannelFactors) -> bool:
    """Whether a layer computes the same when its weights take an affine step on its input: zeros padded around it must not need one."""
    layer = node.layer
    if node.calls != 1 or getattr(layer, "groups", 1) != 1 or node.kind not in (*WEIGHTED, "SeparableConv2D"):
        return False
    if node.kind == "Dense":
        return True
    padded = layer.padding != "valid" and tuple(layer.kernel_size) != (1, 1)
    return node.kind != "Conv2DTranspose" and not (padded and np.any(affine.shift))


class _Part:
    """One layer with weights that takes up affine steps.

    The kernel is seen as [..., inputs, outputs]; of a depthwise convolution as [..., inputs, multiplier].
    """

    def __init__(self, kind: str, config: dict[str, Any], kernel: np.ndarray, bias: np.ndarray | None) -> None:
        self.kind, self.config = kind, {**config, "use_bias": True}
        self.depthwise = kind == "DepthwiseConv2D"
        self.kernel = kernel.astype(np.float64)
        outputs = kernel.shape[-2] * kernel.shape[-1] if self.depthwise else kernel.shape[-2 if kind == "Conv2DTranspose" else -1]
        self.bias = np.zeros(outputs) if bias is None else bias.astype(np.float64)

    @property
    def weights(self) -> list[np.ndarray]:
        return [self.kernel, self.bias]

    def take_before(self, affine: ChannelFactors) -> None:
        """y = K (x * scale + shift) + b."""
        shifted = self.kernel * affine.shift[:, None]
        spatial = tuple(range(self.kernel.ndim - 2))
        self.bias = self.bias + (shifted.sum(axis=spatial).ravel() if self.depthwise else shifted.sum(axis=(*spatial, -2)))
        self.kernel = self.kernel * affine.scale[:, None]

    def take_after(self, affine: ChannelFactors) -> None:
        """y = (K x + b) * scale + shift."""
        self.kernel = scale_outputs(self.kernel, self.kind, affine.scale)
        self.bias = self.bias * affine.scale + affine.shift


def _parts(layer: Any) -> list[_Part]:
    """The layer, or the two that a separable convolution is."""
    config = layer.get_config()
    bias = layer.bias.numpy() if layer.use_bias else None
    kind = type(layer).__name__
    if kind != "SeparableConv2D":
        return [_Part(kind, config, (layer.depthwise_kernel if kind == "DepthwiseConv2D" else layer.kernel).numpy(), bias)]
    spatial = {name: config[name] for name in ("kernel_size", "strides", "padding", "data_format", "dilation_rate", "trainable")}
    first = {**spatial, "name": f"{layer.name}_depthwise", "depth_multiplier": layer.depth_multiplier}
    second = {"name": f"{layer.name}_pointwise", "filters": layer.filters, "kernel_size": 1, "trainable": layer.trainable}
    depthwise = _Part("DepthwiseConv2D", first, layer.depthwise_kernel.numpy(), None)
    return [depthwise, _Part("Conv2D", second, layer.pointwise_kernel.numpy(), bias)]
