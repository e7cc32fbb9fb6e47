"""What LiteRT's delegate really took over: read from the allocated graph, not assumed."""

from __future__ import annotations

import collections
import importlib.metadata
from typing import Any

from edgecls.records.engine import Engine

_DELEGATE = "DELEGATE"


def delegation(interpreter: Any) -> Engine:
    """Which operations of the file run in the delegate, after `allocate_tensors`.

    LiteRT puts nodes of type DELEGATE behind the file's own, which stay listed. What one of them replaces is what lies between its
    outputs and its inputs. XNNPACK is the only delegate that LiteRT applies by itself.
    """
    nodes = interpreter._get_ops_details()
    own = [node for node in nodes if node["op_name"] != _DELEGATE]
    taken = delegated_nodes(nodes)
    left = collections.Counter(node["op_name"] for node in own if node["index"] not in taken)
    outside = ", ".join(f"{count} {name}" for name, count in left.most_common())
    version = importlib.metadata.version("ai-edge-litert")
    return Engine(
        name="LiteRT",
        version=version,
        delegate="XNNPACK" if taken else "none",
        verified=True,
        operations=len(own),
        delegated_operations=len(taken),
        note=f"outside XNNPACK: {outside}" if taken and left else "XNNPACK took no operation" if not taken else "",
    )


def delegated_nodes(nodes: list[dict[str, Any]]) -> set[int]:
    """Indices of the file's own nodes that a delegate runs; `nodes` as `Interpreter._get_ops_details()` gives them."""
    maker = {int(tensor): node for node in nodes if node["op_name"] != _DELEGATE for tensor in node["outputs"]}
    taken: set[int] = set()
    for delegate in (node for node in nodes if node["op_name"] == _DELEGATE):
        given = {int(tensor) for tensor in delegate["inputs"]}
        waiting = [int(tensor) for tensor in delegate["outputs"]]
        while waiting:
            tensor = waiting.pop()
            node = maker.get(tensor)
            if node is None or tensor in given or node["index"] in taken:
                continue
            taken.add(node["index"])
            waiting += [int(source) for source in node["inputs"]]
    return taken
