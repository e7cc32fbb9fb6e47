"""Quantization-aware training: a model that rounds as its int8 files will, so that training makes up for the rounding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecls.compression.batch_norm import Unfolded
from edgecls.compression.fake_quantization import (
    MOMENTUM,
    fixed_quantizer_class,
    normalised_class,
    quantized_class,
    quantizer_class,
)
from edgecls.compression.float_calls import check_names
from edgecls.compression.normalise import Normalised, normalise
from edgecls.compression.quantization_plan import Plan, plan_quantization
from edgecls.compression.strided import subsample_first
from edgecls.quantization.ranges import ESTIMATE, Range, ValueHistogram, sample_places
from edgecls.quantization.scales import float16_bias, settled_sum
from edgecls.records.recipe import QuantizationAwareTraining
from edgecls.system.extras import require
from edgecls.training.flat_graph import WEIGHTED, FlatGraph, Node, tensors_of


@dataclass(frozen=True)
class QatModel:
    """A model under quantization-aware training.

    Attributes:
        model: trainable tf_keras model of the same inputs and outputs as the float one, rounding inside.
        kernels: layer -> the float variable of its kernel, which is rounded when it is used. In the layout of the float layer, and
            before BatchNorm is folded into it.
        plan: what is rounded where, and what stays float and why.
        actions: layer of the model it was made of -> what was done about it before.
    """

    model: Any
    kernels: dict[str, Any]
    plan: Plan
    actions: dict[str, str]
    _normalised: Any = field(repr=False)
    _norms: frozenset[str] = field(repr=False)
    _quantizers: dict[int, Any] = field(repr=False)
    _momentum: Any = field(repr=False)

    def freeze_ranges(self) -> None:
        """Let the ranges of the activations stay as they are from now on."""
        self._momentum.assign(1.0)

    def settle(self) -> None:
        """After the last step: round biases to float16, and widen sums to scales at which the engines agree, as of any int8 file."""
        for name in self.kernels:
            layer = self.model.get_layer(name)
            if layer.use_bias:
                layer.bias.assign(float16_bias(layer.bias.numpy()))
        for first, second, total in self.plan.sums:
            if total not in self.plan.fixed:
                ranges = self.ranges()
                found = settled_sum(*(Range(*ranges[name]) for name in (first, second, total)))
                self._quantizers[self.plan.group[total]].fix(*found)

    def float_model(self) -> Any:
        """The same model with the trained weights and without rounding, as a tf_keras model of standard layers."""
        tf_keras = require("tf_keras")
        model = tf_keras.models.clone_model(self._normalised)
        for layer in model.layers:
            if layer.weights:
                trained = self.model.get_layer(layer.name)
                folds = layer.name in self._norms
                layer.set_weights(trained.folded() if folds else [value.numpy() for value in trained.weights])
        return model

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value of every int8 tensor, by the name of the call of the float model that makes it."""
        groups = {number: tuple(float(value) for value in quantizer.range()) for number, quantizer in self._quantizers.items()}
        found: dict[str, tuple[float, float]] = {}
        for tensor, site in self.plan.tensors().items():
            low, high = self.plan.fixed.get(site) or groups[self.plan.group[site]]
            found[tensor] = (low, high)
        return found


def prepare_qat(model: Any, recipe: QuantizationAwareTraining, calibration: Iterable[np.ndarray]) -> QatModel:
    """Make a model trainable with int8 rounding.

    Args:
        model: flat tf_keras model; it stays as it is.
        recipe: how ranges start and kernels are rounded.
        calibration: batches of model inputs [n, *input_shape], float32, that the ranges start from.

    Raises:
        RecipeError: layers to keep float that the model does not have.
    """
    normalised, plan = plan_qat(model, recipe)
    starts, extremes = _starting_ranges(normalised.model, plan, recipe, calibration)
    # With one scale for a whole kernel, a BatchNorm that goes on learning would change how it is rounded once folded.
    norms = {layer: norm for layer, norm in normalised.unfolded.items() if recipe.per_channel and layer not in plan.stays_float}
    builder = _Builder(normalised.model, plan, starts, extremes, norms, per_channel=recipe.per_channel)
    trainable = builder.run()
    return QatModel(
        model=trainable,
        kernels=builder.kernels,
        plan=plan,
        actions=normalised.actions,
        _normalised=normalised.model,
        _norms=frozenset(norms),
        _quantizers=builder.quantizers,
        _momentum=builder.momentum,
    )


def plan_qat(model: Any, recipe: QuantizationAwareTraining) -> tuple[Normalised, Plan]:
    """The model as int8 kernels can compute it, and where they round.

    Raises:
        RecipeError: as `prepare_qat`.
    """
    normalised = normalise(model)
    check_names(FlatGraph(normalised.model), recipe.keep_float, normalised.actions)
    return normalised, plan_quantization(normalised.model, recipe.keep_float)


