"""Normalizations."""

from __future__ import annotations

import numpy as np

from edgecls.coreml_reference.call import Call, Entry, always, entry, only_first


def _batch_norm(call: Call) -> str:
    channels = call.shape("mean")[0]
    gamma = call.tensor("gamma") if call.has("gamma") else call.graph.constant(np.ones(channels), np.float32)
    beta = call.tensor("beta") if call.has("beta") else call.graph.constant(np.zeros(channels), np.float32)
    moments = call.tensor("mean"), call.tensor("variance")
    return call.graph.node("BatchNormalization", call.tensor("x"), gamma, beta, *moments, epsilon=call.number("epsilon", 1e-5))


def _instance_norm(call: Call) -> str:
    channels = call.shape("x")[1]
    gamma = call.tensor("gamma") if call.has("gamma") else call.graph.constant(np.ones(channels), np.float32)
    beta = call.tensor("beta") if call.has("beta") else call.graph.constant(np.zeros(channels), np.float32)
    return call.graph.node("InstanceNormalization", call.tensor("x"), gamma, beta, epsilon=call.number("epsilon", 1e-5))


def _layer_norm(call: Call) -> str:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over `axes`, whose shape gamma and beta have."""
    axes, rank = call.axes("axes", of="x"), call.rank("x")
    if axes == list(range(rank - len(axes), rank)) and call.has("gamma"):
        beta = [call.tensor("beta")] if call.has("beta") else []
        epsilon = call.number("epsilon", 1e-5)
        return call.graph.node("LayerNormalization", call.tensor("x"), call.tensor("gamma"), *beta, axis=axes[0], epsilon=epsilon)
    x, over = call.tensor("x"), call.graph.constant(axes, np.int64)
    centred = call.graph.node("Sub", x, call.graph.node("ReduceMean", x, over))
    variance = call.graph.node("ReduceMean", call.graph.node("Mul", centred, centred), over)
    spread = call.graph.node("Sqrt", call.graph.node("Add", variance, call.scalar(call.number("epsilon", 1e-5), "x")))
    result = call.graph.node("Div", centred, spread)
    for name, kind in (("gamma", "Mul"), ("beta", "Add")):
        if call.has(name):
            result = call.graph.node(kind, result, call.graph.constant(_over(call, name, axes)))
    return result


def _over(call: Call, name: str, axes: list[int]) -> np.ndarray:
    """A parameter of the shape of the (sorted) axes, shaped to broadcast over x."""
    values = np.asarray(call.constant(name))
    if sorted(axes) != axes or values.ndim != len(axes):
        raise call.unsupported(f"with {name} over the axes {axes}")
    shape = [1] * call.rank("x")
    for axis, size in zip(axes, values.shape, strict=True):
        shape[axis] = size
    return values.reshape(shape)


def _l2_norm(call: Call) -> str:
    """x / sqrt(sum of squares + epsilon), the sum over the last three axes."""
    x = call.tensor("x")
    squares = call.graph.node("ReduceSumSquare", x, call.graph.constant([-3, -2, -1], np.int64))
    spread = call.graph.node("Sqrt", call.graph.node("Add", squares, call.scalar(call.number("epsilon", 1e-6), "x")))
    return call.graph.node("Div", x, spread)


def _local_response_norm(call: Call) -> str:
    size = call.integer("size")
    if size % 2 == 0:
        raise call.unsupported(f"over {size} channels, of which none is in the middle")
    # the engine has it for images alone; only the order of the channels matters
    rank, x = call.rank("x"), call.tensor("x")
    image = x if rank == 4 else call.graph.node("Reshape", x, call.graph.constant([0, 0, 1, -1], np.int64))
    found = call.graph.node(
        "LRN",
        image,
        size=size,
        alpha=call.number("alpha", 1e-4),
        beta=call.number("beta", 0.75),
        bias=call.number("k", 1.0),
    )
    return found if rank == 4 else call.graph.node("Reshape", found, call.graph.node("Shape", x))


ENTRIES: dict[str, Entry] = {
    "batch_norm": entry(_batch_norm, "x mean variance gamma beta epsilon", only_first("x")),
    "instance_norm": entry(_instance_norm, "x gamma beta epsilon", only_first("x")),
    "layer_norm": entry(_layer_norm, "x axes gamma beta epsilon", lambda call: 0 not in call.axes("axes", of="x")),
    "l2_norm": entry(_l2_norm, "x epsilon", lambda call: call.rank("x") > 3),
    "local_response_norm": entry(_local_response_norm, "x size alpha beta k", always),
}
