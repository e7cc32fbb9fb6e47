"""Preflight: what compression can do with each layer of a model, found without training it."""

from __future__ import annotations

from pydantic import Field

from edgecls.records.record import Record

YES = "yes"


class LayerPreflight(Record):
    """One layer.

    Attributes:
        kind: class of the layer, or TensorFlow's name of a function that is none.
        weights: number of values it holds.
        prunable, clusterable: `yes`, or why not; empty where there is no kernel.
        quantized: what quantization-aware training makes of it.
    """

    layer: str
    kind: str
    weights: int
    prunable: str
    clusterable: str
    quantized: str


class Preflight(Record):
    """All layers of a model, nested ones opened.

    Attributes:
        model: name of the file.
        largest_difference: of the rebuilt model's scores from the source's, as a share of the largest.
        notes: what a person should know, one sentence each.
    """

    schema_version: int = 1
    model: str
    largest_difference: float
    layers: list[LayerPreflight]
    notes: list[str] = Field(default_factory=list)
