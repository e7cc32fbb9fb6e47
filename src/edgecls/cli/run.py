"""`edgecls run`: compress, convert and bench as a recipe file says."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecls.cli.output import note

if TYPE_CHECKING:
    from edgecls.evaluation import Event


def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A .toml file: model, data, out, and what to do.")],
) -> None:
    """Compress, convert and bench as RECIPE says; what has not changed since the last time is kept."""
    from edgecls.cli.output import console, show
    from edgecls.reporting import conversion_table, report_table, variants_table
    from edgecls.workflow.run import RESULTS_NAME
    from edgecls.workflow.run import run as execute
    from edgecls.workflow.variants import read_variants

    with RunProgress() as progress:  # answers for the stages in turn
        outcome = execute(recipe, progress, note)
    width = console().width
    show(variants_table(outcome.variants, read_variants(outcome.folder / "variants"), width))
    show(conversion_table(outcome.manifest, width))
    show(report_table(outcome.report, width))
    note(f"{outcome.folder}: variants, artifacts and {RESULTS_NAME}")
    if any(row.status != "ok" for row in outcome.manifest.artifacts):
        raise typer.Exit(3)


class RunProgress:
    """The bars of the stage that is at work: those of compress, then those of convert, then those of bench."""

    def __init__(self) -> None:
        self._bars: Any = None

    def event(self, event: Event) -> None:
        """An event of the measurement."""
        from edgecls.cli.bench import BenchProgress

        self._switch(BenchProgress)(event)

    def __getattr__(self, name: str) -> Any:
        from edgecls.cli.compress import CompressProgress
        from edgecls.cli.convert import ConvertProgress

        if name == "stage":  # both have it: it belongs to whoever is at work
            return getattr(self._bars or self._switch(CompressProgress), name)
        if name in ("plan", "finish"):
            return getattr(self._switch(ConvertProgress), name)
        if name in ("variant", "step", "epoch", "kept"):
            return getattr(self._switch(CompressProgress), name)
        raise AttributeError(name)

    def _switch(self, kind: type) -> Any:
        if not isinstance(self._bars, kind):
            if self._bars is not None:
                self._bars.__exit__(None, None, None)
            self._bars = kind().__enter__()
        return self._bars

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.__exit__(kind, error, trace)
