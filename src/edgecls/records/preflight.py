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
        float_reason: why it stays float in that; empty where it does not.
    """

    layer: str
    kind: str
    weights: int
    prunable: str
    clusterable: str
    quantized: str
    float_reason: str = ""


class ChannelGroup(Record):
    """Channels that go through the same layers, so that one is like another.

    Attributes:
        layers: those that make them; each loses as many.
        fewest: how many stay at least.
        macs_share: of the model's multiply-accumulates, those that any of them takes part in, 0..1.
    """

    layers: list[str]
    channels: int
    fewest: int
    macs_share: float


class ChannelRemoval(Record):
    """What would go with a share of the multiply-accumulates, chosen by the magnitude of weights.

    Attributes:
        share: asked.
        macs, weights: that are left.
        magnitude_lost: of the summed magnitude of all channels, 0..1: the more, the more training has to make good.
        widths: layer -> channels it has left.
    """

    share: float
    macs: int
    weights: int
    weights_before: int
    magnitude_lost: float
    widths: dict[str, int]


class ChannelPreflight(Record):
    """What `--prune-channels` can do with a model.

    Attributes:
        macs: multiply-accumulates of all convolutions and Dense layers, for one image.
        reach: share of them that can go.
        protected: layer -> why its channels stay.
    """

    macs: int
    reach: float
    groups: list[ChannelGroup]
    protected: dict[str, str]
    removals: list[ChannelRemoval]


class Preflight(Record):
    """All layers of a model, nested ones opened.

    Attributes:
        model: name of the file.
        largest_difference: of the rebuilt model's scores from the source's, as a share of the largest.
        channels: what removing whole channels can do.
        notes: what a person should know, one sentence each.
    """

    schema_version: int = 1
    model: str
    largest_difference: float
    layers: list[LayerPreflight]
    channels: ChannelPreflight
    notes: list[str] = Field(default_factory=list)
