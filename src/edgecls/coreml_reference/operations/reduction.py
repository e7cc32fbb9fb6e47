"""Reductions along axes."""

from __future__ import annotations

import numpy as np

from edgecls.coreml_reference.call import Call, Entry, KeepsImages, Translate, entry
from edgecls.coreml_reference.graph import onnx_dtype


def _reduced(call: Call, kind: str) -> str:
    x, axes = call.tensor("x"), call.graph.constant(call.axes("axes", of="x"), np.int64)
    return call.graph.node(kind, x, axes, keepdims=int(call.flag("keep_dims")))


def _reduce(kind: str) -> Translate:
    return lambda call: _reduced(call, kind)


def _log_sum(call: Call) -> str:
    return call.graph.node("Log", _reduced(call, "ReduceSum"))


def _arg(kind: str) -> Translate:
    def translate(call: Call) -> str:
        dtype = call.choice("output_dtype", ("int32", "uint16"), "int32")
        found = call.graph.node(
            kind, call.tensor("x"), axis=call.axis("axis", of="x"), keepdims=int(call.flag("keep_dims")), select_last_index=0
        )
        return call.graph.node("Cast", found, to=onnx_dtype(dtype))

    return translate


def _cumsum(call: Call) -> str:
    axis = call.graph.constant(call.axis("axis", of="x", default=0), np.int64)
    return call.graph.node(
        "CumSum", call.tensor("x"), axis, exclusive=int(call.flag("exclusive")), reverse=int(call.flag("reverse"))
    )


def _topk(call: Call) -> list[str]:
    axis = call.axis("axis", of="x")
    if not call.flag("sort", True) or not call.flag("return_indices", True):
        raise call.unsupported("with unsorted results or without indices")
    dtype = call.choice("output_indices_dtype", ("int32", "uint16"), "int32")
    k = call.integer("k", 1)
    count = call.graph.constant([call.shape("x")[axis] if k == -1 else k], np.int64)
    largest = int(not call.flag("ascending"))
    values, indices = call.graph.nodes("TopK", call.tensor("x"), count, count=2, axis=axis, largest=largest)
    return [values, call.graph.node("Cast", indices, to=onnx_dtype(dtype))]


def _argsort(call: Call) -> str:
    axis = call.axis("axis", of="x")
    count = call.graph.constant([call.shape("x")[axis]], np.int64)
    largest = int(not call.flag("ascending"))
    _, indices = call.graph.nodes("TopK", call.tensor("x"), count, count=2, axis=axis, largest=largest)
    return call.graph.node("Cast", indices, to=onnx_dtype("int32"))


def _spares_images(call: Call) -> bool:
    return 0 not in call.axes("axes", of="x")


def _along_another(default: int) -> KeepsImages:
    return lambda call: call.axis("axis", of="x", default=default) != 0


_REDUCE = {
    "reduce_sum": "ReduceSum",
    "reduce_mean": "ReduceMean",
    "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
    "reduce_l1_norm": "ReduceL1",
    "reduce_l2_norm": "ReduceL2",
    "reduce_sum_square": "ReduceSumSquare",
    "reduce_log_sum_exp": "ReduceLogSumExp",
}
ENTRIES: dict[str, Entry] = {
    **{name: entry(_reduce(kind), "x axes keep_dims", _spares_images) for name, kind in _REDUCE.items()},
    "reduce_log_sum": entry(_log_sum, "x axes keep_dims", _spares_images),
    "reduce_argmax": entry(_arg("ArgMax"), "x axis keep_dims output_dtype", _along_another(-1)),
    "reduce_argmin": entry(_arg("ArgMin"), "x axis keep_dims output_dtype", _along_another(-1)),
    "cumsum": entry(_cumsum, "x axis exclusive reverse", _along_another(0)),
    "topk": entry(_topk, "x k axis ascending sort return_indices output_indices_dtype", _along_another(-1)),
    "argsort": entry(_argsort, "x axis ascending", _along_another(-1)),
}
