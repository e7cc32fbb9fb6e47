"""Networks to train: two of our own, and what turns features into scores. All take pixels from 0 to 255 as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecls.records.image_spec import ImageSpec
from edgecls.records.training import TrainingPlan
from edgecls.system.extras import require

_MOST_FLATTENED = 64  # places of a feature map whose features a dense layer takes one by one; larger maps are averaged
_MOMENTUM = 0.9  # of the statistics of BatchNorm: 0.99, which Keras has, lags behind for some hundred steps
INPUT_NAME, SCORES_NAME = "image", "scores"


@dataclass(frozen=True)
class Body:
    """What comes before the head.

    Attributes:
        features: Keras tensor [N, h, w, c] or [N, c].
        base: layers that came with weights, in the order in which they are called; none of a network that is trained from scratch.
        hidden, dropout: of the head, where the plan says nothing.
        flat: whether the head takes a small feature map place by place, and not its average.
    """

    features: Any
    base: tuple[Any, ...] = ()
    hidden: tuple[int, ...] = ()
    dropout: float = 0.2
    flat: bool = False


@dataclass(frozen=True)
class Network:
    """A classifier to train.

    Attributes:
        model: Keras 3 model: pixels [N, H, W, C], 0..255, to scores [N, outputs].
        base: as of its body.
    """

    model: Any
    base: tuple[Any, ...] = ()


def build_network(plan: TrainingPlan, spec: ImageSpec, outputs: int, body: Callable[[Any], Body]) -> Network:
    """A body between the pixels and a new head; the same for the same seed.

    Args:
        outputs: length of the score vector.
        body: makes the features of pixels [N, H, W, C].
    """
    keras = require("keras")
    inputs = keras.Input((spec.height, spec.width, spec.channels), name=INPUT_NAME)
    found = body(inputs)
    value = _vector(keras, found)
    dropout = found.dropout if plan.dropout is None else plan.dropout
    for units in found.hidden if plan.hidden is None else plan.hidden:
        value = keras.layers.Dropout(dropout)(value) if dropout and found.base else value
        value = keras.layers.Dense(units, activation="relu")(value)
        value = keras.layers.BatchNormalization(momentum=_MOMENTUM)(value)
    value = keras.layers.Dropout(dropout)(value) if dropout else value
    activation = "sigmoid" if plan.binary or plan.multi_label else "softmax"
    scores = keras.layers.Dense(outputs, name="head")(value)
    scores = keras.layers.Activation(activation, dtype="float32", name=SCORES_NAME)(scores)  # in float32 whatever the rest has
    return Network(keras.Model(inputs, scores), found.base)


def cnn(pixels: Any) -> Body:
    """The network of many tutorials: three blocks of two convolutions with BatchNorm each, pooling and dropout."""
    layers = require("keras").layers
    value = layers.Rescaling(1 / 255)(pixels)
    for filters, dropout in ((32, 0.2), (64, 0.3), (128, 0.4)):
        for _ in range(2):
            value = layers.Conv2D(filters, 3, padding="same", activation="relu")(value)
            value = layers.BatchNormalization(momentum=_MOMENTUM)(value)
        value = layers.MaxPooling2D(padding="same")(value)
        value = layers.Dropout(dropout)(value)
    return Body(value, hidden=(128,), dropout=0.5, flat=True)


def resnet(pixels: Any) -> Body:
    """Three stages of two residual blocks; pictures above 64 pixels are halved twice before them."""
    layers = require("keras").layers
    value = layers.Rescaling(1 / 255)(pixels)
    strides = 2 if max(pixels.shape[1:3]) > 64 else 1
    value = _convolution(layers, value, 32, strides=strides)
    value = layers.MaxPooling2D(padding="same")(value) if strides == 2 else value
    for stage, filters in enumerate((32, 64, 128)):
        value = _residual(layers, value, filters, strides=2 if stage else 1)
        value = _residual(layers, value, filters)
    return Body(value)


def _residual(layers: Any, value: Any, filters: int, strides: int = 1) -> Any:
    inner = _convolution(layers, value, filters, strides=strides)
    inner = _convolution(layers, inner, filters, activation=False)
    if value.shape[-1] != filters or strides != 1:
        value = _convolution(layers, value, filters, size=1, strides=strides, activation=False)
    return layers.ReLU()(layers.Add()([value, inner]))


def _convolution(layers: Any, value: Any, filters: int, *, size: int = 3, strides: int = 1, activation: bool = True) -> Any:
    value = layers.Conv2D(filters, size, strides, padding="same", use_bias=False, kernel_initializer="he_normal")(value)
    value = layers.BatchNormalization(momentum=_MOMENTUM)(value)
    return layers.ReLU()(value) if activation else value


def _vector(keras: Any, body: Body) -> Any:
    """Features [N, c] of a feature map."""
    shape = body.features.shape
    if len(shape) == 2:
        return body.features
    if body.flat and shape[1] * shape[2] <= _MOST_FLATTENED:
        return keras.layers.Flatten()(body.features)
    return keras.layers.GlobalAveragePooling2D()(body.features)


def save_model(network: Network, path: Path) -> None:
    """Write a network as a `.keras` archive that trains on as any other: nothing frozen, no optimizer."""
    for layer in network.base:
        layer.trainable = True
    model = network.model
    require("keras").Model(model.inputs, model.outputs, name=path.stem).save(path)
