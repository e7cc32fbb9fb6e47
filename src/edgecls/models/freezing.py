"""Freezing: a function is traced once with batch 1 and becomes a graph of constants, from `image` to `scores`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from edgecls.errors import UnsupportedModelError
from edgecls.models.conditions import decide_conditions
from edgecls.models.graph_rewrites import drop_assignments, drop_places, spell_out_batch_statistics, take_pixels_as_they_are
from edgecls.models.patches import spell_out_patches
from edgecls.models.relu_scales import move_scales_before_relus
from edgecls.system.extras import require

INPUT, OUTPUT = "image", "scores"
_CALLS = re.compile(r"(Stateful|)PartitionedCall|SymbolicGradient|RemoteCall")
_RANDOM = re.compile(
    r"Random(?!Dataset)\w*|Stateless(Random|Truncated|Multinomial|Parameterized)\w*|TruncatedNormal|Multinomial|Stateful(Uniform|\w*Normal)\w*"
)
_RANDOM_REMEDY = (
    "where they are augmentation, which model.export() of Keras 3 leaves switched on, give the .keras or .h5 file, in which it rests; "
    "else take those layers out and save the model again"
)
_COMPILATION_MARKS = ("_XlaMustCompile", "_noinline")
_UNMARKED = "_unmarked"
_VARIABLES = re.compile(r"VarHandleOp|ReadVariableOp|VariableV2|Variable|ResourceGather")


def freeze_function(function: Callable[[Any], Any], input_shape: tuple[int, ...], names: Sequence[str] = (OUTPUT,)) -> Any:
    """Trace `function` on a float32 image [1, *input_shape] and fold its variables into constants.

    Args:
        names: what to call its results.

    Returns:
        a GraphDef without variables and function calls, whose placeholder is `image` and whose results have these names.

    Raises:
        UnsupportedModelError: the graph keeps state, random numbers or calls.
    """
    tf = require("tensorflow")
    traced = tf.function(function, autograph=False).get_concrete_function(
        tf.TensorSpec((1, *input_shape), tf.float32, name=INPUT)
    )
    source, results = traced.inputs[0].op.name, [tensor.name for tensor in traced.outputs]
    graph = fold(traced)
    if any(_CALLS.fullmatch(node.op) for node in graph.node):
        graph = fold(_without_compilation(graph, source, results))
    drop_assignments(graph)
    drop_places(graph)
    spell_out_batch_statistics(graph)
    graph = decide_conditions(_rename(graph, source, dict(zip(names, results, strict=True))), INPUT, names)
    take_pixels_as_they_are(graph, INPUT)
    spell_out_patches(graph)
    move_scales_before_relus(graph)
    graph = tf.compat.v1.graph_util.extract_sub_graph(graph, list(names))
    _check(graph)
    return graph


def fold(function: Any) -> Any:
    """The GraphDef of a concrete function with its calls inlined and its variables as constants; names stay.

    The two steps of `convert_variables_to_constants_v2` without its last, which makes a function of the graph again: half its time.
    """
    require("tensorflow")
    from tensorflow.python.framework import convert_to_constants

    data = convert_to_constants._FunctionConverterDataInEager(func=function, lower_control_flow=True, aggressive_inlining=False)
    return convert_to_constants._replace_variables_by_constants(converter_data=data)[0]


def _without_compilation(graph: Any, source: str, results: list[str]) -> Any:
    """A function of a graph of constants without marks for XLA: calls so marked (Keras 3 marks grouped convolutions) are never inlined."""
    tf = require("tensorflow")
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    for item in (*nodes, *graph.library.function):
        for mark in _COMPILATION_MARKS:
            item.attr.pop(mark, None)
    for inner in graph.library.function:  # TensorFlow knows the marked ones by their names already
        inner.signature.name += _UNMARKED
    for node in nodes:
        for value in node.attr.values():
            for called in (value.func, *value.list.func):
                if called.name:
                    called.name += _UNMARKED
    imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    return imported.prune(f"{source}:0", results)


def constant_call(function: Any) -> Callable[[Any], list[Any]]:
    """A concrete function with one input as a call of its graph, variables folded into constants.

    Needed where tracing the function itself would leave it a call: reference variables of TensorFlow 1 cannot be captured, and a
    function of a fixed batch size takes no other.
    """
    tf = require("tensorflow")
    graph, source = fold(function), function.inputs[0].name
    results = [tensor.name for tensor in function.outputs]
    return lambda image: tf.graph_util.import_graph_def(graph, {source: image}, results, name="source")


def _rename(graph: Any, source: str, results: dict[str, str]) -> Any:
    """Name the input `image` and each result as asked (name -> tensor); a node of the model that has such a name gets another."""
    names = {name: f"{name}_layer" for name in (INPUT, *results)} | {source: INPUT}
    for node in graph.node:
        node.name = names.get(node.name, node.name)
        for index, reference in enumerate(node.input):
            control, name, port = re.fullmatch(r"(\^?)([^:]+)(.*)", reference).groups()  # type: ignore[union-attr]
            if name in names:
                node.input[index] = f"{control}{names[name]}{port}"
    for wanted, result in results.items():
        name, _, port = result.partition(":")
        maker = names.get(name, name)
        scores = graph.node.add(name=wanted, op="Identity", input=[f"{maker}:{port}" if port not in ("", "0") else maker])
        scores.attr["T"].type = require("tensorflow").float32.as_datatype_enum
    return graph


def _check(graph: Any) -> None:
    integers = [node.name for node in graph.node if _multiplies_integers(node)]
    if integers:
        raise UnsupportedModelError(
            "a float model",
            f"products of integers, as Keras's model.quantize() makes them: {', '.join(integers[:3])}",
            "give the .keras file, whose kernels can be dequantized, or export the model before it is quantized",
        )
    for pattern, what, remedy in (
        (_RANDOM, "random numbers", _RANDOM_REMEDY),
        (_VARIABLES, "variables that cannot become constants", "save the model without tables and other mutable state"),
        (_CALLS, "calls of functions that cannot be inlined", "save the model without control flow of its own"),
    ):
        found = [f"{node.name} ({node.op})" for node in graph.node if pattern.fullmatch(node.op)]
        if found:
            raise UnsupportedModelError(
                "a model that computes the same each time, of constants", f"{what}: {', '.join(found[:3])}", remedy
            )


def _multiplies_integers(node: Any) -> bool:
    dtypes = require("tensorflow").dtypes
    factors = [
        node.attr[name].type for name in ("T", "Ta") if name in node.attr
    ]  # asking for one that is not there would make it
    return "MatMul" in node.op and any(
        factor in (dtypes.int8.as_datatype_enum, dtypes.uint8.as_datatype_enum) for factor in factors
    )
