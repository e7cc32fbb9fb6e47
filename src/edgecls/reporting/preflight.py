"""The table of a preflight: each layer, and what compression can do with it."""

from __future__ import annotations

from edgecls.records.preflight import LayerPreflight, Preflight
from edgecls.reporting.grid import Column, Grid, make_grid

_COLUMNS = [
    Column[LayerPreflight]("layer", lambda row: row.layer),
    Column[LayerPreflight]("kind", lambda row: row.kind, rank=2),
    Column[LayerPreflight]("weights", lambda row: f"{row.weights:,}" if row.weights else "", numeric=True, rank=3),
    Column[LayerPreflight]("pruned", lambda row: _short(row.prunable), rank=1),
    Column[LayerPreflight]("clustered", lambda row: _short(row.clusterable), rank=1),
    Column[LayerPreflight]("in int8 after QAT", lambda row: row.quantized.partition(":")[0] if _long(row) else row.quantized),
]


def preflight_grid(found: Preflight) -> Grid:
    """One row a layer; long reasons stand below, once."""
    notes = [f"rebuilt and proven: scores differ from the model's by {found.largest_difference:.1g} of the largest"]
    reasons: dict[str, list[str]] = {}
    for row in found.layers:
        for reason in {row.prunable, row.clusterable} - {"", "yes"}:
            reasons.setdefault(f"not pruned or clustered: {reason}", []).append(row.layer)
        if _long(row):
            reasons.setdefault(row.quantized, []).append(row.layer)
    notes += [f"{', '.join(layers)}: {reason}" for reason, layers in reasons.items()]
    return make_grid(_COLUMNS, found.layers, lambda row: True, [*notes, *found.notes])


def _short(verdict: str) -> str:
    return "yes" if verdict == "yes" else "no" if verdict else ""


def _long(row: LayerPreflight) -> bool:
    return row.quantized.startswith("float:")