class _Builder:
    """Goes through the normalised model once more with rounding kernels, and a quantizer behind every site."""

    def __init__(
        self, model: Any, plan: Plan, starts: Ranges, extremes: Ranges, norms: dict[str, Unfolded], *, per_channel: bool
    ) -> None:
        self.model, self.plan, self.norms, self.per_channel = model, plan, norms, per_channel
        self.momentum = require("tensorflow").Variable(MOMENTUM, trainable=False, name="momentum", dtype="float32")
        self.quantizers: dict[int, Any] = {}
        self.members: dict[str, int] = {}
        for number, sites in plan.members().items():
            self.members |= {site: member for member, site in enumerate(sites)}
            bounds = [np.array([ranges[site] for site in sites]) for ranges in (starts, extremes)]
            self.quantizers[number] = quantizer_class()(*bounds, self.momentum, name=f"quantizer_{number}")
        self.kernels: dict[str, Any] = {}
        self.made: dict[int, Any] = {}

    def run(self) -> Any:
        tf_keras = require("tf_keras")
        graph = FlatGraph(self.model)
        source = graph.inputs[0]
        image = tf_keras.Input(source.shape[1:], name=self.model.input_names[0], dtype=source.dtype)
        values = {id(source): self._rounded(source.name, image)}
        for node in graph.nodes:
            args, kwargs = node.called(values)
            results = require("tensorflow").nest.flatten(self._layer(node)(*args, **kwargs))
            values.update(zip(map(id, node.outputs), results, strict=True))
            if node.outputs[0] is not graph.outputs[0] or node.name not in self.plan.fixed:  # see logits_of in losses
                values[id(node.outputs[0])] = self._rounded(node.name, results[0])
        result = tf_keras.Model(image, values[id(graph.outputs[0])], name=self.model.name)
        subsample_first(result)
        for node in graph.nodes:
            if node.layer.weights:
                made = self.made[id(node.layer)]
                if node.name in self.norms:
                    made.float_kernel.assign(self.norms[node.name].kernel)
                else:
                    made.set_weights(node.layer.get_weights())
                if node.kind in WEIGHTED:
                    self.kernels[node.layer.name] = _kernel(made)
        return result

    def _layer(self, node: Node) -> Any:
        if id(node.layer) not in self.made:
            config = node.layer.get_config()
            if node.name in self.norms:
                made = normalised_class(node.kind).from_config(config)
                made.attach(self.norms[node.name].norm)
            elif node.kind in WEIGHTED and node.name not in self.plan.stays_float:
                made = quantized_class(node.kind, per_channel=self.per_channel).from_config(config)
            else:
                made = type(node.layer).from_config(config)
            self.made[id(node.layer)] = made
        return self.made[id(node.layer)]

    def _rounded(self, name: str, value: Any) -> Any:
        plan = self.plan
        if name in plan.fixed:
            return fixed_quantizer_class()(*plan.fixed[name], name=f"{_scope(name)}_fixed")(value)
        if name in self.members:
            return self.quantizers[plan.group[name]](value, member=self.members[name])
        site = plan.aliases.get(name)
        if name in plan.rounded_again and site in self.members:
            return self.quantizers[plan.group[str(site)]](value, member=self.members[str(site)], again=True)
        return value


Ranges = dict[str, tuple[float, float]]


def _starting_ranges(
    model: Any, plan: Plan, recipe: QuantizationAwareTraining, calibration: Iterable[np.ndarray]
) -> tuple[Ranges, Ranges]:
    """Range of every site on the calibration images, as estimated and as it is."""
    tf, tf_keras = require("tensorflow"), require("tf_keras")
    tensors = tensors_of(model)
    sites = [site for site in plan.sites if site not in plan.fixed]
    probe = tf_keras.Model(model.inputs, [tensors[site] for site in sites])

    @tf.function(reduce_retracing=True, autograph=False)
    def observe(batch: Any) -> list[tuple[Any, Any, Any]]:
        values = tf.nest.flatten(probe(batch, training=False))
        return [(tf.reduce_min(value), tf.reduce_max(value), _sample(tf, value)) for value in values]

    histograms = {site: ValueHistogram() for site in sites}
    for batch in calibration:
        for histogram, (low, high, sample) in zip(histograms.values(), observe(tf.constant(batch)), strict=True):
            histogram.add(float(low), float(high), sample.numpy())
    estimate = ESTIMATE[recipe.estimator]
    starts = {site: tuple(estimate(histogram)) for site, histogram in histograms.items()}
    return starts, {site: (histogram.low, histogram.high) for site, histogram in histograms.items()}  # type: ignore[return-value]


def _sample(tf: Any, value: Any) -> Any:
    """The same few values of each image."""
    elements = int(np.prod(value.shape[1:]))
    return tf.gather(tf.reshape(value, [-1, elements]), sample_places(elements), axis=1)


def _scope(name: str) -> str:
    return name.replace(":", "_")


def _kernel(layer: Any) -> Any:
    """The variable of a layer's kernel, whether it is rounded when it is used or not."""
    if hasattr(layer, "float_kernel"):
        return layer.float_kernel
    return layer.depthwise_kernel if type(layer).__name__ == "DepthwiseConv2D" else layer.kernel
