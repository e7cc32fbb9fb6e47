"""The scan of a SavedModel's graphs: which operations they hold, and which of the checkpoint's run when it is loaded or computed.

Every SavedModel holds operations that write and read checkpoints, for TensorFlow to save it again. They are harmless where nothing
runs them; anywhere else they reach whatever file the graph names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from edgecls.models.safety import Suspect, scan_operations

_WRITING = frozenset({"MergeV2Checkpoints", "Save", "SaveSlices", "SaveV2"})
_READING = frozenset({"Restore", "RestoreSlice", "RestoreV2"})
_INITIALIZERS = ("saved_model_main_op", "legacy_init_op", "table_initializer")  # collections of what runs after loading
_INITIALIZED = "local_variables"  # a collection of variables whose initializers run after loading
_INIT_SIGNATURE = "__saved_model_init_op"
_UNCALLED = frozenset(
    {"_adapt_function"}
)  # attributes of Keras's layers: functions that training alone calls, on its stream of data


def scan_saved_model(saved_model: Any) -> list[Suspect]:
    """Find operations that do more than compute, in every graph and function, and checkpoint operations where they would run."""
    by_objects = len(saved_model.meta_graphs) == 1 and saved_model.meta_graphs[0].HasField("object_graph_def")
    return [finding for meta_graph in saved_model.meta_graphs for finding in _scan(meta_graph, by_objects)]


def _scan(meta_graph: Any, by_objects: bool) -> Iterator[Suspect]:
    """Findings of one graph; `by_objects`: TensorFlow 2 loads its functions alone, else TensorFlow 1 imports the graph around them."""
    functions = {function.signature.name: list(function.node_def) for function in meta_graph.graph_def.library.function}
    graph = list(meta_graph.graph_def.node)
    everything = [(node.name, node.op) for node in graph]
    uncalled = _uncalled(meta_graph.object_graph_def, graph, functions) if by_objects else set()
    everything += [(f"{name}/{node.name}", node.op) for name in functions.keys() - uncalled for node in functions[name]]
    yield from scan_operations(
        (name, operation)
        for name, operation in everything
        if operation not in _WRITING | _READING and not _is_call(operation, functions)
    )
    if by_objects:
        yield from _checkpoints(_called(meta_graph.object_graph_def.concrete_functions.keys() - uncalled, functions))
        return
    restore = _reached(graph, [meta_graph.saver_def.restore_op_name])
    filename = _node_of(meta_graph.saver_def.filename_tensor_name)
    own = {node.name for node in restore if node.op in _READING and [_node_of(name) for name in node.input[:1]] == [filename]}
    computed = _reached(graph, _entries(meta_graph))
    running = [*((node.name, node) for node in computed), *((node.name, node) for node in restore if node.name not in own)]
    yield from _checkpoints(running)
    yield from _checkpoints(_called((name for _, node in running for name in _references(node)), functions))


def _uncalled(objects: Any, graph: list[Any], functions: dict[str, list[Any]]) -> set[str]:
    """Functions that are reached through `_UNCALLED` attributes of the saved objects, and in no other way."""
    named: dict[bool, set[str]] = {True: set(), False: set()}  # by whether the attribute is one of those
    for node in objects.nodes:
        if not node.HasField("function"):  # whose own children are its traces again
            for child in node.children:
                named[child.local_name in _UNCALLED] |= set(_concrete(objects.nodes[child.node_id]))
        for saveable in node.saveable_objects.values():  # run when the folder is loaded
            for number in (saveable.save_function, saveable.restore_function):
                named[False] |= set(_concrete(objects.nodes[number]))
    known = named[True] | named[False]
    called = {name for name in objects.concrete_functions if name not in known} | named[False]
    called |= {name for node in graph for name in _references(node)}
    inside = {name.partition("/")[0] for name, _ in _called(named[True], functions)}
    return inside - {name.partition("/")[0] for name, _ in _called(called, functions)}


def _concrete(node: Any) -> Iterable[str]:
    """The functions of the library that a saved object is."""
    bare = node.bare_concrete_function.concrete_function_name
    return [bare] if bare else node.function.concrete_functions


def _is_call(operation: str, functions: dict[str, list[Any]]) -> bool:
    """Whether an operation is a function of the file, called by its name as TensorFlow 1 does; none may pass for TensorFlow's own."""
    from tensorflow.python.framework import op_def_registry

    return operation in functions and op_def_registry.get(operation) is None


def _checkpoints(nodes: Iterable[tuple[str, Any]]) -> Iterator[Suspect]:
    for name, node in nodes:
        if node.op in _WRITING | _READING:
            what = "writes" if node.op in _WRITING else "reads"
            yield Suspect(name, f"{node.op}: {what} files when the model is loaded or computed", "code")


def _entries(meta_graph: Any) -> Iterator[str]:
    """Names of the nodes TensorFlow 1 computes: outputs of signatures, and what is run after loading."""
    from tensorflow.core.framework.variable_pb2 import VariableDef

    for key, signature in meta_graph.signature_def.items():
        for tensor in signature.outputs.values():
            parts = tensor.coo_sparse
            yield from (tensor.name, parts.values_tensor_name, parts.indices_tensor_name, parts.dense_shape_tensor_name)
            yield from (part.name for part in tensor.composite_tensor.components)
        if key == _INIT_SIGNATURE:
            yield from (tensor.name for tensor in signature.inputs.values())
    for name, collection in meta_graph.collection_def.items():
        if name in _INITIALIZERS:
            yield from collection.node_list.value
        elif name == _INITIALIZED:
            yield from (VariableDef.FromString(variable).initializer_name for variable in collection.bytes_list.value)


def _reached(graph: list[Any], names: Iterable[str]) -> list[Any]:
    """The nodes that are computed where those of `names` are, through inputs and control dependencies."""
    by_name = {node.name: node for node in graph}
    pending, reached = [_node_of(name) for name in names], {}
    while pending:
        name = pending.pop()
        if name in by_name and name not in reached:
            reached[name] = by_name[name]
            pending += map(_node_of, by_name[name].input)
    return list(reached.values())


def _called(names: Iterable[str], functions: dict[str, list[Any]]) -> Iterator[tuple[str, Any]]:
    """The nodes of functions and of all that they call, under the function's name."""
    pending, seen = list(names), set()
    while pending:
        name = pending.pop()
        if name in functions and name not in seen:
            seen.add(name)
            for node in functions[name]:
                yield f"{name}/{node.name}", node
                pending += _references(node)


def _references(node: Any) -> Iterator[str]:
    """Names of functions a node mentions: in its attributes, or as its own operation."""
    yield node.op
    for value in node.attr.values():
        yield from (called.name for called in (value.func, *value.list.func))


def _node_of(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]
