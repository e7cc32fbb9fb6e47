"""Preflight: what compression can do with each layer of a model, found without training it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

YES = "yes"


class LayerPreflight(BaseModel):
    """One layer.

    Attributes:
        kind: class of the layer, or TensorFlow's name of a function that is none.
        weights: number of values it holds.
        prunable, clusterable: `yes`, or why not; empty where there is no kernel.
        quantized: what quantization-aware training makes of it.
    """

    model_config = ConfigDict(extra="forbid")

    layer: str
    kind: str
    weights: int
    prunable: str
    clusterable: str
    quantized: str


class Preflight(BaseModel):
    """All layers of a model, nested ones opened.

    Attributes:
        model: name of the file.
        largest_difference: of the rebuilt model's scores from the source's, as a share of the largest.
        notes: what a person should know, one sentence each.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: int = 1
    model: str
    largest_difference: float
    layers: list[LayerPreflight]
    notes: list[str] = []
