"""Options that every command which loads a model has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Signature = Annotated[
    str | None,
    typer.Option("--signature", metavar="NAME", help="Of a SavedModel with several serving signatures, the one to read."),
]
CustomObjects = Annotated[
    Path | None,
    typer.Option(
        "--custom-objects", metavar="FILE", help="Python file with the model's own layers and functions; with --allow-code."
    ),
]
InputSize = Annotated[
    str | None,
    typer.Option("--input-size", metavar="HEIGHTxWIDTH", help="Of a model whose image size is open, as 224x224."),
]
