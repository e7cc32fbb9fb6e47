"""Equalization: channels of one tensor brought to one height, so that its int8 steps serve them all.

A tensor has one scale. Where its highest channel reaches a hundred times as far as another, that one has two codes left. What makes a
channel may be multiplied by s > 0 and what reads it divided by s: a ReLU lets every factor pass, f(s x) = s f(x), as poolings and sums do
(Nagel et al. 2019, arXiv 1906.04721, section 4.1). Weights have a scale for each output, so that the rows that make a channel lose
nothing. A depthwise kernel that reads it loses nothing either: it is one row. A convolution or dense layer that reads it has weights of
other heights in a row then, and the factors weigh one against the other.

The factors are powers of two. Multiplied by one, a float32 number keeps all its digits: the equalized float model answers as the given one,
to the bit, whatever the image. A ReLU6 lets no factor pass, for it cuts off at 6 whatever the channel is multiplied by: what it makes stays
as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecls.formats.tflite.graph import BIAS, GraphOperation, TFLiteGraph
from edgecls.quantization.kernels import LinearPart, rows_of, set_rows, spread_over_weights
from edgecls.quantization.scales import HIGHEST, STEPS, is_clustered

MOST_DOUBLINGS = (
    8  # of a factor, up or down; channels that are lower than that beside the highest, or dead, say nothing sure: they stay
)
SHARES = 0.5, 0.75, 1.0  # of a factor that go by the channel's height; its weights' height decides the rest
WORTH = 0.5  # of what is lost without, that has to be left at most: gains below are lost in what the estimate leaves out
_TINY = 1e-30
_LEAST_SCALE = 2.0**-14  # of weights, down to which float16 has all its digits; see `scales`
_PASSING = ("RELU", "LEAKY_RELU", "MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD")
_ACTIVATIONS = (schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU)

Factors = Mapping[str, np.ndarray]  # of the channels [C] of tensors by name; without those that stay as they are


@dataclass(frozen=True)
class Heights:
    """What the channels of a tensor hold on some images.

    Attributes:
        highest: size of each channel's largest value [C].
        energy: mean square of each channel about its mean [C]; the mean's own error the bias takes back.
        active: share of each channel's values that are not zero, which has no rounding error [C].
    """

    highest: np.ndarray
    energy: np.ndarray
    active: np.ndarray


def scalable(graph: TFLiteGraph) -> list[list[str]]:
    """Names of tensors of a float32 TFLite model whose channels may be multiplied, those together that can only be multiplied alike."""
    groups = _Groups(graph)
    for operation in graph.operations:
        tensors = [*operation.inputs, *operation.outputs]
        if getattr(operation.operator.builtinOptions, "fusedActivationFunction", 0) not in _ACTIVATIONS:
            groups.keep(operation.outputs)
        if _passes(graph, operation):
            groups.join(tensors)
        elif not _takes_up(graph, operation):
            groups.keep(tensors)
    return [[graph.names[tensor] for tensor in group] for group in groups.free()]


def choose_factors(graph: TFLiteGraph, groups: Sequence[Sequence[str]], heights: Mapping[str, Heights]) -> Factors:
    """Powers of two for the channels of tensors.

    Args:
        graph: of the float32 TFLite model.
        groups: from `scalable`.
        heights: of tensors by name, as far as they are known.
    """
    factors: dict[str, np.ndarray] = {}
    for group in groups:
        readers = [rows for operation in graph.operations if (rows := _read(graph, operation, group)) is not None]
        known = [heights[name] for name in group if name in heights]
        if readers and known:
            chosen = _choose(_highest(known), readers)
            factors |= {name: chosen for name in group if (chosen != 1).any()}
    while low := _lowered(graph, factors):
        factors = {name: value for name, value in factors.items() if not any(value is other for other in low)}
    return factors


def equalized(graph: TFLiteGraph, factors: Factors) -> TFLiteGraph:
    """A copy of a float32 TFLite model with the channels of tensors multiplied by powers of two; it answers alike.

    Args:
        factors: from `choose_factors`.
    """
    result = graph.copy()
    for given, operation in zip(graph.operations, result.operations, strict=True):
        read, made = _around(graph, given, factors)
        rows = rows_of(graph, given)
        if rows is None or (read is None and made is None):
            continue
        set_rows(result, operation, scale_rows(rows, read, made))
        bias = graph.floats(given.operand(BIAS))
        if made is not None and bias is not None:
            result.replace_constant(operation, BIAS, bias * made.astype(np.float32))
    return result


def find_factors(graph: TFLiteGraph, held: Mapping[str, LinearPart]) -> Factors:
    """The powers of two that an int8 model's channels have beside the float model that it was made from.

    Args:
        graph: of the float32 TFLite model.
        held: weights and biases of the int8 model, as they are read, by the name of the operation's output.
    """
    groups = {name: group for group in scalable(graph) for name in group}
    factors: dict[str, np.ndarray] = {}
    for operation in graph.operations:  # in order: what is read is known before what is made of it
        name, rows = graph.names[operation.output], rows_of(graph, operation)
        if rows is None or name not in held or name not in groups or name in factors:
            continue
        given = LinearPart(scale_rows(rows, _around(graph, operation, factors)[0], None), graph.floats(operation.operand(BIAS)))
        made = powers_of_two(given, held[name])
        factors |= {other: made for other in groups[name] if (made != 1).any()}
    return factors


def powers_of_two(given: LinearPart, held: LinearPart) -> np.ndarray:
    """What each output has been multiplied by, rounding apart [outputs]; 1 where that is no such power of two.

    The weights show it, or the bias, where that alone makes the output: then int8 may hold other weights (see `small_channels`).
    """
    found, shows = _doublings(given.rows.reshape(len(given.rows), -1), held.rows.reshape(len(held.rows), -1))
    if given.bias is not None and held.bias is not None and given.bias.shape == held.bias.shape:
        others, seen = _doublings(given.bias[:, None], held.bias[:, None])
        found, shows = np.where(shows, found, others), shows | seen
    return np.where(shows, 2.0**found, 1.0)


def scale_rows(rows: np.ndarray, read: np.ndarray | None, made: np.ndarray | None) -> np.ndarray:
    """Weights [outputs, inputs per group, places] where the channels that they look at, and those that they make, have these factors."""
    if made is not None:
        rows = rows * made.astype(np.float32)[:, None, None]
    return rows if read is None else rows / spread_over_weights(read.astype(np.float32), rows)[:, :, None]


def _doublings(given: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often the values of each row have been doubled, and whether that is so many times as factors are, each [rows]."""
    energy = np.square(given, dtype=np.float64).sum(axis=1)
    common = (given.astype(np.float64) * held).sum(axis=1)
    exact = np.log2(np.where(common > 0, common, 1) / np.where(common > 0, energy, 1))
    whole = np.rint(exact)
    return whole, (common > 0) & (np.abs(exact - whole) < 0.1) & (np.abs(whole) <= MOST_DOUBLINGS)


