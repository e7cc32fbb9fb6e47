"""Channels of a flat tf_keras model: which of them belong together, and the smaller model without some of them."""

from __future__ import annotations

from edgecls.compression.channels.cost import multiply_accumulates
from edgecls.compression.channels.importance import magnitude
from edgecls.compression.channels.plan import Plan, fitting_choice, plan_channels, planned_choice
from edgecls.compression.channels.ranking import Choice, choose, sizes_of
from edgecls.compression.channels.removal import without, zeroed
from edgecls.compression.channels.trace import Channels, trace_channels

__all__ = [
    "Channels",
    "Choice",
    "Plan",
    "choose",
    "fitting_choice",
    "magnitude",
    "multiply_accumulates",
    "plan_channels",
    "planned_choice",
    "sizes_of",
    "trace_channels",
    "without",
    "zeroed",
]
