"""Names in an ONNX file that depend on the model alone: tf2onnx numbers what it adds in an order that changes from run to run."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from edgecls.formats.onnx.names import tflite_name

if TYPE_CHECKING:
    import onnx

_NUMBERED = re.compile(r"__\d+(:\d+)?$")


def settle_names(graph: onnx.GraphProto, kept: Collection[str]) -> None:
    """Call constants and values that tf2onnx numbered after the operation that reads or makes them, and sort the constants.

    Args:
        graph: changed.
        kept: names of TFLite tensors, which stay, with what `explicit` puts behind them.
    """
    constants = {item.name for item in graph.initializer}
    border = {value.name for value in (*graph.input, *graph.output)}
    taken = border | constants | {name for node in graph.node for name in node.output}
    new: dict[str, str] = {}

    def call(name: str, after: str) -> None:
        if name in new or name in border or not _NUMBERED.search(name) or tflite_name(name) in kept:
            return
        found, count = after, 1
        while found in taken:
            count += 1
            found = f"{after}{count}"
        taken.add(found)
        new[name] = found

    for node in graph.node:
        for name in node.output:
            call(name, f"{_NUMBERED.sub('', name)}/{node.op_type}")
        for place, name in enumerate(node.input):
            if name in constants:
                call(name, f"{new.get(node.output[0], node.output[0])}/operand{place}")
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
        node.name = node.output[0]
    for item in graph.initializer:
        item.name = new.get(item.name, item.name)
    ordered = sorted(graph.initializer, key=lambda item: item.name)
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(ordered)