class _Groups:
    """Tensors of a graph that belong together, and those that must stay as they are."""

    def __init__(self, graph: TFLiteGraph) -> None:
        made = [tensor for operation in graph.operations for tensor in operation.outputs]
        self._group = {tensor: [tensor] for tensor in (*graph.inputs, *made)}
        self._kept = {*graph.inputs, *graph.outputs}

    def join(self, tensors: Sequence[int]) -> None:
        together = list(dict.fromkeys(one for tensor in tensors for one in self._group[tensor]))
        self._group |= dict.fromkeys(together, together)

    def keep(self, tensors: Collection[int]) -> None:
        self._kept.update(tensors)

    def free(self) -> Iterator[list[int]]:
        for tensor, group in self._group.items():
            if tensor == group[0] and not self._kept & {*group}:
                yield group


def _takes_up(graph: TFLiteGraph, operation: GraphOperation) -> bool:
    """Whether weights and bias can be multiplied so that what is read and what is made have any factors; shared weights stay shared."""
    rows, bias = rows_of(graph, operation), operation.operand(BIAS)
    if rows is None or is_clustered(rows) or (bias >= 0 and graph.floats(bias) is None):
        return False
    inputs = graph.shape(operation.operand(0))[-1]
    groups = inputs // rows.shape[1]
    return groups * rows.shape[1] == inputs and len(rows) % groups == 0 and (groups == 1 or operation.kind != "FULLY_CONNECTED")


