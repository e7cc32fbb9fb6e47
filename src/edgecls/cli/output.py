"""Where the package prints: tables and results on stdout, remarks on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console, RenderableType

_WIDTH_WITHOUT_TERMINAL = 140  # a log or a pipe holds long lines; rich would assume 80


def console() -> Console:
    """The console on stdout. It shows names as they are: `[grey] cat` and `:dog:` would else be markup, and vanish or fail."""
    from rich.console import Console

    plain = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=_WIDTH_WITHOUT_TERMINAL if plain else None, highlight=False, markup=False, emoji=False)


def show(*renderables: RenderableType) -> None:
    """Print tables and texts on stdout."""
    target = console()
    for renderable in renderables:
        target.print(renderable)


def show_json(model: BaseModel) -> None:
    """Print a value for machines: JSON alone on stdout, in a pipe or file in UTF-8 as JSON is, whatever the locale."""
    text = model.model_dump_json(indent=2)
    is_binary = hasattr(sys.stdout, "buffer") and not sys.stdout.isatty()
    typer.echo(text.encode() if is_binary else text)


def note(text: str) -> None:
    """Print a remark on stderr, where it does not disturb a pipe."""
    typer.echo(text, err=True)


@contextlib.contextmanager
def quiet_engine() -> Iterator[None]:
    """Keep what a native engine writes about itself while it opens a file out of the user's terminal; its exceptions pass."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
