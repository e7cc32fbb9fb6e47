"""Patches of an image, as vision transformers cut them with `tf.image.extract_patches`: an operation that no format here has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.errors import UnsupportedModelError
from edgecls.models.graph_rewrites import constant_node, operation_node, replace_nodes
from edgecls.system.extras import require

_OPERATION = "ExtractImagePatches"
_MOST_PICKED = 2048  # values of a patch whose kernel, of as many squared, takes 16 MiB


@dataclass(frozen=True)
class _Tiling:
    """Patches that lie side by side: an image in another order, [N, height, width, channels] through two shapes and one transposition.

    Attributes:
        rows: the shape of [rows of patches, rows in a patch, patches in a row, values in a row of a patch].
        order: of its axes, so that each patch lies in one piece.
        patches: the shape that comes out, [N, patches down, patches across, values].
    """

    rows: tuple[int, int, int, int]
    order: tuple[int, int, int, int]
    patches: tuple[int, int, int, int]


def _tiling(image: Sequence[int | None], sizes: Sequence[int], strides: Sequence[int], rates: Sequence[int]) -> _Tiling | None:
    """How to cut an image [N, height, width, channels] into patches; None where they overlap, leave something out or sizes are open."""
    _, height, width, channels = image
    _, down, across, _ = sizes
    if height is None or width is None or channels is None or list(sizes) != list(strides) or set(rates) != {1}:
        return None
    if height % down or width % across:
        return None
    rows = (-1, down, width // across, across * channels)
    return _Tiling(rows, (0, 2, 1, 3), (-1, height // down, width // across, down * across * channels))


def _picking_kernel(sizes: Sequence[int], channels: int) -> np.ndarray:
    """The kernel of a convolution that makes patches: each of its outputs is one of the values below it, in the patch's order."""
    _, down, across, _ = sizes
    values = down * across * channels
    return np.eye(values, dtype=np.float32).reshape(down, across, channels, values)


def spell_out_patches(graph: Any) -> None:
    """Write the cutting of patches in operations that every format has, to the bit: in another order, or picked by a convolution."""
    cutting = [node for node in graph.node if node.op == _OPERATION]
    if not cutting:
        return
    tf = require("tensorflow")
    shapes = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), []).graph
    parts: dict[str, list[Any]] = {}
    for node in cutting:
        shape = shapes.get_operation_by_name(node.name).inputs[0].shape.as_list()
        if shape[3] is not None:
            parts[node.name] = list(_steps(node, shape))
    kept = [node for node in graph.node if node.name not in parts]
    replace_nodes(graph, [*kept, *(part for steps in parts.values() for part in steps)])


def _steps(node: Any, shape: list[int | None]) -> Iterator[Any]:
    """The nodes that take the place of one, the last under its name."""
    tf = require("tensorflow")
    name, source, dtype = node.name, node.input[0], node.attr["T"].type
    sizes, strides, rates = (list(node.attr[attribute].list.i) for attribute in ("ksizes", "strides", "rates"))
    found = _tiling(shape, sizes, strides, rates)
    if found is None:
        if (values := sizes[1] * sizes[2] * (shape[3] or 1)) > _MOST_PICKED:
            raise UnsupportedModelError(
                f"patches that lie side by side and fill the image, or of at most {_MOST_PICKED:,} values",
                f"{name}, whose patches of {values:,} values do neither",
                "cut the image so that they do, with strides as large as the patches",
            )
        yield constant_node(f"{name}/kernel", _picking_kernel(sizes, shape[3] or 1).astype(tf.as_dtype(dtype).as_numpy_dtype))
        made = [operation_node(name, "Conv2D", (source, f"{name}/kernel"))]
        made[0].attr["strides"].list.i[:] = strides
        made[0].attr["dilations"].list.i[:] = rates
        made[0].attr["padding"].s, made[0].attr["data_format"].s = node.attr["padding"].s, b"NHWC"
    else:
        for part, values in (("rows", found.rows), ("order", found.order), ("patches", found.patches)):
            yield constant_node(f"{name}/{part}_of", np.array(values, np.int32))
        made = [
            operation_node(f"{name}/rows", "Reshape", (source, f"{name}/rows_of")),
            operation_node(f"{name}/order", "Transpose", (f"{name}/rows", f"{name}/order_of")),
            operation_node(name, "Reshape", (f"{name}/order", f"{name}/patches_of")),
        ]
        made[1].attr["Tperm"].type = tf.int32.as_datatype_enum
    for part in made:
        part.attr["T"].type = dtype
        yield part
