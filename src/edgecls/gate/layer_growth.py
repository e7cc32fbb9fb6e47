"""Which layers of an artifact became larger or smaller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from edgecls.formats import describe
from edgecls.records.finding import LayerChange

_LAYER_SHARE = 0.01  # smaller layers are not told apart in a baseline


def layer_sizes(path: Path) -> dict[str, int]:
    """Bytes by layer of an artifact, those of 1 % of the file or more; of operations that were fused the first is named."""
    description = describe(path)
    sizes: Counter[str] = Counter()
    for layer in description.layers:
        sizes[layer.name.partition(";")[0]] += layer.size_bytes
    return {name: size for name, size in sizes.items() if size >= _LAYER_SHARE * description.size_bytes}


def layer_changes(artifact: str, before: Mapping[str, int], now: Mapping[str, int]) -> list[LayerChange]:
    """The layers whose bytes differ, largest change first."""
    found = [
        LayerChange(artifact, layer, before.get(layer), now.get(layer))
        for layer in {**before, **now}
        if before.get(layer) != now.get(layer)
    ]
    return sorted(found, key=lambda change: -abs((change.now or 0) - (change.before or 0)))
