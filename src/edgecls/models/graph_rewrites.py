"""Rewrites of a frozen graph: the same values at inference, in operations that every converter has."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from edgecls.system.extras import require

_ASSIGNMENTS = re.compile(r"Assign(Add|Sub|)(VariableOp|)")
_OTHER_PRECISIONS = ("float16", "bfloat16", "float64")
_REDUCED = {b"NCHW": [0, 2, 3], b"NHWC": [0, 1, 2]}


def drop_assignments(graph: Any) -> None:
    """Take out what would write to variables, which are constants now: random layers count their draws even when they are inert."""
    assigning = {node.name for node in graph.node if _ASSIGNMENTS.fullmatch(node.op)}
    kept = [node for node in graph.node if node.name not in assigning]
    for node in kept:
        if inputs := [name for name in node.input if name.startswith("^") and name[1:] in assigning]:
            for name in inputs:
                node.input.remove(name)
    if assigning:
        replace_nodes(graph, kept)


def drop_places(graph: Any) -> None:
    """Take out which operations should run in one place. A graph that is built into another one would keep its own input for that."""
    for node in graph.node:
        node.attr.pop("_class", None)


def spell_out_batch_statistics(graph: Any) -> None:
    """Write normalizations by the statistics of the values themselves as arithmetic.

    Keras 2 computes LayerNormalization with a fused batch normalization in training mode on a reshaped tensor, channels first: an
    operation that neither TFLite nor CPU kernels have in that form.
    """
    fused = [node for node in graph.node if node.op.startswith("FusedBatchNorm") and node.attr["is_training"].b]
    if fused:
        names = {node.name for node in fused}
        kept = [node for node in graph.node if node.name not in names]
        replace_nodes(graph, [*kept, *(part for node in fused for part in _normalization(node))])


def replace_nodes(graph: Any, nodes: list[Any]) -> None:
    """Put `nodes` in the place of all nodes of a GraphDef."""
    copies = [copy.deepcopy(node) for node in nodes]  # those of the graph go with it
    del graph.node[:]
    graph.node.extend(copies)


def _normalization(node: Any) -> Iterator[Any]:
    """(x - mean) * rsqrt(variance + epsilon) * scale + offset, under the node's own name."""
    x, scale, offset = node.input[:3]
    layout, name = node.attr["data_format"].s or b"NHWC", node.name
    axes = np.array(_REDUCED[layout], np.int32)
    per_channel = np.array([1, -1, 1, 1] if layout == b"NCHW" else [1, 1, 1, -1], np.int32)
    yield constant_node(f"{name}/axes", axes)
    yield constant_node(f"{name}/per_channel", per_channel)
    yield constant_node(f"{name}/epsilon", np.float32(node.attr["epsilon"].f))
    for part, op, inputs in (
        ("mean", "Mean", (x, f"{name}/axes")),
        ("squares", "SquaredDifference", (x, f"{name}/mean")),
        ("variance", "Mean", (f"{name}/squares", f"{name}/axes")),
        ("raised", "AddV2", (f"{name}/variance", f"{name}/epsilon")),
        ("inverse", "Rsqrt", (f"{name}/raised",)),
        ("centred", "Sub", (x, f"{name}/mean")),
        ("normal", "Mul", (f"{name}/centred", f"{name}/inverse")),
        ("scale", "Reshape", (scale, f"{name}/per_channel")),
        ("offset", "Reshape", (offset, f"{name}/per_channel")),
        ("scaled", "Mul", (f"{name}/normal", f"{name}/scale")),
        ("", "AddV2", (f"{name}/scaled", f"{name}/offset")),
    ):
        yield operation_node(f"{name}/{part}" if part else name, op, inputs)


def operation_node(name: str, op: str, inputs: tuple[str, ...]) -> Any:
    """A NodeDef that computes in float32."""
    tf = require("tensorflow")
    node = tf.compat.v1.NodeDef(name=name, op=op, input=inputs)
    node.attr["T"].type = tf.float32.as_datatype_enum
    if op == "Mean":
        node.attr["keep_dims"].b, node.attr["Tidx"].type = True, tf.int32.as_datatype_enum
    if op == "Reshape":
        node.attr["Tshape"].type = tf.int32.as_datatype_enum
    return node


def constant_node(name: str, value: Any) -> Any:
    """A NodeDef of an array."""
    tf = require("tensorflow")
    node = tf.compat.v1.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return node


def append_operation(graph: Any, op: str, scores: str) -> None:
    """Put an operation of one float32 input behind the graph's scores; its result takes their name."""
    names = {node.name for node in graph.node}
    before = f"{scores}/before"
    while before in names:
        before += "_"
    next(node for node in graph.node if node.name == scores).name = before
    graph.node.append(operation_node(scores, op, (before,)))


def other_precisions(graph: Any) -> list[str]:
    """Names of the floating dtypes other than float32 that a graph computes in."""
    tf = require("tensorflow")
    found = {attr.type for node in graph.node for attr in node.attr.values() if attr.WhichOneof("value") == "type"}
    return [name for name in _OTHER_PRECISIONS if getattr(tf, name).as_datatype_enum in found]


def compute_in_float32(graph: Any) -> None:
    """Make a graph of constants compute in float32 what it computes in another floating dtype: converters have no other."""
    tf = require("tensorflow")
    others = {getattr(tf, name).as_datatype_enum for name in _OTHER_PRECISIONS}
    single = tf.float32.as_datatype_enum
    for node in graph.node:
        for attr in node.attr.values():
            kind = attr.WhichOneof("value")  # to look at another one would set it
            if kind == "type" and attr.type in others:
                attr.type = single
            elif kind == "tensor" and attr.tensor.dtype in others:
                attr.tensor.CopyFrom(tf.make_tensor_proto(tf.make_ndarray(attr.tensor).astype(np.float32)))
        if node.op == "Cast" and node.attr["SrcT"].type == node.attr["DstT"].type:
            _become_identity(node, node.input[0], single)


def take_pixels_as_they_are(graph: Any, image: str) -> None:
    """Drop the step through integers where a model takes integers and goes on in float32: the same for whole numbers, and Core ML
    has no such step for all of them."""
    single = require("tensorflow").float32.as_datatype_enum
    for cast in [node for node in graph.node if node.op == "Cast" and node.input[0] == image]:
        copies = {cast.name}
        while more := {node.name for node in graph.node if node.op == "Identity" and node.input[0] in copies} - copies:
            copies |= more
        after = [node for node in graph.node if node.name not in copies and copies & set(node.input)]
        if all(node.op == "Cast" and node.attr["DstT"].type == single for node in after):
            for node in after:
                _become_identity(node, image, single)


def _become_identity(node: Any, source: str, dtype: int) -> None:
    del node.input[:]
    node.input.append(source)
    node.op = "Identity"
    node.attr.clear()
    node.attr["T"].type = dtype
