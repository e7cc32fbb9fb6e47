"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Fit = Annotated[
    str | None,
    typer.Option(
        "--fit", metavar="HOW", help="Pictures of another aspect: squeeze, crop, crop=0.875, pad, pad=R,G,B.", show_default=False
    ),
]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="NAME",
        help="How they are resampled: nearest, bilinear, bilinear-antialiased, bicubic, lanczos.",
        show_default=False,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="Class names, one a line or JSON, or imagenet. [class_0, class_1 …]"),
]
Preprocess = Annotated[
    str | None,
    typer.Option("--preprocess", metavar="NAME", help="How pixels enter, as `edgecls convert` takes it.", show_default=False),
]
Weights = Annotated[Path | None, typer.Option("--weights", metavar="FILE", help="Weights, where MODEL is an architecture .json.")]
ModelOutput = Annotated[str | None, typer.Option("--output", metavar="NAME", help="Of several outputs, the one that classifies.")]
AllowCode = Annotated[bool, typer.Option("--allow-code", help="Load models whose layers hold code. Trusted files only.")]
Flip = Annotated[bool, typer.Option("--flip", help="Augmentation: mirror left to right.")]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", help="At most N training images. [all]")]
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
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Every column, interval, note and reason; a short table stands here without.")
]
