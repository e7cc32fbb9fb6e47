"""What an ONNX file takes: the order of the input's axes, and how many images at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecls.converters.onnx.convert import ONNX_LAYOUTS, rename, simplify
from edgecls.errors import ConversionError, InputError
from edgecls.formats.onnx.names import INPUT, has_free_batch
from edgecls.records.artifact import OnnxBatch, OnnxLayout
from edgecls.records.image_spec import ImageSpec, Layout
from edgecls.records.metadata import ArtifactMetadata

if TYPE_CHECKING:
    import onnx

_LAYOUTS: dict[OnnxLayout, Layout] = {name: layout for layout, name in ONNX_LAYOUTS.items()}
_BACK = {"nchw": (0, 2, 3, 1), "nhwc": (0, 3, 1, 2)}  # axes of the file -> the order that makes those of the model
_FORWARD = {"nchw": (0, 3, 1, 2), "nhwc": (0, 2, 3, 1)}


def check_layout(spec: ImageSpec, layout: OnnxLayout | None) -> None:
    """Raises InputError where a layout is asked for and the model's input has no axis of channels."""
    if layout is not None and spec.layout not in ONNX_LAYOUTS:
        found = f"an input of {' x '.join(map(str, spec.input_shape))}, without an axis of channels"
        raise InputError(f"a model of images with channels for --onnx-layout {layout}", found, "leave --onnx-layout out")


def with_layout_of(record: ArtifactMetadata, layout: OnnxLayout | None) -> ArtifactMetadata:
    """The record of a file with that layout."""
    if layout is None:
        return record
    return record.model_copy(update={"image_spec": record.image_spec.model_copy(update={"layout": _LAYOUTS[layout]})})


def with_input(model: onnx.ModelProto, spec: ImageSpec, layout: OnnxLayout | None, batch: OnnxBatch | None) -> onnx.ModelProto:
    """A float model as it is asked for.

    Args:
        model: from `float_onnx`; unchanged.
        spec: of the model.
        layout: axes of its input, None for those it has.
        batch: how many images at once; None for what it takes.

    Raises:
        ConversionError: an operation depends on the number of images, and another one is asked for.
    """
    other = layout if layout is not None and _LAYOUTS[layout] != spec.layout else None
    if batch not in (None, 1) and not has_free_batch(model):
        raise ConversionError(
            f"a model that takes {'any number of' if batch == 'free' else batch} images at once for --onnx-batch {batch}",
            "an operation that depends on the number of images, one",
            "give --onnx-batch 1, or leave it out",
        )
    turned = _turned(model, other) if other else model
    return _fixed(turned, batch) if isinstance(batch, int) else turned


def about_input(model: onnx.ModelProto, spec: ImageSpec, layout: OnnxLayout | None, batch: OnnxBatch | None) -> list[str]:
    """What the manifest says of it, one sentence each."""
    notes = []
    if isinstance(batch, int):
        notes.append(f"the ONNX files take {batch} {'image' if batch == 1 else 'images'} at a time, as asked")
    elif not has_free_batch(model):
        notes.append("the ONNX files take one image at a time: an operation depends on the number of images")
    if layout is not None and _LAYOUTS[layout] != spec.layout:
        shape = ", ".join(str(size) for size in spec.model_copy(update={"layout": _LAYOUTS[layout]}).input_shape)
        notes.append(f"the ONNX files take images as {layout.upper()} [N, {shape}], as asked")
    return notes


def _turned(model: onnx.ModelProto, layout: OnnxLayout) -> onnx.ModelProto:
    """A copy whose input has its axes in the order of `layout`. onnxruntime cancels the transpose that this takes with those that stand
    before convolutions, also across what is computed between them."""
    from onnx import helper

    copy = type(model).FromString(model.SerializeToString())
    graph, inner = copy.graph, f"{INPUT}/{ONNX_LAYOUTS['CHW' if layout == 'nhwc' else 'HWC']}"
    rename(graph, INPUT, inner)
    graph.input[0].name = INPUT
    dimensions = graph.input[0].type.tensor_type.shape.dim
    ordered = [type(dimensions[place]).FromString(dimensions[place].SerializeToString()) for place in _FORWARD[layout]]
    del dimensions[:]
    dimensions.extend(ordered)
    graph.node.insert(0, helper.make_node("Transpose", [INPUT], [inner], inner, perm=_BACK[layout]))
    del graph.value_info[:]
    return simplify(copy)


def _fixed(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """A copy with a batch axis of one length."""
    copy = type(model).FromString(model.SerializeToString())
    del copy.graph.value_info[:]
    for value in (*copy.graph.input, *copy.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    return copy
