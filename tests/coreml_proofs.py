"""One proof for each operation of the table: cases to compute, and an oracle that is not ours.

Without an `expected` of its own, a case is held against coremltools' own value inference; operations that have none are held against
TensorFlow or against NumPy written from MIL's documentation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from edgecls.system.extras import require

Make = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(0, 2, shape).astype(np.float32)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.1, 4, shape).astype(np.float32)


def unit(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Within the domain of arcus and area functions."""
    return rng.uniform(-0.9, 0.9, shape).astype(np.float32)


def halves(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Multiples of a half: ties of rounding, equal values, zeros and negative zeros."""
    return (rng.integers(-6, 7, shape) / 2 * rng.choice([1.0, -1.0], shape)).astype(np.float32)


def integers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-9, 10, shape).astype(np.int32)


def divisors(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.integers(1, 6, shape) * rng.choice([1, -1], shape)).astype(np.int32)


def truths(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, 2, shape).astype(bool)


@dataclass
class Case:
    """One use of an operation.

    Attributes:
        block: builds it, given the builder and its inputs by name.
        inputs: name -> (shape, how to draw values).
        expected: the oracle; None for coremltools' value inference.
        relative: allowed difference over the largest value; float32 sums of some hundred terms in another order stay below 1e-5.
    """

    block: Callable[..., Any]
    inputs: dict[str, tuple[tuple[int, ...], Make]]
    expected: Callable[..., Any] | None = None
    opset: str = "iOS17"
    relative: float = 1e-5


PROOFS: dict[str, Callable[[Any, str], Case]] = {}


def proof(*names: str) -> Callable[[Callable[[Any, str], Case]], Callable[[Any, str], Case]]:
    """Register the proof of operations: a function of hypothesis' `draw` and the operation's name."""

    def register(make: Callable[[Any, str], Case]) -> Callable[[Any, str], Case]:
        PROOFS.update(dict.fromkeys(names, make))
        return make

    return register


def shapes(least: int = 1, most: int = 4, largest: int = 4) -> Any:
    return st.lists(st.integers(1, largest), min_size=least, max_size=most).map(tuple)


@st.composite
def images(draw: Any, ranks: tuple[int, ...] = (3, 4, 5), largest: int = 7, channels: int = 4) -> tuple[int, ...]:
    rank = draw(st.sampled_from(ranks))
    batch = draw(st.sampled_from([1, 1, 2]))
    return (batch, draw(st.integers(1, channels)), *(draw(st.integers(1, largest)) for _ in range(rank - 2)))


def axes_of(rank: int) -> Any:
    """Some axes, counted from either end."""
    return st.lists(st.integers(0, rank - 1), min_size=1, max_size=rank, unique=True).flatmap(
        lambda chosen: st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen)).map(
            lambda turned: [axis - rank if turn else axis for axis, turn in zip(sorted(chosen), turned, strict=True)]
        )
    )


# elementwise

_DOMAINS: dict[str, Make] = {
    "acos": unit,
    "asin": unit,
    "atanh": unit,
    "sqrt": positive,
    "log": positive,
    "rsqrt": positive,
    "inverse": positive,
    "tan": unit,
    "round": halves,
    "sign": halves,
    "logical_not": truths,
}


@proof(
    *[
        "abs",
        "acos",
        "asin",
        "atan",
        "atanh",
        "ceil",
        "cos",
        "cosh",
        "erf",
        "exp",
        "exp2",
        "floor",
        "identity",
        "logical_not",
        "round",
        "sign",
        "sin",
        "sinh",
        "sqrt",
        "square",
    ],
    *["tan", "relu", "relu6", "sigmoid", "softplus", "softsign", "tanh"],
)
def _unary(draw: Any, name: str) -> Case:
    return Case(lambda mb, x: getattr(mb, name)(x=x), {"x": (draw(shapes()), _DOMAINS.get(name, normal))})


@proof("log", "rsqrt", "inverse")
def _shifted(draw: Any, name: str) -> Case:
    epsilon = draw(st.sampled_from([1e-3, 0.5]))
    return Case(lambda mb, x: getattr(mb, name)(x=x, epsilon=np.float32(epsilon)), {"x": (draw(shapes()), positive)})


@proof("silu")
def _silu(draw: Any, name: str) -> Case:
    tf: Any = require("tensorflow")
    return Case(lambda mb, x: mb.silu(x=x), {"x": (draw(shapes()), normal)}, lambda x: tf.nn.silu(x).numpy())


@proof("elu", "leaky_relu", "thresholded_relu", "threshold")
def _alpha(draw: Any, name: str) -> Case:
    alpha = np.float32(draw(st.sampled_from([0.0, 0.3, 1.0, 1.5])))
    return Case(lambda mb, x: getattr(mb, name)(x=x, alpha=alpha), {"x": (draw(shapes()), halves)})


@proof("clamped_relu", "linear_activation", "scaled_tanh", "sigmoid_hard", "clip")
def _alpha_beta(draw: Any, name: str) -> Case:
    low, high = (-1.0, 2.0) if name == "clip" else draw(st.sampled_from([(0.3, 2.0), (0.2, 0.5), (1.7, 0.7)]))
    block = lambda mb, x: getattr(mb, name)(x=x, alpha=np.float32(low), beta=np.float32(high))  # noqa: E731
    return Case(block, {"x": (draw(shapes()), normal)})


@proof("gelu")
def _gelu(draw: Any, name: str) -> Case:
    mode = draw(st.sampled_from(["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"]))
    return Case(lambda mb, x: mb.gelu(x=x, mode=mode), {"x": (draw(shapes()), normal)})


@proof("prelu", "softplus_parametric")
def _per_channel(draw: Any, name: str) -> Case:
    shape = draw(images(ranks=(4,)))
    alpha, beta = positive(np.random.default_rng(1), (2, shape[1]))
    more = {"beta": beta} if name == "softplus_parametric" else {}
    return Case(lambda mb, x: getattr(mb, name)(x=x, alpha=alpha, **more), {"x": (shape, normal)})


@proof("softmax")
def _softmax(draw: Any, name: str) -> Case:
    shape = draw(shapes())
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    return Case(lambda mb, x: mb.softmax(x=x, axis=axis), {"x": (shape, normal)})


_BOTH: dict[str, list[tuple[Make, Make]]] = {
    **{name: [(normal, normal), (integers, integers)] for name in ("add", "sub", "mul", "maximum", "minimum")},
    **{name: [(halves, halves), (integers, integers)] for name in ("greater", "greater_equal", "less", "less_equal")},
    **{name: [(halves, halves), (integers, integers)] for name in ("equal", "not_equal")},
    **{name: [(normal, positive), (integers, divisors)] for name in ("floor_div", "mod")},
    "real_div": [(normal, positive)],
    "pow": [(positive, normal)],
    **{name: [(truths, truths)] for name in ("logical_and", "logical_or", "logical_xor")},
}


@proof(*_BOTH)
def _binary(draw: Any, name: str) -> Case:
    """With broadcasting on either side."""
    full = draw(shapes(1, 4))
    left, right = ([1 if draw(st.booleans()) else size for size in full] for _ in range(2))
    shorter = tuple(right[draw(st.integers(0, len(right) - 1)) :])
    first, second = draw(st.sampled_from(_BOTH[name]))
    sides = [("x", (tuple(left), first)), ("y", (shorter, second))]
    return Case(lambda mb, x, y: getattr(mb, name)(x=x, y=y), dict(sides))


@proof("select")
def _select(draw: Any, name: str) -> Case:
    shape = draw(shapes())
    inputs = {"cond": (shape, truths), "a": (shape, normal), "b": (shape, normal)}
    return Case(lambda mb, cond, a, b: mb.select(cond=cond, a=a, b=b), inputs)


@proof("cast")
def _cast(draw: Any, name: str) -> Case:
    make, dtype = draw(
        st.sampled_from(
            [
                (normal, "int32"),
                (normal, "fp32"),
                (normal, "fp16"),
                (normal, "bool"),
                (integers, "fp32"),
                (truths, "fp32"),
                (truths, "int32"),
            ]
        )
    )
    if dtype == "fp16":  # seen in a difference far below float16's own rounding
        half = lambda x: x - x.astype(np.float16).astype(np.float32)  # noqa: E731
        block = lambda mb, x: mb.sub(x=x, y=mb.cast(x=mb.cast(x=x, dtype="fp16"), dtype="fp32"))  # noqa: E731
        return Case(block, {"x": (draw(shapes()), make)}, half)
    return Case(lambda mb, x: mb.cast(x=x, dtype=dtype), {"x": (draw(shapes()), make)})


# convolutions and products


@dataclass
class Window:
    """A window drawn over the spatial axes of `shape`."""

    shape: tuple[int, ...]
    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    pad_type: str
    pad: list[int] = field(default_factory=list)


@st.composite
def windows(draw: Any, kinds: tuple[str, ...], ranks: tuple[int, ...] = (3, 4, 5), dilated: bool = True) -> Window:
    shape = draw(images(ranks=ranks, largest=9))
    axes = len(shape) - 2
    kernel = [draw(st.integers(1, min(4, size))) for size in shape[2:]]
    strides = [draw(st.integers(1, 3)) for _ in range(axes)]
    dilations = [1] * axes
    if dilated and draw(st.booleans()):  # as TensorFlow wants it: strides or dilations, and one dilation for all axes
        strides = [1] * axes
        step = draw(st.integers(1, 3))
        dilations = [step if (size - 1) * step < length else 1 for size, length in zip(kernel, shape[2:], strict=True)]
    pad_type = draw(st.sampled_from(kinds))
    pad = [draw(st.integers(0, 3)) for _ in range(2 * axes)] if pad_type == "custom" else [0] * (2 * axes)
    return Window(shape, kernel, strides, dilations, pad_type, pad)


def padded(x: np.ndarray, pad: list[int], fill: float = 0.0) -> np.ndarray:
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    return np.pad(x, [(0, 0), (0, 0), *pairs], constant_values=fill)


def last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1)


def first(x: Any) -> np.ndarray:
    return np.moveaxis(np.asarray(x), -1, 1)


def same_pad(sizes: tuple[int, ...], reach: list[int], strides: list[int], *, lower: bool) -> list[int]:
    """ceil(size / stride) windows; what of the padding is odd goes behind, or before if `lower`."""
    pad = []
    for size, length, step in zip(sizes, reach, strides, strict=True):
        total = max((-(-size // step) - 1) * step + length - size, 0)
        pad += [total - total // 2, total // 2] if lower else [total // 2, total - total // 2]
    return pad


def tf_conv(x: np.ndarray, weight: np.ndarray, window: Window, groups: int) -> np.ndarray:
    """TensorFlow's convolution, group by group; `same_lower`, which it lacks, by padding as the documentation says."""
    tf: Any = require("tensorflow")
    padding, pad = "SAME" if window.pad_type == "same" else "VALID", window.pad
    if window.pad_type == "same_lower":
        reach = [(size - 1) * step + 1 for size, step in zip(window.kernel, window.dilations, strict=True)]
        pad = same_pad(x.shape[2:], reach, window.strides, lower=True)
    x = padded(x, pad)
    parts = [
        tf.nn.convolution(
            last(part), np.moveaxis(kernel, (0, 1), (-1, -2)), window.strides, padding, dilations=window.dilations
        ).numpy()
        for part, kernel in zip(np.split(x, groups, 1), np.split(weight, groups, 0), strict=True)
    ]
    return first(np.concatenate(parts, -1))


@proof("conv")
def _conv(draw: Any, name: str) -> Case:
    window = draw(windows(("valid", "same", "same_lower", "custom")))
    groups = draw(st.sampled_from([count for count in (1, 2, 3, 4) if window.shape[1] % count == 0]))
    out = groups * draw(st.integers(1, 3))
    rng = np.random.default_rng(3)
    weight = normal(rng, (out, window.shape[1] // groups, *window.kernel))
    bias = normal(rng, (out,)) if draw(st.booleans()) else None
    arguments = {"strides": window.strides, "dilations": window.dilations, "groups": groups, "pad_type": window.pad_type}
    arguments |= {"pad": window.pad} if window.pad_type == "custom" else {}
    arguments |= {} if bias is None else {"bias": bias}

    def expected(x: np.ndarray) -> np.ndarray:
        found = tf_conv(x, weight, window, groups)
        return found if bias is None else found + bias.reshape(1, -1, *[1] * (found.ndim - 2))

    return Case(lambda mb, x: mb.conv(x=x, weight=weight, **arguments), {"x": (window.shape, normal)}, expected)


@proof("conv_transpose")
def _conv_transpose(draw: Any, name: str) -> Case:
    """As the gradient of a convolution, with the output shapes that a convolution of these strides maps to the input's."""
    tf: Any = require("tensorflow")
    shape = draw(images(ranks=(4,), largest=5))
    kernel, strides = ([draw(st.integers(1, 3)) for _ in range(2)] for _ in range(2))
    pad_type = draw(st.sampled_from(["valid", "same", "custom"]))
    groups = draw(st.sampled_from([count for count in (1, 2, 4) if shape[1] % count == 0]))
    weight = normal(np.random.default_rng(4), (shape[1], draw(st.integers(1, 3)), *kernel))
    full = [(size - 1) * stride + max(window, stride) for size, stride, window in zip(shape[2:], strides, kernel, strict=True)]
    sizes = [size * stride for size, stride in zip(shape[2:], strides, strict=True)] if pad_type == "same" else full
    pad = [draw(st.integers(0, 1)) if pad_type == "custom" and size > 2 else 0 for size in np.repeat(full, 2)]
    output_shape = [shape[0], weight.shape[1] * groups, *sizes]
    arguments: dict[str, Any] = {"strides": strides, "pad_type": pad_type, "groups": groups}
    if pad_type == "custom":
        arguments["pad"] = pad
        full = [(size - 1) * stride + window for size, stride, window in zip(shape[2:], strides, kernel, strict=True)]
    else:
        arguments["output_shape"] = output_shape

    def expected(x: np.ndarray) -> np.ndarray:
        parts = []
        for part, own in zip(np.split(x, groups, 1), np.split(weight, groups, 0), strict=True):
            kernels = own.transpose(2, 3, 1, 0)
            wanted = (shape[0], *(full if pad_type == "custom" else sizes), weight.shape[1])
            padding = "SAME" if pad_type == "same" else "VALID"
            parts.append(tf.nn.conv2d_transpose(last(part), kernels, wanted, strides, padding).numpy())
        found = first(np.concatenate(parts, -1))
        return found[:, :, pad[0] : found.shape[2] - pad[1], pad[2] : found.shape[3] - pad[3]]

    return Case(lambda mb, x: mb.conv_transpose(x=x, weight=weight, **arguments), {"x": (shape, normal)}, expected)


@proof("linear")
def _linear(draw: Any, name: str) -> Case:
    shape = draw(shapes(1, 3, 6))
    rng = np.random.default_rng(5)
    weight, bias = normal(rng, (3, shape[-1])), normal(rng, (3,))
    if draw(st.booleans()):  # integers by integers
        codes = integers(rng, (3, shape[-1]))
        return Case(lambda mb, x: mb.linear(x=x, weight=codes), {"x": (shape, integers)}, lambda x: x @ codes.T)
    more = {"bias": bias} if draw(st.booleans()) else {}
    return Case(lambda mb, x: mb.linear(x=x, weight=weight, **more), {"x": (shape, normal)})


@proof("matmul")
def _matmul(draw: Any, name: str) -> Case:
    rows, inner, columns = (draw(st.integers(1, 5)) for _ in range(3))
    turn_x, turn_y = draw(st.booleans()), draw(st.booleans())
    before = draw(st.sampled_from([(), (1,), (2,), (1, 3)]))
    x = (*before, *((inner, rows) if turn_x else (rows, inner)))
    y = (*(before if draw(st.booleans()) else ()), *((columns, inner) if turn_y else (inner, columns)))
    inputs = {"x": (x, normal)}
    if draw(st.booleans()):
        weight = normal(np.random.default_rng(6), y)
        return Case(lambda mb, x: mb.matmul(x=x, y=weight, transpose_x=turn_x, transpose_y=turn_y), inputs)
    return Case(lambda mb, x, y: mb.matmul(x=x, y=y, transpose_x=turn_x, transpose_y=turn_y), {**inputs, "y": (y, normal)})


@proof("einsum")
def _einsum(draw: Any, name: str) -> Case:
    equation, left, right = draw(
        st.sampled_from(
            [
                ("nchw,nwhu->nchu", (1, 2, 3, 4), (1, 4, 3, 5)),
                ("chw,whu->chu", (2, 3, 4), (4, 3, 5)),
                ("nchw,nwhu->nchu", (2, 2, 3, 4), (2, 4, 3, 5)),
            ]
        )
    )
    inputs = {"x": (left, normal), "y": (right, normal)}
    return Case(lambda mb, x, y: mb.einsum(values=(x, y), equation=equation), inputs)


@proof("scaled_dot_product_attention")
def _attention(draw: Any, name: str) -> Case:
    batch, heads, width = draw(st.sampled_from([(1, 2, 4), (2, 1, 3)]))
    inputs = {part: ((batch, heads, length, width), normal) for part, length in (("query", 5), ("key", 6), ("value", 6))}
    masked = draw(st.booleans())
    mask = normal(np.random.default_rng(2), (5, 6))

    def block(mb: Any, query: Any, key: Any, value: Any) -> Any:
        more = {"attn_mask": mask} if masked else {}
        return mb.scaled_dot_product_attention(query=query, key=key, value=value, **more)

    return Case(block, inputs, opset="iOS18")


# pooling


def pooled(x: np.ndarray, window: Window, reduce: Callable[..., np.ndarray]) -> np.ndarray:
    """`reduce` over each window; NaN stands for what does not count."""
    view = np.lib.stride_tricks.sliding_window_view(x, window.kernel, axis=tuple(range(2, x.ndim)))  # type: ignore[call-overload]
    view = view[(slice(None), slice(None), *(slice(None, None, step) for step in window.strides))]
    return reduce(view, axis=tuple(range(-len(window.kernel), 0)))


def pool_oracle(name: str, window: Window, ceil: bool, exclude: bool) -> Callable[[np.ndarray], np.ndarray]:
    def expected(x: np.ndarray) -> np.ndarray:
        sizes, pad = x.shape[2:], list(window.pad)
        if window.pad_type.startswith("same"):
            pad = same_pad(sizes, window.kernel, window.strides, lower=window.pad_type == "same_lower")
        fill = {"max_pool": -np.inf, "l2_pool": 0.0, "avg_pool": np.nan if exclude else 0.0}[name]
        x = padded(x.astype(np.float64), pad, fill)
        if ceil:
            beyond = []
            for axis, (length, step) in enumerate(zip(window.kernel, window.strides, strict=True)):
                room = x.shape[2 + axis]
                count = -(-(room - length) // step) + 1
                if pad[2 * axis] and (count - 1) * step >= sizes[axis] + pad[2 * axis]:
                    count -= 1  # a window that would begin in the padding is left out
                beyond += [0, max((count - 1) * step + length - room, 0)]
            x = padded(x, beyond, -np.inf if name == "max_pool" else np.nan)
        reduce = {
            "max_pool": np.max,
            "avg_pool": np.nanmean,
            "l2_pool": lambda view, axis: np.sqrt(np.nansum(view**2, axis=axis)),
        }
        return pooled(x, window, reduce[name])

    return expected


@proof("max_pool", "avg_pool", "l2_pool")
def _pool(draw: Any, name: str) -> Case:
    """NumPy from the documentation; `same` is TensorFlow's, see `test_same_pooling_is_tensorflows`."""
    ranks = (3, 4) if name == "l2_pool" else (3, 4, 5)
    window = draw(windows(("valid", "same", "same_lower", "custom"), ranks, dilated=False))
    window.pad = [min(pad, size // 2) for pad, size in zip(window.pad, np.repeat(window.kernel, 2), strict=True)]
    ceil = window.pad_type in ("valid", "custom") and len(window.kernel) < 3 and draw(st.booleans())
    if ceil:
        window.pad[1::2] = window.pad[::2]
        rooms = [size + 2 * pad for size, pad in zip(window.shape[2:], window.pad[::2], strict=True)]
        steps = zip(rooms, window.kernel, window.strides, strict=True)
        # without padding MIL keeps windows that begin behind the image: what they hold is not said, and refused
        ceil = any(window.pad) or all(-(-(room - length) // step) * step < room for room, length, step in steps)
    exclude = name == "avg_pool" and draw(st.booleans())
    arguments: dict[str, Any] = {"kernel_sizes": window.kernel, "strides": window.strides, "pad_type": window.pad_type}
    arguments |= {"pad": window.pad} if window.pad_type == "custom" else {}
    arguments |= {"ceil_mode": True} if ceil else {}
    arguments |= {"exclude_padding_from_average": exclude} if name == "avg_pool" else {}
    block = lambda mb, x: getattr(mb, name)(x=x, **arguments)  # noqa: E731
    return Case(block, {"x": (window.shape, normal)}, pool_oracle(name, window, ceil, exclude))


# normalization


@proof("batch_norm")
def _batch_norm(draw: Any, name: str) -> Case:
    tf: Any = require("tensorflow")
    shape = draw(images())
    rng = np.random.default_rng(7)
    mean, gamma, beta = normal(rng, (3, shape[1]))
    variance = positive(rng, (shape[1],))
    epsilon = np.float32(draw(st.sampled_from([1e-5, 1e-3])))
    more = {"gamma": gamma, "beta": beta} if draw(st.booleans()) else {}

    def expected(x: np.ndarray) -> np.ndarray:
        return first(tf.nn.batch_normalization(last(x), mean, variance, more.get("beta"), more.get("gamma"), epsilon))

    block = lambda mb, x: mb.batch_norm(x=x, mean=mean, variance=variance, epsilon=epsilon, **more)  # noqa: E731
    return Case(block, {"x": (shape, normal)}, expected)


@proof("instance_norm")
def _instance_norm(draw: Any, name: str) -> Case:
    tf: Any = require("tensorflow")
    shape = (draw(st.sampled_from([1, 2])), draw(st.integers(1, 3)), draw(st.integers(2, 5)), draw(st.integers(2, 5)))
    gamma, beta = normal(np.random.default_rng(8), (2, shape[1]))
    more = {"gamma": gamma, "beta": beta} if draw(st.booleans()) else {}

    def expected(x: np.ndarray) -> np.ndarray:
        mean, variance = tf.nn.moments(last(x), (1, 2), keepdims=True)
        return first(tf.nn.batch_normalization(last(x), mean, variance, more.get("beta"), more.get("gamma"), 1e-3))

    block = lambda mb, x: mb.instance_norm(x=x, epsilon=np.float32(1e-3), **more)  # noqa: E731
    return Case(block, {"x": (shape, normal)}, expected, relative=5e-5)


@proof("layer_norm")
def _layer_norm(draw: Any, name: str) -> Case:
    shape = (draw(st.sampled_from([1, 2])), draw(st.integers(1, 3)), draw(st.integers(2, 4)), draw(st.integers(2, 4)))
    axes = draw(st.sampled_from([[-1], [3], [2, 3], [-2, -1], [1], [1, 2, 3], [1, 3]]))
    sizes = tuple(shape[axis] for axis in axes)
    gamma, beta = normal(np.random.default_rng(9), (2, *sizes))
    more = draw(st.sampled_from([{}, {"gamma": gamma}, {"gamma": gamma, "beta": beta}]))
    block = lambda mb, x: mb.layer_norm(x=x, axes=axes, epsilon=np.float32(1e-2), **more)  # noqa: E731
    return Case(block, {"x": (shape, normal)}, relative=5e-5)


@proof("l2_norm")
def _l2_norm(draw: Any, name: str) -> Case:
    return Case(lambda mb, x: mb.l2_norm(x=x, epsilon=np.float32(1e-3)), {"x": (draw(shapes(3, 5)), normal)})


@proof("local_response_norm")
def _lrn(draw: Any, name: str) -> Case:
    tf: Any = require("tensorflow")
    size = draw(st.sampled_from([1, 3, 5]))
    shape = (draw(st.sampled_from([1, 2])), draw(st.integers(1, 7)), *draw(st.sampled_from([(3,), (2, 3), (2, 1, 3)])))

    def expected(x: np.ndarray) -> np.ndarray:  # TensorFlow's alpha is for one channel, MIL's for all
        flat = last(x).reshape(shape[0], 1, -1, shape[1])
        found = tf.nn.local_response_normalization(flat, size // 2, bias=1.5, alpha=0.1 / size, beta=0.7)
        return first(found.numpy().reshape(last(x).shape))

    block = lambda mb, x: mb.local_response_norm(  # noqa: E731
        x=x, size=size, alpha=np.float32(0.1), beta=np.float32(0.7), k=np.float32(1.5)
    )
    return Case(block, {"x": (shape, normal)}, expected)


# reductions


@proof(
    *[
        "reduce_sum",
        "reduce_mean",
        "reduce_max",
        "reduce_min",
        "reduce_prod",
        "reduce_l1_norm",
        "reduce_l2_norm",
        "reduce_sum_square",
    ],
    *["reduce_log_sum", "reduce_log_sum_exp"],
)
def _reduce(draw: Any, name: str) -> Case:
    shape = draw(shapes(1, 4))
    more = {"axes": draw(axes_of(len(shape)))} if draw(st.booleans()) else {}
    more["keep_dims"] = draw(st.booleans())
    make = positive if name == "reduce_log_sum" else normal
    return Case(lambda mb, x: getattr(mb, name)(x=x, **more), {"x": (shape, make)})


@proof("reduce_argmax", "reduce_argmin")
def _arg(draw: Any, name: str) -> Case:
    shape = draw(shapes(1, 4))
    axis, keep = draw(st.integers(-len(shape), len(shape) - 1)), draw(st.booleans())
    return Case(lambda mb, x: getattr(mb, name)(x=x, axis=axis, keep_dims=keep), {"x": (shape, halves)})


@proof("cumsum")
def _cumsum(draw: Any, name: str) -> Case:
    shape = draw(shapes(1, 3))
    axis, exclusive, reverse = draw(st.integers(0, len(shape) - 1)), draw(st.booleans()), draw(st.booleans())
    block = lambda mb, x: mb.cumsum(x=x, axis=axis, exclusive=exclusive, reverse=reverse)  # noqa: E731
    return Case(block, {"x": (shape, normal)})


@proof("topk", "argsort")
def _sorted(draw: Any, name: str) -> Case:
    shape = draw(shapes(1, 3))
    axis, ascending = draw(st.integers(-len(shape), len(shape) - 1)), draw(st.booleans())
    more = {"k": draw(st.integers(1, shape[axis]))} if name == "topk" else {}
    return Case(lambda mb, x: getattr(mb, name)(x=x, axis=axis, ascending=ascending, **more), {"x": (shape, normal)})


# shapes


@proof("reshape")
def _reshape(draw: Any, name: str) -> Case:
    shape = draw(shapes(1, 4))
    size = int(np.prod(shape))
    wanted = draw(st.sampled_from([[1, size], [size], [-1, 1], [1, -1, 1], [1, 1, size], [shape[0], -1]]))
    return Case(lambda mb, x: mb.reshape(x=x, shape=wanted), {"x": (shape, normal)})


@proof("transpose")
def _transpose(draw: Any, name: str) -> Case:
    shape = draw(shapes(1, 4))
    perm = draw(st.permutations(range(len(shape))))
    return Case(lambda mb, x: mb.transpose(x=x, perm=perm), {"x": (shape, normal)})


@proof("squeeze")
def _squeeze(draw: Any, name: str) -> Case:
    shape, axes = draw(
        st.sampled_from([((1, 3, 1, 2), [2]), ((1, 3, 1, 2), [-2]), ((1, 1, 4), [0, 1]), ((1, 3, 1), None), ((2, 1), [1])])
    )
    return Case(lambda mb, x: mb.squeeze(x=x, **({} if axes is None else {"axes": axes})), {"x": (shape, normal)})


@proof("expand_dims")
def _expand_dims(draw: Any, name: str) -> Case:
    axes = draw(st.sampled_from([[0], [1], [-1], [1, 2], [0, -1], [-2]]))
    return Case(lambda mb, x: mb.expand_dims(x=x, axes=axes), {"x": (draw(shapes(1, 3)), normal)})


@proof("concat", "stack")
def _joined(draw: Any, name: str) -> Case:
    """coremltools' inference forgets `interleave`; NumPy does it as the documentation shows."""
    shape = draw(shapes(1, 3))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    interleave = name == "concat" and draw(st.booleans())
    more = {"interleave": interleave} if name == "concat" else {}
    inputs: dict[str, tuple[tuple[int, ...], Make]] = dict.fromkeys(("a", "b", "c"), (shape, normal))

    def interleaved(**parts: np.ndarray) -> np.ndarray:
        sizes = list(shape)
        sizes[axis] *= len(parts)
        out = np.empty(sizes, np.float32)
        for index, part in enumerate(parts.values()):
            np.moveaxis(out, axis, 0)[index :: len(parts)] = np.moveaxis(part, axis, 0)
        return out

    block = lambda mb, a, b, c: getattr(mb, name)(values=(a, b, c), axis=axis, **more)  # noqa: E731
    return Case(block, inputs, interleaved if interleave else None)


@proof("split")
def _split(draw: Any, name: str) -> Case:
    more = draw(st.sampled_from([{"num_splits": 3}, {"split_sizes": [1, 3, 2]}, {"num_splits": 2}]))
    shape, axis = draw(st.sampled_from([((1, 6, 2), 1), ((2, 6), -1), ((6, 2), 0)]))
    return Case(lambda mb, x: mb.split(x=x, axis=axis, **more), {"x": (shape, normal)})


@proof("pad")
def _pad(draw: Any, name: str) -> Case:
    shape = tuple(draw(st.integers(1, 4)) for _ in range(draw(st.integers(2, 4))))
    mode = draw(st.sampled_from(["constant", "reflect", "replicate"]))
    axes = draw(st.integers(1, len(shape) if mode == "constant" else min(2, len(shape))))
    most = [size - 1 if mode == "reflect" else size for size in shape[-axes:]]
    pad = [draw(st.integers(0, limit)) for limit in np.repeat(most, 2)]
    more = {"constant_val": np.float32(1.5)} if mode == "constant" else {}
    return Case(lambda mb, x: mb.pad(x=x, pad=np.array(pad, np.int32), mode=mode, **more), {"x": (shape, normal)})


@proof("tile")
def _tile(draw: Any, name: str) -> Case:
    shape = draw(shapes(1, 3))
    reps = [draw(st.integers(1, 3)) for _ in shape]
    return Case(lambda mb, x: mb.tile(x=x, reps=reps), {"x": (shape, normal)})


@proof("reverse")
def _reverse(draw: Any, name: str) -> Case:
    shape = draw(shapes(1, 3))
    axes = draw(axes_of(len(shape)))
    return Case(lambda mb, x: mb.reverse(x=x, axes=axes), {"x": (shape, normal)})


@proof("flatten2d")
def _flatten2d(draw: Any, name: str) -> Case:
    shape = draw(shapes(2, 4))
    axis = draw(st.integers(0, len(shape)))
    expected = lambda x: x.reshape(int(np.prod(shape[:axis])), -1)  # noqa: E731  coremltools' inference fails on axis 0
    return Case(lambda mb, x: mb.flatten2d(x=x, axis=axis), {"x": (shape, normal)}, expected)


@proof("space_to_depth", "depth_to_space")
def _depth(draw: Any, name: str) -> Case:
    tf: Any = require("tensorflow")
    block, batch = draw(st.sampled_from([2, 3])), draw(st.sampled_from([1, 2]))
    channels = 2 if name == "space_to_depth" else 2 * block * block
    shape = (batch, channels, 2 * block, block)
    function = getattr(tf.nn, name)
    return Case(
        lambda mb, x: getattr(mb, name)(x=x, block_size=block), {"x": (shape, normal)}, lambda x: first(function(last(x), block))
    )


@proof("pixel_shuffle", "pixel_unshuffle")
def _pixels(draw: Any, name: str) -> Case:
    """out[n, c, h * f + i, w * f + j] = in[n, c * f * f + i * f + j, h, w], and back."""
    factor, batch = draw(st.sampled_from([2, 3])), draw(st.sampled_from([1, 2]))

    def shuffled(x: np.ndarray) -> np.ndarray:
        out = np.empty((batch, 2, 3 * factor, 2 * factor), np.float32)
        for i in range(factor):
            for j in range(factor):
                out[:, :, i::factor, j::factor] = x[:, i * factor + j :: factor * factor]
        return out

    def unshuffled(x: np.ndarray) -> np.ndarray:
        out = np.empty((batch, 2 * factor * factor, 3, 2), np.float32)
        for i in range(factor):
            for j in range(factor):
                out[:, i * factor + j :: factor * factor] = x[:, :, i::factor, j::factor]
        return out

    if name == "pixel_shuffle":
        shape = (batch, 2 * factor * factor, 3, 2)
        return Case(lambda mb, x: mb.pixel_shuffle(x=x, upscale_factor=factor), {"x": (shape, normal)}, shuffled)
    block = lambda mb, x: mb.pixel_unshuffle(x=x, downscale_factor=np.uint32(factor))  # noqa: E731
    return Case(block, {"x": ((batch, 2, 3 * factor, 2 * factor), normal)}, unshuffled)


@proof("space_to_batch", "batch_to_space")
def _batches(draw: Any, name: str) -> Case:
    tf: Any = require("tensorflow")
    block, margins = [2, 3], draw(st.sampled_from([[[0, 0], [0, 0]], [[1, 1], [0, 3]], [[0, 2], [2, 1]]]))
    if name == "space_to_batch":
        shape = (draw(st.sampled_from([1, 2])), 2, 4, 6)
        return Case(
            lambda mb, x: mb.space_to_batch(x=x, block_shape=block, paddings=margins),
            {"x": (shape, normal)},
            lambda x: first(tf.space_to_batch(last(x), block, margins)),
        )
    shape = (6 * draw(st.sampled_from([1, 2])), 2, 3, 2)
    return Case(
        lambda mb, x: mb.batch_to_space(x=x, block_shape=block, crops=margins),
        {"x": (shape, normal)},
        lambda x: first(tf.batch_to_space(last(x), block, margins)),
    )


@proof("band_part")
def _band_part(draw: Any, name: str) -> Case:
    tf: Any = require("tensorflow")
    shape = draw(shapes(2, 4))
    lower, upper = (draw(st.integers(-1, size)) for size in shape[-2:])  # TensorFlow refuses more
    block = lambda mb, x: mb.band_part(x=x, lower=lower, upper=upper)  # noqa: E731
    return Case(block, {"x": (shape, normal)}, lambda x: tf.linalg.band_part(x, lower, upper).numpy())


@proof("reshape_like")
def _reshape_like(draw: Any, name: str) -> Case:
    batch = draw(st.sampled_from([1, 2]))
    inputs = {"x": ((batch, 6, 4), normal), "y": ((batch, 3), normal), "z": ((8, 2), normal)}

    block = lambda mb, x, y, z: mb.reshape_like(  # noqa: E731
        x=x, ref_tensors=(y, z), begins=(0, 0), ends=(0, 1), end_masks=(True, False)
    )
    return Case(block, inputs, lambda x, y, z: x.reshape(batch, 3, 8))


@proof("shape")
def _shape(draw: Any, name: str) -> Case:
    shape = draw(shapes(1, 4))
    return Case(lambda mb, x: mb.shape(x=x), {"x": (shape, normal)}, lambda x: np.array(shape))


@proof("fill")
def _fill(draw: Any, name: str) -> Case:
    value = draw(st.sampled_from([np.float32(1.5), np.int32(3)]))
    return Case(lambda mb, x: (mb.fill(shape=[2, 3], value=value), mb.relu(x=x)), {"x": ((2,), normal)})


@proof("fill_like")
def _fill_like(draw: Any, name: str) -> Case:
    shape = draw(shapes(1, 3))
    return Case(lambda mb, x: mb.fill_like(ref_tensor=x, value=np.float32(2.5)), {"x": (shape, normal)})


@proof("range_1d")
def _range(draw: Any, name: str) -> Case:
    start, end, step = draw(st.sampled_from([(0, 5, 1), (2, 11, 3), (5, 0, -2)]))
    block = lambda mb, x: (mb.range_1d(start=np.int32(start), end=np.int32(end), step=np.int32(step)), mb.relu(x=x))  # noqa: E731
    return Case(block, {"x": ((2,), normal)})


# picking


@proof("slice_by_index")
def _slice_by_index(draw: Any, name: str) -> Case:
    shape = tuple(draw(st.integers(2, 6)) for _ in range(draw(st.integers(1, 4))))
    begin, end, stride, no_begin, no_end, single = [], [], [], [], [], []
    for size in shape:
        step = draw(st.sampled_from([1, 1, 2, -1, -2]))
        low = draw(st.integers(0, size - 2))
        high = draw(st.integers(low + 1, size - 1))
        turned = draw(st.booleans())  # counted from the end
        start, stop = (high, low) if step < 0 else (low, high)
        begin.append(start - size if turned else start)
        end.append(stop - size if turned else stop)
        stride.append(step)
        no_begin.append(draw(st.booleans()))
        no_end.append(draw(st.booleans()))
        single.append(len(shape) > 1 and draw(st.integers(0, 4)) == 0)
    if all(single):
        single[-1] = False
    masks = {"begin_mask": no_begin, "end_mask": no_end, "squeeze_mask": single}
    for axis in range(len(shape)):
        if single[axis]:
            no_begin[axis] = no_end[axis] = False
            stride[axis] = 1
            end[axis] = begin[axis] + 1
    if not draw(st.booleans()):
        return Case(lambda mb, x: mb.slice_by_index(x=x, begin=begin, end=end, stride=stride, **masks), {"x": (shape, normal)})
    no_begin[0] = no_end[0] = True  # so that the size of the first axis is known
    single[0] = False
    cuts = tuple(
        begin[axis] if single[axis] else slice(None if no_begin[axis] else begin[axis], None if no_end[axis] else end[axis], step)
        for axis, step in enumerate(stride)
    )
    return Case(
        lambda mb, x, by: mb.slice_by_index(
            x=x, begin=computed(mb, begin, by), end=computed(mb, end, by), stride=stride, **masks
        ),
        {"x": (shape, normal), "by": ((len(shape),), zeros)},
        lambda x, by: x[cuts],
    )


def computed(mb: Any, values: list[int], by: Any) -> Any:
    """A vector of integers that the program computes, of an input that is zero."""
    return mb.add(x=mb.cast(x=by, dtype="int32"), y=np.array(values, np.int32))


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape, np.float32)


@proof("slice_by_size")
def _slice_by_size(draw: Any, name: str) -> Case:
    shape = tuple(draw(st.integers(1, 5)) for _ in range(draw(st.integers(1, 4))))
    begin = [draw(st.integers(0, size - 1)) for size in shape]
    if draw(st.booleans()):
        sizes = [length - start for start, length in zip(begin, shape, strict=True)]
        return Case(
            lambda mb, x, by: mb.slice_by_size(x=x, begin=computed(mb, begin, by), size=sizes),
            {"x": (shape, normal), "by": ((len(shape),), zeros)},
            lambda x, by: x[tuple(slice(start, None) for start in begin)],
        )
    size = [draw(st.sampled_from([-1, length - start])) for start, length in zip(begin, shape, strict=True)]
    return Case(lambda mb, x: mb.slice_by_size(x=x, begin=begin, size=size), {"x": (shape, normal)})


@proof("crop")
def _crop(draw: Any, name: str) -> Case:
    shape = (draw(st.sampled_from([1, 2])), 2, 5, 6)
    height, width = ([draw(st.integers(0, 2)) for _ in range(2)] for _ in range(2))

    def expected(x: np.ndarray) -> np.ndarray:
        return x[..., height[0] : 5 - height[1], width[0] : 6 - width[1]]

    return Case(lambda mb, x: mb.crop(x=x, crop_height=height, crop_width=width), {"x": (shape, normal)}, expected)


@proof("gather")
def _gather(draw: Any, name: str) -> Case:
    if draw(st.booleans()):
        tf: Any = require("tensorflow")
        axis, count = draw(st.sampled_from([(1, 1), (2, 1), (2, 2), (-1, 1)]))
        chosen = np.random.default_rng(0).integers(0, 2, (2, 3, 5)[: count + draw(st.integers(0, 1))]).astype(np.int32)
        block = lambda mb, x: mb.gather(x=x, indices=chosen, axis=axis, batch_dims=count)  # noqa: E731
        expected = lambda x: tf.gather(x, chosen, axis=axis, batch_dims=count).numpy()  # noqa: E731
        return Case(block, {"x": ((2, 3, 4, 2), normal)}, expected)
    shape = draw(shapes(1, 3))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    indices = np.random.default_rng(0).integers(0, shape[axis], draw(shapes(1, 2))).astype(np.int32)
    return Case(lambda mb, x: mb.gather(x=x, indices=indices, axis=axis), {"x": (shape, normal)})


@proof("crop_resize")
def _crop_resize(draw: Any, name: str) -> Case:
    """TensorFlow's, which has boxes of shares of the image. Up to iOS 16 a `roi` of five names the image, one of four is cut of each;
    MIL infers the shape of the second for both, so that only one image can be named."""
    tf: Any = require("tensorflow")
    images, size = draw(st.sampled_from([1, 2])), (draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    boxes = np.array([[0, 0, 0.5, 1], [0.2, 0.1, 0.9, 0.6], [-0.5, 0, 1.2, 1], [0.5, 0.25, 1, 0.75]], np.float32)
    chosen = (np.arange(4) % images).astype(np.int32)
    opset = draw(st.sampled_from(["iOS16", "iOS17"]))
    more: dict[str, Any] = {"boxes": boxes, "box_indices": chosen}
    if opset == "iOS16":
        roi = boxes if images > 1 else np.concatenate([chosen[:, None], boxes], axis=1).astype(np.float32)
        more = {"roi": roi.reshape(4, 1, -1, 1, 1)}
        boxes, chosen = np.repeat(boxes, images, axis=0), np.tile(np.arange(images, dtype=np.int32), 4)

    def block(mb: Any, x: Any) -> Any:
        return mb.crop_resize(
            x=x,
            target_height=size[0],
            target_width=size[1],
            normalized_coordinates=True,
            sampling_mode="ALIGN_CORNERS",
            pad_value=np.float32(1.5),
            **more,
        )

    def expected(x: np.ndarray) -> np.ndarray:
        found = first(tf.image.crop_and_resize(last(x), boxes, chosen, size, extrapolation_value=1.5))
        return found.reshape(4, images, *found.shape[1:]) if opset == "iOS16" else found

    return Case(block, {"x": ((images, 2, 5, 6), normal)}, expected, opset)


@proof("gather_along_axis")
def _gather_along_axis(draw: Any, name: str) -> Case:
    shape = draw(shapes(1, 3))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = list(shape)
    sizes[axis] = 3
    indices = np.random.default_rng(0).integers(0, shape[axis], sizes).astype(np.int32)
    return Case(lambda mb, x: mb.gather_along_axis(x=x, indices=indices, axis=axis), {"x": (shape, normal)})


@proof("gather_nd")
def _gather_nd(draw: Any, name: str) -> Case:
    tf: Any = require("tensorflow")
    batched = draw(st.integers(0, 1))
    indices = np.random.default_rng(0).integers(0, 3, (3, 2, draw(st.integers(1, 2)))).astype(np.int32)
    block = lambda mb, x: mb.gather_nd(x=x, indices=indices, batch_dims=batched)  # noqa: E731
    return Case(block, {"x": ((3, 4, 5), normal)}, lambda x: tf.gather_nd(x, indices, batch_dims=batched).numpy())


@proof("one_hot")
def _one_hot(draw: Any, name: str) -> Case:
    tf: Any = require("tensorflow")
    axis = draw(st.sampled_from([-1, 0, 1]))
    on, off = draw(st.sampled_from([(np.float32(2), np.float32(-1)), (np.int32(5), np.int32(1))]))
    block = lambda mb, indices: mb.one_hot(indices=indices, one_hot_vector_size=4, axis=axis, on_value=on, off_value=off)  # noqa: E731

    def draws(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.integers(0, 4, shape).astype(np.int32)

    return Case(block, {"indices": ((3, 2), draws)}, lambda indices: tf.one_hot(indices, 4, on, off, axis).numpy())


# resizing


def interpolated(x: np.ndarray, grids: list[np.ndarray]) -> np.ndarray:
    """NumPy's own interpolation at the documented grid points, over the last axes."""
    result = x.astype(np.float64)
    for axis, points in zip(range(x.ndim - len(grids), x.ndim), grids, strict=True):
        places = np.arange(result.shape[axis])
        result = np.apply_along_axis(lambda line, points=points, places=places: np.interp(points, places, line), axis, result)
    return result


def grid(mode: str, size: int, count: int) -> np.ndarray:
    """As the documentation of `resize_bilinear` writes it."""
    index = np.arange(count)
    if mode == "STRICT_ALIGN_CORNERS":
        points = index * ((size - 1) / max(count - 1, 1))
    elif mode == "ALIGN_CORNERS":
        points = index * ((size - 1) / max(count - 1, 1)) if count > 1 else np.array([(size - 1) / 2])
    elif mode == "DEFAULT":
        points = index * ((size - size / count) / max(count - 1, 1))
    elif mode == "OFFSET_CORNERS":
        delta = max(1, size - 1) / count
        points = 0.5 * delta + index * (((count - 1) * delta) / max(count - 1, 1))
    else:
        spacing = size / count
        points = index * spacing + 0.5 * spacing - 0.5
    return np.minimum(size - 1, np.maximum(0, points))


MODES = ["STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS"]


@proof("resize_bilinear")
def _resize_bilinear(draw: Any, name: str) -> Case:
    shape = draw(images(ranks=(4,), largest=6))
    mode, targets = draw(st.sampled_from(MODES)), [draw(st.integers(1, 11)) for _ in range(2)]
    block = lambda mb, x: mb.resize_bilinear(  # noqa: E731
        x=x, target_size_height=targets[0], target_size_width=targets[1], sampling_mode=mode
    )
    grids = [grid(mode, size, count) for size, count in zip(shape[2:], targets, strict=True)]
    return Case(block, {"x": (shape, normal)}, lambda x: interpolated(x, grids))


@proof("resize")
def _resize(draw: Any, name: str) -> Case:
    shape = draw(images(ranks=(4,), largest=5))
    if draw(st.booleans()):  # whole multiples, whose nearest values nobody disputes
        factors = [draw(st.integers(1, 3)) for _ in range(2)]
        targets = [size * factor for size, factor in zip(shape[2:], factors, strict=True)]
        block = lambda mb, x: mb.resize(  # noqa: E731
            x=x, shape=targets, resized_dims=np.uint32(2), interpolation_mode="NEAREST_NEIGHBOR", sampling_mode="UNALIGN_CORNERS"
        )
        return Case(block, {"x": (shape, normal)}, lambda x: np.repeat(np.repeat(x, factors[0], 2), factors[1], 3))
    mode, targets = draw(st.sampled_from(MODES)), [draw(st.integers(1, 9)) for _ in range(2)]
    asked = [0 if draw(st.integers(0, 3)) == 0 else count for count in targets]
    block = lambda mb, x: mb.resize(x=x, shape=[1, *asked], resized_dims=np.uint32(2), sampling_mode=mode)  # noqa: E731
    grids = [grid(mode, size, count or size) for size, count in zip(shape[2:], asked, strict=True)]
    return Case(block, {"x": (shape, normal)}, lambda x: interpolated(x, grids))


@proof("upsample_nearest_neighbor", "resize_nearest_neighbor")
def _nearest(draw: Any, name: str) -> Case:
    tf: Any = require("tensorflow")
    shape = draw(images(ranks=(4,), largest=5))
    factors = [draw(st.integers(1, 4)) for _ in range(2)]
    targets = [size * factor for size, factor in zip(shape[2:], factors, strict=True)]
    if name == "upsample_nearest_neighbor":
        block = lambda mb, x: mb.upsample_nearest_neighbor(  # noqa: E731
            x=x, scale_factor_height=factors[0], scale_factor_width=factors[1]
        )
    else:
        block = lambda mb, x: mb.resize_nearest_neighbor(  # noqa: E731
            x=x, target_size_height=targets[0], target_size_width=targets[1]
        )
    return Case(block, {"x": (shape, normal)}, lambda x: first(tf.image.resize(last(x), targets, method="nearest")))


@proof("upsample_bilinear")
def _upsample_bilinear(draw: Any, name: str) -> Case:
    """All three rules are those of TensorFlow's ResizeBilinear, as the documentation says."""
    tf: Any = require("tensorflow")
    shape = draw(images(ranks=(4,), largest=5))
    factors = [draw(st.integers(1, 4)) for _ in range(2)]
    aligned, centred = draw(st.sampled_from([(True, False), (False, True), (False, False)]))
    targets = [size * factor for size, factor in zip(shape[2:], factors, strict=True)]
    block = lambda mb, x: mb.upsample_bilinear(  # noqa: E731
        x=x, scale_factor_height=factors[0], scale_factor_width=factors[1], align_corners=aligned, half_pixel_centers=centred
    )

    def expected(x: np.ndarray) -> np.ndarray:
        found = tf.raw_ops.ResizeBilinear(images=last(x), size=targets, align_corners=aligned, half_pixel_centers=centred)
        return first(found)

    return Case(block, {"x": (shape, normal)}, expected)


# quantization


@proof("quantize")
def _quantize(draw: Any, name: str) -> Case:
    dtype, zero = draw(st.sampled_from([("int8", np.int8(0)), ("int8", np.int8(-5)), ("uint8", np.uint8(120))]))
    shape = (draw(st.sampled_from([1, 2])), 3, 4)
    scale = np.float32(0.11)
    if draw(st.booleans()):
        scales = np.array([0.1, 0.2, 0.3], np.float32)
        block = lambda mb, input: mb.quantize(  # noqa: E731
            input=input, scale=scales, zero_point=np.repeat(zero, 3), axis=1, output_dtype=dtype
        )
    else:
        block = lambda mb, input: mb.quantize(input=input, scale=scale, zero_point=zero, output_dtype=dtype)  # noqa: E731
    return Case(block, {"input": (shape, normal)})


@proof("dequantize")
def _dequantize(draw: Any, name: str) -> Case:
    """After a `quantize`, for a program takes no int8."""
    zero, scale = np.int8(draw(st.sampled_from([0, 7, -9]))), np.float32(0.05)

    def block(mb: Any, x: Any) -> Any:
        stored = mb.quantize(input=x, scale=scale, zero_point=zero, output_dtype="int8")
        return mb.dequantize(input=stored, scale=scale, zero_point=zero)

    def expected(x: np.ndarray) -> np.ndarray:
        stored = np.clip(np.rint(x / scale) + zero, -128, 127)
        return ((stored - zero) * scale).astype(np.float32)

    return Case(block, {"x": ((draw(st.sampled_from([1, 2])), 3, 4), normal)}, expected)
