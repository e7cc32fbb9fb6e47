"""TFLite: the frozen graph as a float32 file, and the reduced schemes made from that file.

The float32 file is the hub: float16, dynamic and int8 are rewritten from it, ONNX is derived from it, and the int8 ranges are measured
on its tensors, so that a tensor has one name everywhere.
"""

from __future__ import annotations

import re

from edgecls.errors import ConversionError
from edgecls.records.frozen_graph import FrozenGraph
from edgecls.system.extras import quiet_frameworks, require

_FOREIGN = re.compile(
    r"""loc\(.*?"([^":]+)"\]?\)*: 'tf\.(\w+)' op is neither a custom op nor a flex op"""
)  # where it is, what it is


def float_tflite(graph: FrozenGraph) -> bytes:
    """Convert the frozen graph to a float32 TFLite model without metadata.

    Raises:
        ConversionError: an operation has no TFLite counterpart.
    """
    # The converter of the version 1 API reads a frozen graph as it is; that of version 2 would trace, freeze and optimize it once more:
    # the same file in more than twice the time.
    converters = require("tensorflow").compat.v1.lite.TFLiteConverter
    source, *results = (name.partition(":")[0] for name in (graph.input, graph.output, *graph.others))
    try:
        with quiet_frameworks():
            return converters.from_frozen_graph(str(graph.path), [source], results, {source: list(graph.input_shape)}).convert()
    except Exception as error:  # the converter raises whatever its MLIR passes leave behind
        raise ConversionError(
            "a graph of TFLite's own operations",
            _first_cause(error),
            "replace that layer: ONNX files are made of TFLite's operations too",
        ) from error


def _first_cause(error: Exception) -> str:
    foreign = dict.fromkeys(f"{operation} ({place})" for place, operation in _FOREIGN.findall(str(error)))
    if foreign:
        return ", ".join(foreign)[:300]
    lines = [line.strip() for line in str(error).splitlines() if "error:" in line or "is neither a custom op" in line]
    return (lines[0] if lines else f"{type(error).__name__}: {error}")[:300]