def _passes(graph: TFLiteGraph, operation: GraphOperation) -> bool:
    """Whether what is multiplied by s > 0, channel by channel, comes out multiplied by s."""
    shapes = [graph.shape(tensor) for tensor in (*operation.inputs, operation.output)]
    if len(operation.outputs) != 1 or len({shape[-1:] for shape in shapes}) != 1:
        return False
    if operation.kind == "ADD":
        return len(operation.inputs) == 2 and shapes[0] == shapes[1]
    if operation.kind == "MEAN":
        axes = graph.data(operation.operand(1))
        return axes is not None and len(shapes[0]) == 4 and sorted(axes.view(np.int32).tolist()) == [1, 2]
    if operation.kind == "RESHAPE":
        return shapes[0][-1:] == (int(np.prod(shapes[0])),)
    return operation.kind in _PASSING


def _read(graph: TFLiteGraph, operation: GraphOperation, group: Sequence[str]) -> np.ndarray | None:
    """The weights of an operation that reads one of these tensors."""
    return rows_of(graph, operation) if graph.names[operation.operand(0)] in group else None


def _highest(known: Sequence[Heights]) -> Heights:
    """The most that any of some tensors holds."""
    parts = zip(*((one.highest, one.energy, one.active) for one in known), strict=True)
    return Heights(*(np.max(part, axis=0) for part in parts))


def _choose(seen: Heights, readers: Sequence[np.ndarray]) -> np.ndarray:
    """The powers of two [C] that let what reads the channels lose least; ones where none is better by enough."""
    best, top = np.ones(len(seen.highest)), float(seen.highest.max())
    if not 0 < top < np.inf:
        return best
    high = seen.highest > top * 2.0**-MOST_DOUBLINGS
    heights = np.where(high, seen.highest, top)
    seen = replace(seen, active=np.where(high, seen.active, 0))  # the others lose what they did
    weights = np.max([_by_channel(rows, len(high)).max(axis=(1, 2)) for rows in readers if rows.shape[1] > 1] or [high], axis=0)
    weights = np.maximum(weights / max(float(weights.max()), _TINY), 2.0**-MOST_DOUBLINGS)
    least = WORTH * _lost(best, seen, readers)
    for share in SHARES:
        wanted = (top / heights) ** share * weights ** (1 - share)
        doublings = np.log2(wanted)
        doublings = np.rint(doublings - doublings[high].mean())  # half of them up, half down: weights and biases keep their size
        factors = np.where(high, 2.0 ** np.clip(doublings, -MOST_DOUBLINGS, MOST_DOUBLINGS), 1.0)
        lost = _lost(factors, seen, readers)
        if lost < least:
            best, least = factors, lost
    return best


def _by_channel(rows: np.ndarray, channels: int) -> np.ndarray:
    """Sizes of weights of ordinary convolutions and dense layers by the channel that they look at [channels, outputs, places]."""
    return np.abs(rows).transpose(1, 0, 2) if rows.shape[1] == channels else np.zeros((channels, 1, 1))


def _lost(factors: np.ndarray, seen: Heights, readers: Sequence[np.ndarray]) -> float:
    """Error energy of the readers' outputs over their own, the mean of all: from the rounding of what they read, and of their weights."""
    step = float((factors * seen.highest).max()) / STEPS
    total = 0.0
    for rows in readers:
        read, energy, active = (spread_over_weights(values, rows) for values in (factors, seen.energy, seen.active))
        squares = np.square(rows, dtype=np.float64).sum(axis=2)
        own = (squares * energy).sum(axis=1)
        lost = step**2 * (squares * active / read**2).sum(axis=1)
        if rows.shape[1] > 1:  # a single row of weights has its own scale, whatever the factor
            steps = (np.abs(rows).max(axis=2) / read).max(axis=1) / HIGHEST
            lost += steps**2 * (energy * read**2).sum(axis=1) * rows.shape[2]
        total += float(np.mean(lost / np.maximum(own, max(own.max() * 1e-3, _TINY))))
    return total


def _lowered(graph: TFLiteGraph, factors: Factors) -> list[np.ndarray]:
    """Factors that bring a scale of weights to where float16 has too few digits for it."""
    found = []
    for operation in graph.operations:
        around, rows = _around(graph, operation, factors), rows_of(graph, operation)
        if rows is not None:
            before, after = (np.abs(one).max(axis=(1, 2)) / HIGHEST for one in (rows, scale_rows(rows, *around)))
            if ((after < _LEAST_SCALE) & (before >= _LEAST_SCALE)).any():
                found += [value for value in around if value is not None]
    return found


def _around(graph: TFLiteGraph, operation: GraphOperation, factors: Factors) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The factors of what an operation reads first, and of what it makes."""
    return factors.get(graph.names[operation.operand(0)]), factors.get(graph.names[operation.output])
