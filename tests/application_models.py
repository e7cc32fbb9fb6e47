"""Networks of keras.applications with random weights, as small as their family allows. They take pixels from 0 to 255."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from edgecls.data.synthetic import synthetic_pixels
from edgecls.records.image_spec import ImageSpec

# Name -> side of the image: the family's least where its last feature map would vanish, else 96, to save time.
SIZES = {
    "MobileNetV2": 96,
    "MobileNetV3Small": 96,
    "EfficientNetB0": 96,
    "ResNet50": 96,
    "ResNet50V2": 96,
    "DenseNet121": 96,
    "Xception": 96,
    "NASNetMobile": 224,
    "InceptionV3": 96,
    "VGG16": 96,
    "ConvNeXtTiny": 96,
}


def application(keras: ModuleType, name: str, size: int, classes: int = 10) -> Any:
    """A network whose BatchNorms have the statistics of real activations.

    With the initial ones the values of deep random networks vanish, and any two models agree.
    """
    model = new_application(keras, name, size, classes)
    wake(model, size)
    return model


def new_application(keras: ModuleType, name: str, size: int, classes: int = 10) -> Any:
    """A network as it is before any training."""
    keras.utils.set_random_seed(1)
    return getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=classes)


def wake(model: Any, size: int) -> None:
    """Give the BatchNorms of a model the statistics of images like those that tests ask it about."""
    spec = ImageSpec(height=size, width=size, channels=3)
    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    for layer in norms:
        layer.momentum = 0.0
    model(synthetic_pixels(spec, 32, seed=1).astype(np.float32), training=True)
    for layer in norms:
        layer.momentum = 0.99
