"""The tables of single commands, as rich tables: apart from those of every run, which need not wait for what these know."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group

from edgecls.formats.delegates import Delegates
from edgecls.records.diagnosis import Diagnosis
from edgecls.records.optimization import Optimization
from edgecls.records.preflight import Preflight
from edgecls.records.variant import Variant, VariantSet
from edgecls.reporting.delegates import delegates_grid
from edgecls.reporting.diagnosis import diagnosis_grid
from edgecls.reporting.optimization import optimization_grid
from edgecls.reporting.preflight import groups_grid, preflight_grid, removals_grid
from edgecls.reporting.table import to_table
from edgecls.reporting.variants import variants_grid


def variants_table(done: VariantSet, variants: Sequence[Variant], width: int | None = None) -> Group:
    """A base and its variants, in `width` columns of text (None: as wide as it needs)."""
    return to_table(variants_grid(done, variants), width)


def optimization_table(found: Optimization, width: int | None = None) -> Group:
    """The trials of a search, in `width` columns of text (None: as wide as it needs)."""
    return to_table(optimization_grid(found), width)


def diagnosis_table(found: Diagnosis, top: int, width: int | None = None) -> Group:
    """The layers that add most error, in `width` columns of text (None: as wide as it needs)."""
    return to_table(diagnosis_grid(found, top), width)


def preflight_table(found: Preflight, width: int | None = None) -> Group:
    """What compression can do with each layer and each group of channels, in `width` columns of text (None: as wide as it needs)."""
    grids = (preflight_grid(found), groups_grid(found.channels), removals_grid(found.channels))
    return Group(*(to_table(grid, width) for grid in grids))


def delegates_table(found: Delegates, width: int | None = None) -> Group:
    """What accelerators would not take of a file, in `width` columns of text (None: as wide as it needs)."""
    return to_table(delegates_grid(found), width)
