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
from edgecls.training.losses import is_binary, label_loss, logits_of

_TEMPERATURE = 4.0  # of the answers that are drawn: at 1 a network that is sure of itself gives the same one always
Loss = Callable[[Any, Any], Any]  # of a model's scores and Gumbel noise [2, n, outputs], the mean over images


def loss_of(kind: OutputKind, outputs: int) -> Loss:
    """The cross-entropy against answers that are drawn from the model's own softened scores.

    Its gradients squared are, on the mean, the curvature of how far the scores move (the Fisher information), which labels do not tell: the
    loss of a trained network has no slope on images that are answered well, and the log-odds of the label alone miss what belongs to
    the other classes.
    """
    tf = require("tensorflow")

    def against(scores: Any, noise: Any) -> Any:
        logits = logits_of(scores, kind) / _TEMPERATURE
        if is_binary(kind, outputs):
            answers = tf.cast(logits + noise[0] - noise[1] > 0, tf.float32)
        else:
            answers = tf.argmax(logits + noise[0], axis=-1)
        return label_loss(logits, tf.stop_gradient(answers), kind, outputs)

    return against


def taylor(model: Any, channels: Channels, batches: Iterable[np.ndarray], loss: Loss, seed: int = 0) -> np.ndarray:
    """First-order Taylor importance on model inputs, [channels.count].

    Args:
        seed: of the answers that are drawn.
    """
    tf = require("tensorflow")
    reads = channels.reads
    opened = require("tf_keras").Model(model.inputs, [*(read.tensor for read in reads), model.outputs[0]])

    @tf.function(reduce_retracing=True, autograph=False)
    def effects(inputs: Any, noise: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            *tensors, scores = opened(inputs, training=False)
            whole = loss(scores, noise) * tf.cast(tf.shape(inputs)[0], tf.float32)
        gradients = tape.gradient(whole, tensors, unconnected_gradients="zero")
        return [_effect(tf, *one, channels.count) for one in zip(reads, tensors, gradients, strict=True)]

    sums, generator = [np.zeros(channels.count) for _ in reads], np.random.default_rng(seed)
    for inputs in batches:
        noise = generator.gumbel(size=(2, len(inputs), model.outputs[0].shape[-1])).astype(np.float32)
        found = effects(tf.constant(inputs), tf.constant(noise))
        sums = [total + values.numpy() for total, values in zip(sums, found, strict=True)]
    return _summed(channels, sums)


def _effect(tf: Any, read: Read, values: Any, gradients: Any, count: int) -> Any:
    """How much the loss changes without each channel, added over the images, [count]."""
    if read.lane.stays:
        return tf.zeros(count)
    rank, axis = len(values.shape), read.lane.axis % len(values.shape)
    if read.levelled:  # what is the same everywhere, a BatchNorm takes away again
        values -= tf.reduce_mean(values, [place for place in range(rank) if place != axis], keepdims=True)
    each = tf.reduce_sum(values * gradients, [place for place in range(1, rank) if place != axis])
    return tf.reduce_sum(tf.abs(tf.math.unsorted_segment_sum(tf.transpose(each), read.lane.units, count)), axis=1)


def magnitude(channels: Channels) -> np.ndarray:
    """The norm of the weights that make each channel, [channels.count]."""
    return _summed(channels, _kernel_norms(channels))


def at_random(channels: Channels, seed: int | list[int]) -> np.ndarray:
    """Chance, normalised as the others are, [channels.count]."""
    generator = np.random.default_rng(seed)
    made = [np.bincount(cut.units, minlength=channels.count) > 0 for cut in channels.cuts if cut.makes]
    return _summed(channels, (places * generator.uniform(size=channels.count) for places in made))


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
    """The sum of what several layers tell of the channels, each as shares of what it has to lose.

    So a group weighs as much as layers take it: one that many add to, as those along a residual network, more than one between two kernels.
    """
    total = np.zeros(channels.count)
    for values in layers:
        values[0] = 0.0  # what stays anyway
        whole = float(values.sum())
        total += values / whole if whole else values
    return total
