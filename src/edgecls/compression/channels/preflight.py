"""Preflight of channels: which can go, what stays and why, and what removing a share would cost and save, nothing trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecls.compression.channels.cost import CostModel, weights_left
from edgecls.compression.channels.importance import magnitude
from edgecls.compression.channels.plan import fitting_choice, planned_choice
from edgecls.compression.channels.trace import Channels, trace_channels
from edgecls.records.preflight import ChannelGroup, ChannelPreflight, ChannelRemoval
from edgecls.records.recipe import ChannelPruning

_SHARES = (0.25, 0.5, 0.75)


def preflight_channels(model: Any) -> ChannelPreflight:
    """Say of a flat tf_keras model which of its channels can go."""
    channels = trace_channels(model)
    cost, multiple = CostModel(channels), ChannelPruning.model_fields["multiple"].default
    whole, furthest = cost.macs(cost.sizes), planned_choice(channels, 1.0, multiple)
    reach = 1 - furthest.macs / whole if whole else 0.0
    groups = [
        ChannelGroup(
            layers=list(group.layers),
            channels=len(group.channels),
            fewest=int(furthest.stays[group.channels].sum()),
            macs_share=(whole - after) / whole,
        )
        for group, after in zip(channels.groups, cost.macs_without(cost.sizes, cost.sizes), strict=True)
    ]
    return ChannelPreflight(
        macs=round(whole),
        reach=reach,
        groups=groups,
        protected=channels.protected,
        removals=[_removal(model, channels, share, multiple) for share in _SHARES if share <= reach],
    )


def _removal(model: Any, channels: Channels, share: float, multiple: int) -> ChannelRemoval:
    choice = fitting_choice(channels, share, multiple) or planned_choice(channels, share, multiple)
    norms = magnitude(channels)
    return ChannelRemoval(
        share=share,
        macs=round(choice.macs),
        weights=weights_left(model, channels, choice.stays),
        weights_before=model.count_params(),
        magnitude_lost=float(norms[~choice.stays].sum() / max(norms.sum(), np.finfo(np.float64).tiny)),
        widths={layer: int(choice.stays[made].sum()) for layer, made in channels.made.items()},
    )
