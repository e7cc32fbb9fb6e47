"""The table of a preflight: each layer, and what compression can do with it."""

from __future__ import annotations

from edgecls.records.preflight import ChannelGroup, ChannelPreflight, ChannelRemoval, LayerPreflight, Preflight
from edgecls.reporting.grid import Column, Grid, make_grid

_COLUMNS = [
    Column[LayerPreflight]("layer", lambda row: row.layer),
    Column[LayerPreflight]("kind", lambda row: row.kind, rank=2),
    Column[LayerPreflight]("weights", lambda row: f"{row.weights:,}" if row.weights else "", numeric=True, rank=3),
    Column[LayerPreflight]("pruned", lambda row: _short(row.prunable), rank=1),
    Column[LayerPreflight]("clustered", lambda row: _short(row.clusterable), rank=1),
    Column[LayerPreflight]("in int8 after QAT", lambda row: "float" if row.float_reason else row.quantized),
]

_GROUPS = [
    Column[ChannelGroup]("channels", lambda row: str(row.channels), numeric=True),
    Column[ChannelGroup]("stay at least", lambda row: str(row.fewest), numeric=True),
    Column[ChannelGroup]("share of the multiply-accumulates", lambda row: f"{row.macs_share:.1%}", numeric=True, rank=1),
    Column[ChannelGroup]("that go together in", lambda row: _several(row.layers)),
]
_REMOVALS = [
    Column[ChannelRemoval]("--prune-channels", lambda row: f"{row.share:g}"),
    Column[ChannelRemoval]("multiply-accumulates left", lambda row: f"{row.macs:,}", numeric=True),
    Column[ChannelRemoval]("weights left", lambda row: f"{row.weights / row.weights_before:.1%}", numeric=True),
    Column[ChannelRemoval]("magnitude lost", lambda row: f"{row.magnitude_lost:.1%}", numeric=True),
]
_NAMED = 4  # layers of a group; a residual network has some that go through dozens


def groups_grid(found: ChannelPreflight) -> Grid:
    """One row a group of channels; what stays is below, once for each reason."""
    reasons: dict[str, list[str]] = {}
    for layer, reason in found.protected.items():
        reasons.setdefault(reason, []).append(layer)
    return make_grid(_GROUPS, found.groups, lambda row: True, [f"{_several(layers)}: {why}" for why, layers in reasons.items()])


def removals_grid(found: ChannelPreflight) -> Grid:
    """One row a share that could be asked for."""
    notes = [
        f"of {found.macs:,} multiply-accumulates an image, at most {found.reach:.1%} can go; chosen by magnitude, as nothing is trained"
    ]
    return make_grid(_REMOVALS, found.removals, lambda row: True, notes)


def _several(layers: list[str]) -> str:
    more = f" and {len(layers) - _NAMED} more" if len(layers) > _NAMED else ""
    return ", ".join(layers[:_NAMED]) + more


def preflight_grid(found: Preflight) -> Grid:
    """One row a layer; long reasons stand below, once."""
    notes = [f"rebuilt and proven: scores differ from the model's by {found.largest_difference:.1g} of the largest"]
    reasons: dict[str, list[str]] = {}
    for row in found.layers:
        for reason in {row.prunable, row.clusterable} - {"", "yes"}:
            reasons.setdefault(f"not pruned or clustered: {reason}", []).append(row.layer)
        if row.float_reason:
            reasons.setdefault(f"float: {row.float_reason}", []).append(row.layer)
    notes += [f"{', '.join(layers)}: {reason}" for reason, layers in reasons.items()]
    return make_grid(_COLUMNS, found.layers, lambda row: True, [*notes, *found.notes])


def _short(verdict: str) -> str:
    return "yes" if verdict == "yes" else "no" if verdict else ""
