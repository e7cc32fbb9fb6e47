"""What the networks of keras.applications see is what they were trained on."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.errors import InputError
from edgecls.training.applications import Application, find_application

_MODULES = {
    "MobileNet": "mobilenet", "MobileNetV2": "mobilenet_v2", "MobileNetV3Small": "mobilenet_v3", "NASNetMobile": "nasnet",
    "InceptionV3": "inception_v3", "InceptionResNetV2": "inception_resnet_v2", "Xception": "xception", "ResNet50": "resnet",
    "ResNet50V2": "resnet_v2", "VGG16": "vgg16", "DenseNet121": "densenet", "EfficientNetB0": "efficientnet",
    "EfficientNetV2B0": "efficientnet_v2", "ConvNeXtTiny": "convnext",
}  # fmt: skip


@pytest.mark.parametrize("name", _MODULES)
def test_pixels_are_prepared_as_the_network_was_trained(name: str):
    keras: Any = importlib.import_module("keras")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3)).astype(np.float32)
    inputs = keras.Input((4, 4, 3))
    application = Application(name)
    ours = np.asarray(keras.Model(inputs, application._prepared(inputs))(pixels))
    if application._is_caffe:  # these take blue first: the first kernel is turned round instead
        ours = ours[..., ::-1]
    theirs = importlib.import_module(f"keras.applications.{_MODULES[name]}").preprocess_input(pixels.copy())
    assert np.allclose(ours, theirs, atol=1e-4)  # of values up to 255 in float32


def test_names_are_found_whatever_their_case():
    found = find_application("mobilenetv2")
    assert found is not None and (found.name, found.size) == ("MobileNetV2", 224)
    assert find_application("InceptionV3") == Application("InceptionV3") and Application("InceptionV3").size == 299
    assert find_application("resnet18") is None


def test_weights_that_do_not_fit_are_one_line(tmp_path: Path):
    keras: Any = importlib.import_module("keras")
    path = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(path)
    with pytest.raises(InputError, match=r"weights of MobileNet without its head, found .*other\.weights\.h5"):
        Application("MobileNet").body(keras.Input((32, 32, 3)), path)


@pytest.mark.slow
def test_weights_of_a_network_that_takes_blue_first_are_turned_round(tmp_path: Path):
    keras: Any = importlib.import_module("keras")
    keras.utils.set_random_seed(0)
    source = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    source.save_weights(tmp_path / "vgg.weights.h5")
    inputs = keras.Input((32, 32, 3))
    body = Application("VGG16").body(inputs, tmp_path / "vgg.weights.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    expected = np.asarray(source(keras.applications.vgg16.preprocess_input(pixels.copy())))
    found = np.asarray(keras.Model(inputs, body.features)(pixels))
    assert np.allclose(found, expected, atol=1e-4 * np.abs(expected).max())  # thirteen layers of sums in another order
