"""Float calls: which calls of a normalised flat model compute in float between int8 ones, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from edgecls.errors import RecipeError
from edgecls.records.written_out import written_out_layer
from edgecls.training.flat_graph import FlatGraph, Node

ASKED = "you asked for it"
WRITTEN_OUT = "written out as the functions it calls"
NO_RULE = "how its int8 form rounds is not known here"
NO_NUMBERS = "it makes no numbers that could be rounded"
BESIDE_OTHERS = "it takes one of several results of a layer that is float"


def float_calls(
    graph: FlatGraph, keep_float: Collection[str], has_rule: Callable[[Node], bool], is_fused: Callable[[Node], Node | None]
) -> dict[str, str]:
    """Call -> why it computes in float.

    Args:
        keep_float: names of layers that are to stay float.
        has_rule: whether it is known how a call's int8 form rounds.
        is_fused: the activation that TensorFlow Lite makes part of a call; None where it makes none.
    """
    found: dict[str, str] = {}
    loose: set[int] = set()  # results beside the first of a float call: nothing rounds them
    for node in graph.nodes:
        if node.layer.name in keep_float:
            found[node.name] = ASKED
        elif written_out_layer(node.layer.name) is not None:
            found[node.name] = WRITTEN_OUT
        elif any(not tensor.dtype.is_floating for tensor in node.outputs):
            found[node.name] = NO_NUMBERS
        elif any(id(tensor) in loose for tensor in node.inputs):
            found[node.name] = BESIDE_OTHERS
        elif not has_rule(node):
            found[node.name] = NO_RULE
        if node.name in found:
            loose.update(id(tensor) for tensor in node.outputs[1:])
    for node in graph.nodes:  # a call and its activation are one operation
        taker = is_fused(node)
        if taker is not None and (reason := found.get(node.name) or found.get(taker.name)):
            found |= {node.name: reason, taker.name: reason}
    return found


def takers(graph: FlatGraph, tensor: Any) -> Iterator[Node]:
    """The calls that take a tensor, seen through those that do nothing at inference."""
    for node in graph.consumers.get(id(tensor), []):
        if node.is_inert:
            yield from takers(graph, node.outputs[0])
        else:
            yield node


def check_names(graph: FlatGraph, keep_float: Collection[str], actions: dict[str, str]) -> None:
    """Refuse names of layers that a normalised model does not have.

    Args:
        actions: layer of the model before -> what was done about it.

    Raises:
        RecipeError: one that it does not have, and what became of it.
    """
    names = {node.layer.name for node in graph.nodes} | {written_out_layer(node.layer.name) for node in graph.nodes}
    for name in keep_float:
        if name not in names:
            became = (
                f"{name!r}, which is gone: {actions[name]}" if name in actions else f"{name!r}, which the model does not have"
            )
            raise RecipeError(
                "--keep-float with layers of this model", became, "take a name of `edgecls inspect MODEL --compression`"
            )
