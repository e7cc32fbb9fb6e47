"""`edgecls embed`: artifacts into an app."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecls.cli.model_options import Filter, Fit
from edgecls.cli.output import note

if TYPE_CHECKING:
    from edgecls.workflow.embed import Embedded


def embed(
    into: Annotated[Path, typer.Option("--into", metavar="PATH", help="The app: a Gradle, Xcode, Swift or web project.")],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[OUT]",
            help="An artifacts folder, or one .tflite, .onnx or .mlpackage. [the newest folder here]",
            show_default=False,
        ),
    ] = None,
    artifact: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Put this one in; repeat it for more. [the one that bench picks]", show_default=False),
    ] = None,
    platform: Annotated[
        str | None, typer.Option(metavar="NAME", help="android, ios or web. [as the app's files tell]", show_default=False)
    ] = None,
    golden: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Your own PNG and JPEG pictures as golden set. [drawn ones]", show_default=False),
    ] = None,
    no_golden: Annotated[bool, typer.Option("--no-golden", help="Leave the golden set out.")] = False,
    preprocess: Annotated[
        str | None,
        typer.Option(metavar="HOW", help="How pixels enter a single file that does not say, as `edgecls convert` takes it."),
    ] = None,
    fit: Fit = None,
    filter: Filter = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Class names of a single file; or imagenet.", show_default=False)
    ] = None,
    code: Annotated[bool, typer.Option("--code", help="Also write a source file of typed constants.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take out again what was put in.")] = False,
) -> None:
    """Put artifacts of OUT into an app, with labels, preprocessing and pictures that prove it sees what this machine sees."""
    from edgecls.errors import InputError
    from edgecls.workflow.bench import newest_folder
    from edgecls.workflow.embed import EmbedRequest, take_out
    from edgecls.workflow.embed import embed as run

    if remove:
        others = (folder, artifact, platform, golden, no_golden, preprocess, fit, filter, labels, code)
        if any(others):
            raise InputError("--remove with --into alone", "more than that", "leave the rest out")
        gone = take_out(into)
        typer.echo(f"{into}: took out {len(gone)} files and packages that were embedded; what else is there was left alone")
        return
    if golden and no_golden:
        raise InputError("--golden or --no-golden", "both", "leave one of them out")
    if folder is None:
        folder = newest_folder(Path())
        note(f"Embedding of {folder}, the newest artifacts folder here.")
    done = run(
        EmbedRequest(
            folder=folder,
            into=into,
            artifacts=tuple(artifact or ()),
            platform=platform,
            golden=golden,
            with_golden=not no_golden,
            code=code,
            preprocess=preprocess,
            fit=fit,
            filter=filter,
            labels=labels,
        )
    )
    for line in _told(done, code=code):
        typer.echo(line)


def _told(done: Embedded, *, code: bool) -> list[str]:
    """What was done, what it costs, and what comes next."""
    from edgecls.reporting import format_bytes

    growth, app = done.growth, done.app
    names = ", ".join(artifact.name for artifact in done.contract.artifacts)
    golden = f", of which the golden set is {format_bytes(growth.golden_bytes)}" if growth.golden_bytes else ""
    return [
        *done.notes,
        f"{app.root / app.folder}: {names}, with labels, preprocessing{' and golden set' if golden else ''}",
        *([f"{app.root / app.code}: constants"] if code else []),
        f"the app grows by {format_bytes(growth.package_bytes)} ({growth.package_bytes:,} bytes){golden}; "
        f"the download by {format_bytes(growth.download_bytes)} ({growth.download_bytes:,})",
        app.next_step,
    ]
