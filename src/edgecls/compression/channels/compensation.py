"""Compensation: kernels take from the channels that stay what those that go have told them.

The channels of a tensor are no strangers to one another: what one that goes would be at a place, those that stay there tell in part. The
best linear guess of it is a closed form of their moments on images (ridge regression), and a kernel that multiplied the channel
multiplies the guess instead. So the smaller model begins nearer to the whole one, and keeps more of what that has learned from data
which are not here any more and which training on a few images would not bring back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.compression.channels.passing import Cut
from edgecls.compression.channels.trace import Channels
from edgecls.system.extras import require
from edgecls.training.batch_norms import goes_by_batch
from edgecls.training.flat_graph import FlatGraph

_RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the mean variance of the channels that stay
_WIDEST = 4096  # channels: the moments of more would take longer than they are worth


@dataclass(frozen=True)
class _Taker:
    """A kernel that takes channels of which some go.

    Attributes:
        cut: its axis of inputs.
        tensors: those that its layer is called on.
        width: channels of a tensor. The axis is as long, or many times as long where pixels were laid out one behind the other.
        has_bias: whether it can add a constant that is right for every output.
        levelled: whether a BatchNorm behind it takes constants away.
    """

    cut: Cut
    tensors: list[Any]
    width: int
    has_bias: bool
    levelled: bool


@dataclass(frozen=True)
class _Moments:
    """What images tell of the channels of a tensor.

    Attributes:
        mean: [channels].
        square: covariances [channels, channels], or where no constant can be added the mean products.
    """

    mean: np.ndarray
    square: np.ndarray

    @classmethod
    def of(cls, sums: np.ndarray, *, centred: bool) -> _Moments:
        """Of sums of products of the channels and a constant 1 behind them, [channels + 1, channels + 1]."""
        mean = sums[-1, :-1] / sums[-1, -1]
        square = sums[:-1, :-1] / sums[-1, -1]
        return cls(mean, square - np.outer(mean, mean) if centred else square)

    def guess(self, kept: np.ndarray, ridge: float) -> np.ndarray:
        """How to guess the channels that go from those that stay, [kept, gone]."""
        known = self.square[np.ix_(kept, kept)]
        return np.linalg.solve(known + ridge * known.trace() / len(known) * np.eye(len(known)), self.square[np.ix_(kept, ~kept)])

    def error(self, kept: np.ndarray, guess: np.ndarray, weights: np.ndarray) -> float:
        """Mean square of what a kernel computes wrongly with a guess; `weights` [gone, gone] are the products of its own."""
        known, wanted = self.square[np.ix_(kept, kept)], self.square[np.ix_(kept, ~kept)]
        left = self.square[np.ix_(~kept, ~kept)] - 2 * guess.T @ wanted + guess.T @ known @ guess
        return float((left * weights).sum())


def compensate(model: Any, channels: Channels, stays: np.ndarray, batches: Iterable[np.ndarray]) -> None:
    """Change the kernels of a flat tf_keras model, in place, so that it computes nearly the same without the channels that go.

    Every other image fits, and the rest say how far the fit is to be believed: not at all where it tells nothing of them. With a single
    image nothing changes.

    Args:
        channels: of the model.
        stays: bool [channels.count].
        batches: model inputs [n, *input_shape], float32.
    """
    takers = list(_takers(model, channels, stays))
    tensors = {id(tensor): (tensor, taker.width) for taker in takers for tensor in taker.tensors}
    fitted, judged = _sums(model, tensors, batches) if tensors else ({}, {})
    if not all(sums[-1, -1] for sums in (*fitted.values(), *judged.values())):
        return  # fewer than two images
    for taker in takers:
        of_it = [np.sum([sums[id(tensor)] for tensor in taker.tensors], axis=0) for sums in (fitted, judged)]
        _take_over(taker, stays, *of_it)


def _takers(model: Any, channels: Channels, stays: np.ndarray) -> Iterator[_Taker]:
    """Kernels that mix their inputs, which neither depthwise ones nor those in groups do for all of them."""
    graph = FlatGraph(model)
    for cut in channels.cuts:
        layer = cut.layer
        if cut.makes or cut.weight != "kernel" or getattr(layer, "groups", 1) > 1 or stays[cut.units].all():
            continue
        nodes = [node for node in graph.nodes if node.layer is layer]
        width = _period(cut.units)
        if width > _WIDEST or getattr(layer, "data_format", None) == "channels_first":
            continue
        behind = [graph.sole_consumer(node.outputs[0], through_inert=False) for node in nodes]
        levelled = _is_even(layer) and all(taker is not None and goes_by_batch(taker.layer) for taker in behind)
        yield _Taker(cut, [node.inputs[0] for node in nodes], width, _is_whole(layer) and layer.use_bias, levelled)


def _is_even(layer: Any) -> bool:
    """Whether all outputs take the same places of a kernel, but for those at a border."""
    return "Transpose" not in type(layer).__name__


def _is_whole(layer: Any) -> bool:
    """Whether all outputs take all places of a kernel, at no border zeros in their stead."""
    padded = getattr(layer, "padding", "valid") != "valid" and any(size > 1 for size in layer.kernel_size)
    return _is_even(layer) and not padded


def _period(units: np.ndarray) -> int:
    """After how many places an axis begins anew: for each pixel of an image that was laid out flat, or each of several tensors with the
    same channels.
    """
    width = len(np.unique(units))
    return width if len(units) % width == 0 and (units.reshape(-1, width) == units[:width]).all() else len(units)


def _sums(model: Any, tensors: dict[int, tuple[Any, int]], batches: Iterable[np.ndarray]) -> tuple[dict[int, np.ndarray], ...]:
    """Of every other image and of the rest: tensor -> sums of products of its channels and a constant 1, [width + 1, width + 1]."""
    tf = require("tensorflow")
    opened = require("tf_keras").Model(model.inputs, [tensor for tensor, _ in tensors.values()])
    widths = [width for _, width in tensors.values()]

    @tf.function(reduce_retracing=True, autograph=False)
    def products(inputs: Any) -> list[Any]:
        rows = [tf.reshape(value, [-1, width]) for value, width in zip(tf.nest.flatten(opened(inputs)), widths, strict=True)]
        rows = [tf.concat([each, tf.ones_like(each[:, :1])], axis=1) for each in rows]
        return [tf.matmul(each, each, transpose_a=True) for each in rows]

    halves = [[np.zeros((width + 1, width + 1)) for width in widths] for _ in range(2)]
    seen = 0
    for inputs in batches:
        for number, half in enumerate(halves):
            if len(part := inputs[(number + seen) % 2 :: 2]):
                half[:] = [total + found.numpy() for total, found in zip(half, products(tf.constant(part)), strict=True)]
        seen += len(inputs)
    fitted, judged = (dict(zip(tensors, half, strict=True)) for half in halves)
    return fitted, judged


def _take_over(taker: _Taker, stays: np.ndarray, fitted: np.ndarray, judged: np.ndarray) -> None:
    """Spread what a kernel multiplies the channels that go with over those that stay."""
    layer, axis, kept = taker.cut.layer, taker.cut.axis, stays[taker.cut.units[: taker.width]]
    kernel = np.moveaxis(layer.kernel.numpy().astype(np.float64), axis, 0)
    parts = kernel.reshape(-1, taker.width, kernel[0].size)  # [pixels, channels, weights of each]
    gone = parts[:, ~kept]
    centred = taker.has_bias or taker.levelled
    moments = _Moments.of(fitted + judged, centred=centred)
    halves = [_Moments.of(sums, centred=centred) for sums in (fitted, judged)]
    ridge = _best_ridge(halves, kept, np.einsum("pgw,phw->gh", gone, gone))
    guess = moments.guess(kept, ridge) if ridge else np.zeros((kept.sum(), (~kept).sum()))
    parts[:, kept] += np.einsum("kg,pgw->pkw", guess, gone)
    layer.kernel.assign(np.moveaxis(parts.reshape(kernel.shape), 0, axis).astype(np.float32))
    if taker.has_bias:
        told = np.einsum("g,pgw->w", moments.mean[~kept] - moments.mean[kept] @ guess, gone)
        layer.bias.assign_add(told.reshape(-1, layer.bias.shape[0]).sum(axis=0).astype(np.float32))


def _best_ridge(halves: list[_Moments], kept: np.ndarray, weights: np.ndarray) -> float | None:
    """The ridge whose fit to one half of the images tells most of the other; None where no guess is better than the mean."""
    fitted, judged = halves
    if not fitted.square[np.ix_(kept, kept)].trace() > 0:
        return None
    errors = {ridge: judged.error(kept, fitted.guess(kept, ridge), weights) for ridge in _RIDGES}
    best = min(errors, key=errors.__getitem__)
    nothing = np.zeros((kept.sum(), (~kept).sum()))
    return best if errors[best] < judged.error(kept, nothing, weights) else None
