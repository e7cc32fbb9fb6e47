"""Card: what is known of an artifact once it is open."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from edgecls.records.artifact import OutputKind, Target
from edgecls.records.image_spec import ColorOrder, ImageSpec

_PLAIN_ORDERS: dict[int, ColorOrder] = {1: "GRAY", 3: "RGB"}


@dataclass(frozen=True)
class Card:
    """What is known of an artifact once it is open: what readers of requests need, and what clients are told.

    Attributes:
        spec: the images it takes.
        labels: one per class; two where it has one output.
        outputs: length of the score vector.
        note: an assumption that a person should know of; empty for none.
    """

    name: str
    target: Target
    scheme: str
    spec: ImageSpec
    labels: tuple[str, ...]
    outputs: int
    output_kind: OutputKind
    note: str = ""

    @cached_property
    def plain_spec(self) -> ImageSpec:
        """The spec under which values enter the model as they are."""
        order = _PLAIN_ORDERS.get(self.spec.channels, "OTHER")
        return self.spec.model_copy(update={"mean": (0.0,), "std": (1.0,), "color_order": order})
