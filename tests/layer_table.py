"""Writes docs/layers.md, what compression makes of every layer: `make layers`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edgecls.compression.layer_verdicts import layer_verdicts
from edgecls.errors import EdgeclsError
from edgecls.models import Rebuilt
from edgecls.records.written_out import written_out_layer
from layer_cases import BOTH, CASES, NONE, Case, rebuilt_case

DOCUMENT = Path(__file__).parents[1] / "docs" / "layers.md"
_HEAD = """# Layers

What `edgecls compress` makes of every layer of both Keras generations that a small image classifier can hold
(`conv → LAYER → pool → dense` with random weights; augmentations before the convolution). `make layers` writes this page, and
`tests/compression/test_layers.py` proves that each model computes the same when it is rebuilt, and can be trained.

- **Keras 2, Keras 3**: how the layer is rebuilt: *as itself*, and its weights train on; *written out* as the TensorFlow functions it
  calls, its weights as they are; *left out*, since it changes nothing at inference.
- **Pruned, clustered**: *yes* where it has a kernel that both work on.
- **QAT**: *int8* is trained with; *folded* into a neighbour, or *rewritten* for int8, without changing what is computed; *float*
  between int8 layers, in training and in the files. `--keep-float LAYER` makes any layer so.
"""
_SHORT = {"int8": "int8", "float": "float", "nothing at inference": "nothing to do"}
_FRAME = ("first", "mean", "spread", "shaped", "pool", "scores", "softmax")
_FOLDED = ("folded", "its factors")


@dataclass(frozen=True)
class Row:
    """One layer of one generation."""

    rebuilt: str
    pruned: str = ""
    quantized: str = ""


def row(item: Case, generation: int, folder: Path) -> Row:
    """What becomes of a layer in a small classifier."""
    try:
        return _row(rebuilt_case(item, generation, folder))
    except EdgeclsError as error:
        return Row(f"refused: {error.found}")


def _row(rebuilt: Rebuilt) -> Row:
    told = next((note for note in rebuilt.notes if note.startswith("layer (")), "")
    layers = layer_verdicts(rebuilt.model)
    found = [item for item in layers if (written_out_layer(item.layer) or item.layer) == "layer"]
    found = found or [item for item in layers if item.layer not in _FRAME]  # an Activation has its function's name
    how = "left out" if not found else "written out" if told else "as itself"
    pruned = "yes" if any(item.prunable == "yes" for item in found) else ""
    return Row(how, pruned, ", ".join(sorted({_short(item.quantized) for item in found})))


def _short(verdict: str) -> str:
    first = verdict.partition(":")[0].partition(",")[0]
    return _SHORT.get(first) or ("folded" if first.startswith(_FOLDED) else "rewritten")


def page(row: Callable[[Case, int], Row]) -> Iterator[str]:
    """The lines of the document."""
    yield from _HEAD.splitlines()
    yield from ("", "| layer | Keras 2 | Keras 3 | pruned, clustered | QAT |", "| --- | --- | --- | --- | --- |")
    for item in CASES:
        rows = {generation: row(item, generation) for generation in item.generations}
        cells = [rows[generation].rebuilt if generation in rows else "–" for generation in BOTH]
        for values in ([found.pruned for found in rows.values()], [found.quantized for found in rows.values()]):
            cells.append(" / ".join(value for value in dict.fromkeys(values) if value))
        yield f"| {item.name} | {' | '.join(cells)} |"
    yield from ("", "No image classifier holds these:", "")
    for reason, kinds in NONE.items():
        yield f"- {', '.join(f'`{kind}`' for kind in kinds)}: {reason}."


def main() -> None:
    """Write the document."""
    with TemporaryDirectory() as folder:
        lines = list(page(lambda item, generation: row(item, generation, Path(folder))))
    DOCUMENT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
