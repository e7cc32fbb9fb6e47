"""The ImageSpec of a loaded model: size and layout from its input shape, preprocessing from the evidence there is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

import numpy as np

from edgecls.errors import OpenSizeError, UnsupportedModelError
from edgecls.models import teachable_machine
from edgecls.models.computation import Shape
from edgecls.models.graph_evidence import Scaling
from edgecls.records.image_spec import ImageSpec, Layout

_OVERRIDE = "--preprocess overrides"
_SIZE_REMEDY = "say which, height before width, as --input-size 224x224"
_REBUILD_REMEDY = (
    "save the model with one: build it again with an Input of fixed height, width and channels, load the weights into it"
)
# Scaling by less than this maps 0..255 to a few units, so pixels enter as they are; by more, the values are small already.
_PIXEL_SCALE = 1 / 16
# A value that becomes 0 is one of those that are scaled, as their mean is: above, they are pixels, below, they go from -1 to 1.
_HIGHEST_OF_UNIT, _LOWEST_OF_UNIT = 1.5, -0.5

# Families of keras.applications, told by names of their layers or of the model: (family, layer name, model name, its preprocessing).
# Of those that scale inside it is what a copy without these layers takes (`include_preprocessing=False`), as these compute it.
# Keras documents -1..1 of all EfficientNetV2s, but weights go with the layers, which compute it in S, M and L alone: those of B0 to B3
# take ImageNet's means off colour images.
_FAMILIES: tuple[tuple[str, str, str, str], ...] = (
    ("MobileNetV3", r"expanded_conv_\d+(_|/)squeeze_excite(_|/)conv(_\d)?", r"mobilenet_?v3", "-1..1"),
    ("MobileNetV2", r"expanded_conv_depthwise", r"mobilenet_?v2", "-1..1"),
    ("MobileNet", r"conv_dw_1", r"mobilenet(?!_?v[23])", "-1..1"),
    ("NASNet", r"normal_conv_1_\w+|adjust_conv_projection_\w+", r"nasnet", "-1..1"),
    ("Inception-ResNet", r"block35_1_\w+", r"inception_?resnet", "-1..1"),
    ("Inception", r"mixed10", r"inception(?!_?resnet)", "-1..1"),
    ("Xception", r"block\d+_sepconv1", r"xception", "-1..1"),
    ("ResNetV2", r"conv2_block1_preact_bn", r"resnet(50|101|152)_?v2", "-1..1"),
    ("DenseNet", r"conv2_block1_concat", r"densenet", "imagenet-torch"),
    ("ResNet", r"conv2_block1_1_conv|res2a_branch2a", r"resnet_?(50|101|152)(?!_?v2)", "imagenet-caffe"),
    ("VGG", r"block1_conv1", r"vgg_?1[69]", "imagenet-caffe"),
    ("EfficientNetV2", r"block4f_dwconv2", r"efficientnet_?v2[-_]?[sml](?![a-z])", "-1..1"),  # B0 to B3 end this block before
    ("EfficientNetV2-B", r"block4[a-e]_dwconv2", r"efficientnet_?v2[-_]?b\d", "imagenet-torch"),
    ("EfficientNetV2", r"block\d[a-z]_dwconv2", r"efficientnet_?v2", "-1..1"),
    ("EfficientNet", r"block1a_(dwconv|se_reduce)\w*", r"efficientnet", "imagenet-torch"),
    ("ConvNeXt", r"convnext_\w+_stem", r"convnext", "imagenet-torch"),
)
_SCALE_INSIDE = ("MobileNetV3", "EfficientNetV2", "EfficientNetV2-B", "EfficientNet", "ConvNeXt")
_SCALING_LAYER = re.compile(r"(\w+_prestem_)?(rescaling|normalization)(_\d+)?")


def image_shape(shape: Shape) -> tuple[int, int, int, Layout]:
    """Height, width, channels and layout of an input shape (batch axis apart).

    Raises:
        OpenSizeError: height or width are open.
        UnsupportedModelError: no image can be read into it.
    """
    text = list(shape)
    if any(size is None for size in shape) or not shape:
        if len(shape) in (2, 3) and None not in shape[2:] and not has_channels_first(shape):
            raise OpenSizeError("a fixed image size", f"the input shape {text}", _SIZE_REMEDY)
        raise UnsupportedModelError("a fixed image size", f"the input shape {text}", _REBUILD_REMEDY)
    sizes = [size for size in shape if size is not None]
    if len(sizes) == 1:
        return _flat(sizes[0])
    if len(sizes) == 2 and min(sizes) >= 4:
        return sizes[0], sizes[1], 1, "HW"
    if has_channels_first(shape):
        return sizes[1], sizes[2], sizes[0], "CHW"
    if len(sizes) == 3 and min(sizes[:2]) >= 2:
        return sizes[0], sizes[1], sizes[2], "HWC"
    raise UnsupportedModelError(
        "one image as input: [height, width, channels], [channels, height, width], [height, width] or [values]",
        f"the input shape {text}",
        "give an image classifier",
    )


def has_channels_first(shape: Shape) -> bool:
    """Whether an input shape is one of channels before height and width, these known or not."""
    return len(shape) == 3 and shape[0] in (1, 3, 4) and all(size is None or size > 4 for size in shape[1:])


def _flat(size: int) -> tuple[int, int, int, Layout]:
    for channels in (1, 3):
        side = math.isqrt(size // channels)
        if side >= 4 and side * side * channels == size:
            return side, side, channels, "flat"
    raise UnsupportedModelError(
        "a flat input that is a square image, grey or colour",
        f"the input shape [{size}], which is neither side*side nor side*side*3",
        "begin the model with Input(shape=(height, width, channels)) and Flatten(), then save it again",
    )


def infer_image_spec(
    shape: Shape, integer_input: bool, scaling: Scaling, names: Iterable[str], model_names: Iterable[str]
) -> ImageSpec:
    """The ImageSpec of a model, with the reason for its preprocessing in `note`.

    Args:
        shape: input shape, batch axis apart.
        integer_input: whether the model's own input dtype is an integer.
        scaling: what the model does to the values itself.
        names: names of its layers or operations.
        model_names: what the model and its file are called.

    Raises:
        UnsupportedModelError: no image can be read into the shape.
    """
    height, width, channels, layout = image_shape(shape)
    order = {1: "GRAY", 3: "RGB"}.get(channels, "OTHER")
    base = ImageSpec.model_validate(
        {"height": height, "width": width, "channels": channels, "layout": layout, "color_order": order}
    )
    if integer_input:
        return base.model_copy(
            update={"provenance": "in-model", "note": f"The model takes integers: pixels 0..255 enter as they are; {_OVERRIDE}."}
        )
    if not scaling.is_none:
        return _from_scaling(base, scaling)
    names = tuple(names)
    return teachable_machine.image_spec(base, names, shape) or _assumed(base, names, tuple(model_names))


def _from_scaling(base: ImageSpec, scaling: Scaling) -> ImageSpec:
    formula = f"x*{_numbers(scaling.scale)} + {_numbers(scaling.offset)}"
    small = np.max(np.abs(scaling.scale)) <= _PIXEL_SCALE
    zero = _becomes_zero(scaling)
    if small or np.max(zero) > _HIGHEST_OF_UNIT:
        note = f"Layers inside the model scale pixels ({formula}): 0..255 enter as they are; {_OVERRIDE}."
        return base.model_copy(update={"provenance": "in-model", "note": note})
    choice = "-1..1" if np.min(zero) < _LOWEST_OF_UNIT else "0..1"
    note = f"Assumed {choice}: layers inside the model compute {formula}, which suits such values, not pixels; {_OVERRIDE}."
    return base.with_preprocess(choice, "assumed").model_copy(update={"note": note})


def _becomes_zero(scaling: Scaling) -> np.ndarray:
    """The values that become 0, of the channels that have one: those multiplied by 0 do not. Where none has, 0 itself."""
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = np.ravel(-scaling.offset / scaling.scale)
    found = zero[np.isfinite(zero)]
    return found if found.size else np.zeros(1)


def _assumed(base: ImageSpec, names: tuple[str, ...], model_names: tuple[str, ...]) -> ImageSpec:
    scaling = next(filter(_SCALING_LAYER.fullmatch, sorted(names)), None)
    for family, reason, without in _families(names, model_names):
        scales = scaling is not None and family in _SCALE_INSIDE  # behind something that hides from the graph what it scales
        preprocess = "0..255" if scales else without
        if not preprocess.startswith("imagenet") or base.channels == 3:
            how = f" behind its layer {scaling}" if scales else " without scaling layers" if family in _SCALE_INSIDE else ""
            note = f"Assumed {preprocess}, as {family} of keras.applications is trained{how} ({reason}); {_OVERRIDE}."
            return base.with_preprocess(preprocess, "assumed").model_copy(update={"note": note})
    note = f"Assumed 0..1 (pixels/255), the most common choice: nothing in the model tells; {_OVERRIDE}."
    return base.with_preprocess("0..1", "assumed").model_copy(update={"note": note})


def application_of(names: Iterable[str], model_names: Iterable[str]) -> str:
    """Which family of keras.applications a model is of and what tells it, as `MobileNet (its layer conv_dw_1)`; empty for others.

    Args:
        names: of its layers or operations.
        model_names: what the model and its file are called.
    """
    found = next(_families(tuple(names), tuple(model_names)), None)
    return f"{found[0]} ({found[1]})" if found else ""


def _families(names: tuple[str, ...], model_names: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """(family, what tells it, its preprocessing) of the families that a model may be of."""
    for family, layer, model, preprocess in _FAMILIES:
        by_layer = min((name for name in names if re.fullmatch(layer, name)), default=None)
        by_model = next((name for name in model_names if re.search(model, name, re.IGNORECASE)), None)
        if by_layer is not None or by_model is not None:
            yield family, f"its layer {by_layer}" if by_layer is not None else f"the name {by_model}", preprocess


def _numbers(values: np.ndarray) -> str:
    flat = np.ravel(values)
    text = ", ".join(f"{value:.4g}" for value in flat[:3])
    return text if flat.size == 1 else f"[{text}{', ...' if flat.size > 3 else ''}]"
