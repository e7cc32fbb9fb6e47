"""Networks of `keras.applications` as bases: their names, the images they were trained on, and weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecls.errors import InputError, ModelFileError
from edgecls.system.extras import quiet_frameworks, require
from edgecls.training.networks import Body
from edgecls.training.prepared import prepared, take_rgb

IMAGENET = "imagenet"
_USUAL_SIZE, _LARGE_SIZE, _LARGE = 224, 299, ("Inception", "Xception")
_INSIDE = ("MobileNetV3", "EfficientNet", "ConvNeXt")  # these scale pixels themselves
_TORCH_MEAN, _TORCH_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_CAFFE_MEAN = (123.68, 116.779, 103.939)


@dataclass(frozen=True)
class Application:
    """A network of `keras.applications`, under the name it has there."""

    name: str

    @property
    def size(self) -> int:
        """Pixels of a side, as it was trained."""
        return _LARGE_SIZE if self.name.startswith(_LARGE) else _USUAL_SIZE

    def body(self, pixels: Any, weights: str | Path | None) -> Body:
        """Its feature maps of pixels [N, H, W, C], 0..255, with its own preprocessing before them.

        Args:
            weights: `imagenet`, a file of weights of the network without its head, or None for random ones.

        Raises:
            InputError: weights that cannot be loaded, or a size that it does not take.
        """
        keras = require("keras")
        builder = getattr(keras.applications, self.name)
        given = self._prepared(pixels)
        before = {layer.name for layer in keras.Model(pixels, given).layers}
        try:
            with quiet_frameworks(), _untold(keras):
                model = builder(include_top=False, weights=None if weights is None else str(weights), input_tensor=given)
        except Exception as error:
            raise _no_weights(self.name, weights, error) from error
        layers = tuple(layer for layer in model.layers if layer.name not in before)
        if weights is not None and self._is_caffe:
            take_rgb(layers)
        return Body(model.output, layers if weights is not None else ())

    @property
    def _is_caffe(self) -> bool:
        return self.name.startswith("VGG") or (self.name.startswith("ResNet") and not self.name.endswith("V2"))

    def _prepared(self, pixels: Any) -> Any:
        """Pixels as the network was trained on them, but for the order of the colours, which is turned round in its first kernel."""
        if self.name.startswith(_INSIDE):
            return pixels
        if self._is_caffe and pixels.shape[-1] == 3:
            return prepared(pixels, _CAFFE_MEAN, (1.0,))
        if self.name.startswith("DenseNet") and pixels.shape[-1] == 3:
            return prepared(pixels, _TORCH_MEAN, _TORCH_STD)
        return prepared(pixels, (127.5,), (127.5,))


@contextlib.contextmanager
def _untold(keras: Any) -> Iterator[None]:
    """Keep what Keras prints of a download off the terminal, where results alone belong."""
    before = keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()
    try:
        yield
    finally:
        if before:
            keras.config.enable_interactive_logging()


def find_application(name: str) -> Application | None:
    """The network of this name, case apart; None where there is none."""
    found = require("keras").applications
    known = {item.casefold(): item for item in dir(found) if item[:1].isupper() and callable(getattr(found, item))}
    return Application(known[name.casefold()]) if name.casefold() in known else None


def _no_weights(name: str, weights: str | Path | None, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:300]
    if weights == IMAGENET:
        remedy = "where there is no network, give a file of them with --weights FILE, or a classifier as --model FILE"
        return InputError(f"weights of {name} for ImageNet, which Keras downloads", reason, remedy)
    if weights is None:
        return InputError(f"images that {name} takes", reason, "choose another --size")
    return ModelFileError(
        f"weights of {name} without its head", f"{weights}: {reason}", "give those that fit, or leave --weights out"
    )
