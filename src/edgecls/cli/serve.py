"""`edgecls serve`: artifacts as a web service."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from edgecls.cli.model_options import Filter, Fit

_LOOPBACK_NAMES = ("localhost",)


def serve(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[OUT…]", help="An artifacts folder, and .tflite or .onnx files. [the newest folder here]", show_default=False
        ),
    ] = None,
    artifact: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Serve this one, first of all; repeat it for more. [all]", show_default=False),
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0: to everyone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0: any free one.")] = 8000,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, metavar="N", help="Processes that compute. [one a core]", show_default=False)
    ] = None,
    token: Annotated[
        str,
        typer.Option(
            envvar="EDGECLS_TOKEN",
            metavar="TEXT",
            help="What clients must send. Others here can read it unless it is in the variable.",
        ),
    ] = "",
    batch: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="Most requests that a worker gets at once.")] = 8,
    batch_delay: Annotated[
        float, typer.Option(min=0, max=1000, metavar="MS", help="How long a request waits for others while all are busy.")
    ] = 5.0,
    queue: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="Most requests inside; others get 503.")] = 256,
    max_upload: Annotated[float, typer.Option(min=0.001, max=1024, metavar="MIB", help="Most of a request's body.")] = 16.0,
    max_pixels: Annotated[float, typer.Option(min=0.001, max=1000, metavar="MILLIONS", help="Most pixels of a picture.")] = 50.0,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=3600, metavar="S", help="For a head, a body, and an answer to come.")
    ] = 30.0,
    preprocess: Annotated[
        str | None,
        typer.Option(metavar="HOW", help="How pixels enter files that do not say, as `edgecls convert` takes it."),
    ] = None,
    fit: Fit = None,
    filter: Filter = None,
) -> None:
    """Serve artifacts of OUT: a page, POST /predict, TensorFlow Serving's REST and the Open Inference Protocol."""
    from edgecls.cli.output import note
    from edgecls.serve.limits import Limits
    from edgecls.serve.offer import Asked
    from edgecls.serve.server import ServeRequest
    from edgecls.serve.server import serve as run
    from edgecls.workflow.bench import newest_folder

    if not paths:
        paths = [newest_folder(Path())]
    limits = Limits(
        upload_bytes=int(max_upload * (1 << 20)),
        pixels=int(max_pixels * 1_000_000),
        waiting=queue,
        batch=batch,
        batch_delay_ms=batch_delay,
        timeout_s=timeout,
    )
    if not _is_loopback(host):
        note(_exposed(host, has_token=bool(token)))
    asked = Asked(tuple(paths), tuple(artifact or ()), preprocess, fit, filter)
    run(ServeRequest(asked, host, port, workers, token, limits=limits), note)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK_NAMES


def _exposed(host: str, *, has_token: bool) -> str:
    """What it means to listen to others."""
    who = "everyone who reaches this machine" if host in ("0.0.0.0", "::") else f"everyone who reaches {host}"
    key = "with the token" if has_token else "without a token (--token asks for one)"
    return f"note: {who} can use this service, {key}; what is sent is not encrypted: put a proxy with TLS before it"
