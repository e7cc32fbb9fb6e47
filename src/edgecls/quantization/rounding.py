"""Rounding that looks at the data: int8 codes of weights that change a layer's output least on the calibration images.

Each weight rounded to the nearest code has the least error of its own, not the layer. For outputs y = W x the mean squared error of codes
Q in steps s is (W - s Q) H (W - s Q)ᵀ with the second moments H of x, here about its mean: what a layer's mean output is off by the bias
takes back (`bias_correction`). Column by column each weight is rounded and its error passed on to the weights that are not yet rounded, in
the shares that the inverse of H gives: optimal brain quantization (Frantar and Alistarh 2022, arXiv 2208.11580) in the closed form of GPTQ
(Frantar et al. 2022, arXiv 2210.17323). Where at most EXACT weights make an output, as in a depthwise convolution, every choice between
the two codes next to each weight is tried.

Weights that are whole codes stay what they are: the largest of each output, which its scale comes from, and zeros of a pruned layer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.quantization.float16_scales import with_float16_scales
from edgecls.quantization.kernels import kernels, rows_of, set_rows
from edgecls.quantization.moments import Moments
from edgecls.quantization.ranges import Effort
from edgecls.quantization.scales import HIGHEST, is_clustered
from edgecls.quantization.weighted_layers import WeightedLayer

EXACT = 9  # weights: 2 ** 9 choices
# Of one output: the inverse of the moments takes a second for 1152, 128 channels of 3 x 3 places; half a minute for 4608.
MOST_WEIGHTS: dict[Effort, int] = {"normal": 1152, "high": 4608}
DAMPING = 0.01  # of the mean second moment, added to each: GPTQ's
_BLOCK = 64  # columns after which errors are passed on to all that follow, in one product


def round_layers(
    graph: TFLiteGraph, layers: Sequence[WeightedLayer], moments: Mapping[str, Moments], most_weights: int
) -> dict[str, np.ndarray]:
    """Weights [outputs, inputs per group, places] of layers as whole codes times their scales, by the layer's name.

    Left out are those that were not sampled, whose outputs are made of more than `most_weights` weights each, whose few values are shared
    (clustering), and whose kernel in the TFLite model is another.

    Args:
        graph: of the float32 TFLite model.
    """
    found = kernels(graph)
    rounded = {}
    for layer in layers:
        seen, kernel = moments.get(layer.name), found.get(layer.name)
        if seen is None or kernel is None or seen.weights > most_weights or is_clustered(layer.weights):
            continue
        if kernel.shape != layer.weights.shape or not np.allclose(kernel, layer.weights, rtol=1e-5, atol=1e-8):
            continue
        rows, scales = with_float16_scales(kernel.reshape(len(kernel), -1))
        codes = round_by_moments(rows, scales, seen.about_mean())
        rounded[layer.name] = (codes.astype(np.float32) * scales[:, None]).reshape(kernel.shape)
    return rounded


def set_kernels(
    graph: TFLiteGraph, original: TFLiteGraph, rounded: Mapping[str, np.ndarray], float_layers: Collection[str]
) -> None:
    """Give the kernels of a float32 TFLite model these weights, but for channels that another pass has changed.

    Args:
        graph: changed.
        original: before any pass.
        rounded: from `round_layers`.
        float_layers: outputs of operations that stay float, and so as they are.
    """
    before = kernels(original)
    for operation in graph.operations:
        name = graph.names[operation.output]
        now = rows_of(graph, operation) if name in rounded and name not in float_layers else None
        if now is not None:
            same = (now == before[name]).all(axis=(1, 2), keepdims=True)
            set_rows(graph, operation, np.where(same, rounded[name], now))


def round_by_moments(weights: np.ndarray, scales: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Codes [outputs, weights], whole numbers from -127 to 127, float64.

    Args:
        weights: [outputs, weights of one]; the largest of each output is 127 times its scale.
        scales: [outputs].
        moments: second moments of what they are multiplied with [groups, weights of one, weights of one]; as many outputs see each.
    """
    steps = np.clip(weights.astype(np.float64) / scales[:, None].astype(np.float64), -HIGHEST, HIGHEST)
    columns, each = steps.shape[1], len(steps) // len(moments)
    mean = np.trace(moments, axis1=1, axis2=2) / columns
    damped = moments + np.eye(columns) * np.maximum(DAMPING * mean, np.finfo(np.float32).tiny)[:, None, None]
    if columns <= EXACT:
        return _try_all(steps, np.repeat(damped, each, axis=0))
    parts = zip(np.split(steps, len(moments)), damped, strict=True)
    return np.concatenate([_pass_errors_on(part, moment) for part, moment in parts])


def _is_whole(steps: np.ndarray) -> np.ndarray:
    """Which weights are codes already, to what float32 tells apart."""
    return np.abs(steps - np.rint(steps)) <= 1e-5 * np.maximum(np.abs(steps), 1e-5)


def _try_all(steps: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """The best of all choices of neighbouring codes; on a tie what is nearest. Moments of each output [outputs, weights, weights]."""
    columns = steps.shape[1]
    flips = (
        np.arange(2**columns)[:, None] >> np.arange(columns)
    ) & 1  # [choices, weights]: 1 for the code that is not the nearest
    first, second = np.triu_indices(columns, 1)
    both = (flips[:, first] & flips[:, second]).astype(np.float64)
    near = np.rint(steps)
    aside = np.where(_is_whole(steps), 0, np.where(steps > near, 1, -1)).astype(np.float64)  # where the other code is
    # The error of a choice is (e + f a) H (e + f a), with e of the nearest codes: linear in each flip f and each pair of flips.
    alone = aside * (2 * np.einsum("oi,oij->oj", near - steps, moments) + aside * np.diagonal(moments, axis1=1, axis2=2))
    pairs = 2 * aside[:, first] * aside[:, second] * moments[:, first, second]
    choice = (alone @ flips.T.astype(np.float64) + pairs @ both.T).argmin(axis=1)
    return near + flips[choice] * aside


def _pass_errors_on(steps: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Codes of outputs that see the same inputs, column by column."""
    columns = len(moment)
    order = np.argsort(-np.diag(moment), kind="stable")  # what matters most while there is most left to pass errors on to
    shares = np.linalg.cholesky(np.linalg.inv(moment[np.ix_(order, order)])).T
    left, kept = steps[:, order].copy(), _is_whole(steps[:, order])
    fixed, codes = np.rint(left), np.empty_like(left)
    for start in range(0, columns, _BLOCK):
        end = min(start + _BLOCK, columns)
        errors = np.empty((len(left), end - start))
        for column in range(start, end):
            rounded = np.clip(np.rint(left[:, column]), -HIGHEST, HIGHEST)
            codes[:, column] = np.where(kept[:, column], fixed[:, column], rounded)
            errors[:, column - start] = (left[:, column] - codes[:, column]) / shares[column, column]
            left[:, column + 1 : end] -= np.outer(errors[:, column - start], shares[column, column + 1 : end])
        left[:, end:] -= errors @ shares[start:end, end:]
    result = np.empty_like(codes)
    result[:, order] = codes
    return result
