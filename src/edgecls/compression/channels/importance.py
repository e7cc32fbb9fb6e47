"""Importance: what the loss of each channel costs, normalised by layer and summed over all layers that it goes through.

The first-order Taylor expansion of a loss: a channel x of an image that becomes 0 changes the loss by about -x · dloss/dx, summed over
its positions (Molchanov et al., arXiv 1611.06440); the sizes of that are averaged over images. The tensors are those that kernels take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from edgecls.compression.channels.passing import Read
from edgecls.compression.channels.trace import Channels
from edgecls.records.artifact import OutputKind
from edgecls.system.extras import require
from edgecls.training.losses import is_binary, logits_of, targets_of

_FAR = 1e9  # a logit so much lower takes no part in a softmax
Loss = Callable[[Any, Any], Any]  # of a model's scores and the labels, the mean over images


def loss_of(kind: OutputKind, outputs: int) -> Loss:
    """The log-odds against the labels: the loss that is trained with has no slope left on images that are answered well."""
    tf = require("tensorflow")

    def against(scores: Any, labels: Any) -> Any:
        logits = logits_of(scores, kind)
        if is_binary(kind, outputs):
            return tf.reduce_mean(tf.reduce_sum((1 - 2 * targets_of(tf, labels, outputs)) * logits, axis=-1))
        labelled = tf.one_hot(labels, outputs)
        others = tf.reduce_logsumexp(logits - _FAR * labelled, axis=-1)
        return tf.reduce_mean(others - tf.reduce_sum(logits * labelled, axis=-1))

    return against


def taylor(model: Any, channels: Channels, batches: Iterable[tuple[np.ndarray, np.ndarray]], loss: Loss) -> np.ndarray:
    """First-order Taylor importance on labelled model inputs, [channels.count]."""
    tf = require("tensorflow")
    reads = list({id(read.tensor): read for read in channels.reads}.values())
    opened = require("tf_keras").Model(model.inputs, [*(read.tensor for read in reads), model.outputs[0]])

    @tf.function(reduce_retracing=True, autograph=False)
    def effects(inputs: Any, labels: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            *tensors, scores = opened(inputs, training=False)
            whole = loss(scores, labels) * tf.cast(tf.shape(inputs)[0], tf.float32)
        gradients = tape.gradient(whole, tensors, unconnected_gradients="zero")
        return [_effect(tf, *one, channels.count) for one in zip(reads, tensors, gradients, strict=True)]

    sums = [np.zeros(channels.count) for _ in reads]
    for inputs, labels in batches:
        sums = [
            total + found.numpy() for total, found in zip(sums, effects(tf.constant(inputs), tf.constant(labels)), strict=True)
        ]
    return _summed(channels, sums)


def _effect(tf: Any, read: Read, values: Any, gradients: Any, count: int) -> Any:
    """How much the loss changes without each channel, added over the images, [count]."""
    if read.lane.stays:
        return tf.zeros(count)
    rank, axis = len(values.shape), read.lane.axis % len(values.shape)
    each = tf.reduce_sum(values * gradients, [place for place in range(1, rank) if place != axis])
    return tf.reduce_sum(tf.abs(tf.math.unsorted_segment_sum(tf.transpose(each), read.lane.units, count)), axis=1)


def magnitude(channels: Channels) -> np.ndarray:
    """The norm of the weights that make each channel, [channels.count]."""
    return _summed(channels, _kernel_norms(channels))


def _kernel_norms(channels: Channels) -> Iterator[np.ndarray]:
    for cut in channels.cuts:
        if cut.makes:
            values = np.moveaxis(getattr(cut.layer, cut.weight).numpy(), cut.axis, 0)
            each = np.square(values).reshape(len(cut.units), -1).sum(axis=1)
            yield np.sqrt(np.bincount(cut.units, each, channels.count))


def batch_norm_scale(channels: Channels) -> np.ndarray:
    """The size of the BatchNorms' factors of each channel, [channels.count]; infinite where there are none."""
    found = [cut for cut in channels.cuts if cut.weight == "gamma" and "BatchNorm" in type(cut.layer).__name__]
    sizes = [np.bincount(cut.units, np.abs(cut.layer.gamma.numpy()), channels.count) for cut in found]
    scaled = np.isin(np.arange(channels.count), np.concatenate([cut.units for cut in found] or [np.zeros(0)]))
    return np.where(scaled, _summed(channels, sizes), np.inf)


def _summed(channels: Channels, layers: Iterable[np.ndarray]) -> np.ndarray:
    """The sum of what several layers tell of the channels, each divided by its norm."""
    total = np.zeros(channels.count)
    for values in layers:
        values[0] = 0.0  # what stays anyway
        norm = float(np.linalg.norm(values))
        total += values / norm if norm else values
    return total
