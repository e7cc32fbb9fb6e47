"""Which float32 artifact the answers of all others are compared with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

_ORDER = ("tflite", "onnx", "coreml", "saved_model")


class Made(Protocol):
    """What was made of a model: an artifact of a manifest, or a job that measures it."""

    @property
    def name(self) -> str:
        """As in the manifest."""
        ...

    @property
    def scheme(self) -> str:
        """As in the manifest."""
        ...

    @property
    def variant(self) -> str:
        """As in the manifest."""
        ...

    @property
    def target(self) -> str:
        """As in the manifest."""
        ...


def flips_reference(among: Iterable[Made]) -> str | None:
    """Name of the first float32 one, of the model itself before its variants; None where there is none."""
    candidates = [made for made in among if made.scheme == "float32"]
    candidates.sort(key=lambda made: (made.variant != "base", _ORDER.index(made.target)))
    return candidates[0].name if candidates else None
