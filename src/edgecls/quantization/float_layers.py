"""Float layers: which operations of a model stay float in its int8 files, by their nature and from the names that people give."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from edgecls.errors import SchemeError
from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.quantization.masks import masks
from edgecls.quantization.normalisations import normalisations

NEAR_MATCHES = 5


def layer_names(graph: TFLiteGraph) -> list[str]:
    """Names of the operations of a float TFLite model, in their order: each that of its only output tensor."""
    return [graph.names[operation.output] for operation in graph.operations if len(operation.outputs) == 1]


def never_int8(graph: TFLiteGraph) -> frozenset[str]:
    """Operations of a float TFLite model whose values 256 even steps cannot hold, by the names of their output tensors."""
    return normalisations(graph) | masks(graph)


def resolve_layers(
    asked: Sequence[str], layers: Sequence[str], outputs: Mapping[str, Sequence[str]] | None = None
) -> frozenset[str]:
    """The operations that names stand for.

    A name is that of the tensor, one of the names it is fused of (`a/Relu` of `a/Relu;a/BiasAdd;a/Conv2D`), or a layer of the model, one
    step of these paths (`a`), which stands for all operations made of it.

    Args:
        asked: as the user wrote them.
        layers: from `layer_names`.
        outputs: of those that have the name of an output, the names that they would have else.

    Raises:
        SchemeError: a name that stands for no operation; the message says which are near it.
    """
    chosen: set[str] = set()
    known = {layer: ";".join([layer, *(outputs or {}).get(layer, ())]) for layer in layers}
    for name in asked:
        found = [layer for layer in layers if name == layer] or [layer for layer in layers if name in _parts(known[layer])]
        if not found:
            raise SchemeError("--keep-float with layers of this model", repr(name), _near(name, list(known.values())))
        chosen.update(found)
    return frozenset(chosen)


def short_name(layer: str, layers: Sequence[str]) -> str:
    """A short name that stands for one operation alone: mostly that of the layer with the weights, last in the tensor's name."""
    others = {part for other in layers if other != layer for part in _parts(other)}
    paths = [path.split("/") for path in reversed(layer.split(";"))]
    computing = [path for path in paths if not path[-1].startswith("Pad")]  # padding is fused into the convolution behind it
    steps = [step for path in [*computing, *paths] for step in path[:-1]] + ["/".join(path) for path in paths]
    return next((name for name in steps if name and name not in others), layer)


def _parts(layer: str) -> set[str]:
    fused = layer.split(";")
    return {*fused, *(step for path in fused for step in path.split("/"))}


def _near(name: str, layers: Sequence[str]) -> str:
    known = list(dict.fromkeys(part for layer in layers for part in sorted(_parts(layer), key=len)))
    near = difflib.get_close_matches(name, known, NEAR_MATCHES, 0.5)
    if near:
        return f"did you mean {', '.join(near)}?"
    return (
        f"its operations are {', '.join(layer.split(';')[0] for layer in layers[:NEAR_MATCHES])} …; `edgecls inspect` shows all"
    )
