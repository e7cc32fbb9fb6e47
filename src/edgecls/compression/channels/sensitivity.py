"""Sensitivity: how far a model's scores move without some channels of each group, by execution.

An importance tells the channels of one layer apart; it is no measure of one layer beside another. So some channels of each group are set
to zero, the least important ones, with BatchNorms that go by the batch, as they will once channels are gone (the sensitivity of layers, Li
et al., arXiv 1608.08710, in divergence in the place of accuracy, which few images measure coarsely).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import numpy as np

from edgecls.compression.channels.ranking import strain
from edgecls.compression.channels.statistics import mode_of, still_statistics
from edgecls.compression.channels.trace import Channels
from edgecls.records.artifact import OutputKind
from edgecls.records.recipe import Distillation
from edgecls.system.extras import require
from edgecls.training.flat_graph import FlatGraph
from edgecls.training.losses import distillation_loss, logits_of

_SOFTENED = Distillation(temperature=4.0)
_PART = 1 / 4  # of the channels of a group
_LEAST_GONE = 0.01  # of a group's importance: a part that is dead tells nothing about the others
_LEAST_MOVED = 1e-9  # what single precision rounds of a divergence
_CALLS = 128  # of the model at most, but for one batch for each group
_LONGEST = 4  # batches


def weighed(model: Any, channels: Channels, scores: np.ndarray, batches: Iterable[np.ndarray], kind: OutputKind) -> np.ndarray:
    """Importances that are comparable across groups, [channels.count]: in each group they keep their order and their proportions.

    Args:
        model: flat tf_keras model.
        scores: importances within each group, [channels.count]; what is infinite stays so, and is no part of what its group can lose.
        batches: model inputs [n, *input_shape], of which the first few are taken.
    """
    members = [group.channels[np.isfinite(scores[group.channels])] for group in channels.groups]
    parts = [_least(able, scores) for able in members]
    masks = [_without(channels, part) for part in parts]
    count = min(max(_CALLS // max(len(masks), 1), 1), _LONGEST)
    moved = divergences(model, channels, islice(batches, count), masks, kind)
    found = scores.copy()
    for able, part, distance in zip(members, parts, moved, strict=True):
        whole, gone = scores[able].sum(), scores[part].sum()
        if 0 < gone < whole:
            found[able] *= max(distance, _LEAST_MOVED) / strain(gone / whole) / whole
    return found


def _least(members: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The least important channels of a group: a part of them, more where these carry next to nothing, never all."""
    order = members[np.argsort(scores[members], kind="stable")]
    carried = np.cumsum(scores[order])
    enough = int(np.searchsorted(carried, _LEAST_GONE * scores[order].sum())) + 1
    return order[: min(max(round(_PART * len(order)), enough), max(len(order) - 1, 0))]


def _without(channels: Channels, gone: np.ndarray) -> np.ndarray:
    mask = np.ones(channels.count, np.float32)
    mask[gone] = 0
    return mask


def divergences(
    model: Any, channels: Channels, batches: Iterable[np.ndarray], masks: list[np.ndarray], kind: OutputKind
) -> np.ndarray:
    """How far the softened scores move with each mask, [masks]: the Kullback-Leibler divergence, mean over the images.

    Args:
        masks: [channels.count] of 0 and 1: what kernels take of a channel is multiplied with it.
    """
    tf = require("tensorflow")
    logits = tf.function(_masked(model, channels, kind), reduce_retracing=True, autograph=False)
    whole = np.ones(channels.count, np.float32)
    found = []
    with still_statistics(model):
        for inputs in map(tf.constant, batches):
            expected, *others = (logits(inputs, tf.constant(mask)) for mask in (whole, *masks))
            found.append([float(distillation_loss(other, expected, kind, expected.shape[-1], _SOFTENED)) for other in others])
    return np.mean(found, axis=0) if found else np.zeros(len(masks))


def _masked(model: Any, channels: Channels, kind: OutputKind) -> Callable[[Any, Any], Any]:
    """The model's logits of inputs and a mask of channels."""
    tf, graph = require("tensorflow"), FlatGraph(model)
    lanes = {id(read.tensor): read.lane for read in channels.reads if not read.lane.stays}

    def masked(tensor: Any, value: Any, mask: Any) -> Any:
        lane = lanes.get(id(tensor))
        return value if lane is None else value * tf.reshape(tf.gather(mask, lane.units), [-1, *(1,) * (-lane.axis - 1)])

    def logits(inputs: Any, mask: Any) -> Any:
        values = {id(graph.inputs[0]): inputs}
        for node in graph.nodes:
            args, kwargs = node.called(values)
            results = tf.nest.flatten(node.layer(*args, **mode_of(node, kwargs)))
            values.update((id(tensor), masked(tensor, value, mask)) for tensor, value in zip(node.outputs, results, strict=True))
        return logits_of(values[id(graph.outputs[0])], kind)

    return logits
