"""The table of a compression: what each variant holds and how it answers on the held-out images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecls.records.counted import counted
from edgecls.records.variant import Change, Epoch, Variant, VariantSet
from edgecls.reporting.grid import Column, Grid, make_grid
from edgecls.reporting.units import format_share


@dataclass(frozen=True)
class _Row:
    name: str
    accuracy: float
    loss: float
    variant: Variant | None = None


def variants_grid(done: VariantSet, variants: Sequence[Variant]) -> Grid:
    """The base and its variants."""
    rows = [_Row("base", done.base_accuracy, done.base_loss)]
    rows += [_Row(variant.name, *_final(variant), variant) for variant in variants]
    columns = [
        Column[_Row]("variant", lambda row: row.name),
        Column[_Row](f"held-out {done.measure}", lambda row: format_share(row.accuracy), numeric=True),
        Column[_Row]("loss", lambda row: f"{row.loss:.4f}", numeric=True, rank=3),
        Column[_Row]("multiply-accumulates", _of(lambda found: _left(found.macs) if found.macs else ""), numeric=True),
        Column[_Row]("zeros", _of(lambda found: f"{found.sparsity:.1%}" if found.sparsity >= 0.0005 else ""), numeric=True),
        Column[_Row](
            "values a kernel", _of(lambda found: f"{_clustered(found)}" if found.clustering else ""), numeric=True, rank=1
        ),
        Column[_Row]("epochs", _of(lambda found: str(len(found.epochs))), numeric=True, rank=4),
        Column[_Row]("seconds", _of(lambda found: f"{found.seconds:.0f}"), numeric=True, rank=2),
    ]
    return make_grid(columns, rows, lambda row: True, _notes(done, variants))


def _of(text):
    return lambda row: text(row.variant) if row.variant else ""


def _left(macs: Change) -> str:
    return f"{macs.after / macs.before:.1%}"


def _widths(variant: Variant) -> str:
    """How many channels each layer has left, in a sentence."""
    changed = [
        f"{layer} {width.before} to {width.after}" for layer, width in variant.widths.items() if width.before != width.after
    ]
    return f"{variant.name}, channels: {', '.join(changed)}"


def _clustered(variant: Variant) -> int:
    """Most values in any kernel that is clustered."""
    return max((kernel.distinct_values for kernel in variant.kernels.values() if not kernel.note), default=0)


def _final(variant: Variant) -> tuple[float, float]:
    """(accuracy, loss) on the held-out images of the epoch that was kept."""
    best = variant.epochs[-1]
    if variant.training.patience is not None:
        own = [epoch for epoch in variant.epochs if epoch.stage == variant.name]  # rounds before it had a larger model
        best = max(own, key=lambda epoch: (epoch.held_out_accuracy, -epoch.held_out_loss))
    return best.held_out_accuracy, best.held_out_loss


def _notes(done: VariantSet, variants: Sequence[Variant]) -> list[str]:
    notes = [
        f"trained on {counted(done.images, 'image')} of {done.data}; "
        f"{done.measure} and loss on {counted(done.held_out_images, 'image')} held out"
    ]
    reasons: dict[str, dict[str, None]] = {}
    for variant in variants:
        for layer, kernel in variant.kernels.items():
            if kernel.note:
                reasons.setdefault(kernel.note, {})[layer] = None
    notes += [f"{', '.join(layers)}: {reason}" for reason, layers in reasons.items()]
    notes += [_widths(variant) for variant in variants if variant.widths]
    return notes + list(dict.fromkeys([*done.notes, *(note for variant in variants for note in variant.notes)]))


def describe_epoch(epoch: Epoch) -> str:
    """How a stage stood after one pass over the training images, in a line."""
    return (
        f"{epoch.stage} epoch {epoch.epoch}: loss {epoch.loss:.4f}, held-out loss {epoch.held_out_loss:.4f}, "
        f"held-out {epoch.measure} {epoch.held_out_accuracy:.2%}, sparsity {epoch.sparsity:.1%}, {epoch.step_ms:.1f} ms a step"
    )
