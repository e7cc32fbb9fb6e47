"""Mean and variance of Normalization layers, where they are weights, as after `adapt` and in an EfficientNet with ImageNet's weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def take_over_statistics(layers: Iterable[Any]) -> None:
    """Let Normalization layers of either generation compute with the weights that they have been given.

    They compute with copies, which Keras 3 does not renew in `set_weights`, nor for models nested in an `.h5` that it reads.
    """
    for layer in layers:
        if any(_is_normalization(base) for base in type(layer).__mro__):
            layer.finalize_state()


def _is_normalization(cls: type) -> bool:
    return cls.__name__ == "Normalization" and cls.__module__.startswith(("keras.", "tf_keras."))  # users have their own, too
