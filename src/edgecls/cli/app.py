"""The commands together.

Each command's module imports at its top only what its signature needs; rooms, numpy and rich come inside the function, so that
`edgecls --help` answers at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgecls.cli.bench import bench
from edgecls.cli.check import check
from edgecls.cli.compress import compress
from edgecls.cli.convert import convert
from edgecls.cli.demo import demo
from edgecls.cli.diagnose import diagnose
from edgecls.cli.embed import embed
from edgecls.cli.errors import exit_code_for
from edgecls.cli.evaluate import evaluate
from edgecls.cli.inspect import inspect
from edgecls.cli.optimize import optimize
from edgecls.cli.predict import predict
from edgecls.cli.report import report
from edgecls.cli.run import run
from edgecls.cli.serve import serve
from edgecls.cli.train import train
from edgecls.errors import EdgeclsError, RemoteError
from edgecls.version import __version__

_GROUPS: dict[str, dict[Any, str]] = {  # what a person wants to do -> command -> its line in the list, which fits 80 columns
    "Make": {
        train: "Pictures to a classifier that says itself what it takes",
        convert: "MODEL to TFLite, Core ML and ONNX, each proven to compute the same",
        compress: "Prune, cluster and train MODEL for int8, into new variants",
        optimize: "The smallest or fastest variant of MODEL within your limit",
        run: "Compress, convert and bench as a recipe file says",
        demo: "All of it on a small model that is trained on the spot",
    },
    "Measure": {
        bench: "Accuracy, latency, memory and size of every artifact",
        evaluate: "Each class of a model or artifact, with a page of worst mistakes",
        diagnose: "Where a quantized artifact departs from its float self",
        inspect: "What is really in a model, an artifact or a folder of them",
        predict: "The best classes of images, with bars",
    },
    "Ship": {
        embed: "Artifacts into an Android, iOS or web app, with golden pictures",
        serve: "Artifacts as a web service: a page, an API, known protocols",
        report: "Measurements as one HTML page, Markdown or CSV",
        check: "Fail where artifacts got larger, slower or worse than a baseline",
    },
}
_EXAMPLE = """\b
Example:
  edgecls convert model.h5 --labels labels.txt --calibration photos/
  edgecls bench model.artifacts --data test_photos/

\b
`edgecls COMMAND --help` tells the rest."""


class _Commands(TyperGroup):
    """Lists the commands in groups; turns what a command raises into one line on stderr and an exit code."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for group, commands in _GROUPS.items():
            with formatter.section(group):
                formatter.write_dl([(command.__name__, line) for command, line in commands.items()])

    def make_context(self, *args: Any, **extra: Any) -> Any:
        with _in_one_line():  # typer still imports what it parses with here, and takes Ctrl-C without a word
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        with _in_one_line():
            return super().invoke(ctx)


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    """What is raised within becomes a line on stderr and an exit code."""
    try:
        yield
    except (EdgeclsError, RemoteError, OSError, KeyboardInterrupt) as error:
        code, line = exit_code_for(error)
        if code is None:
            raise
        typer.echo(line, err=True)
        raise typer.Exit(code) from None


app = typer.Typer(
    name="edgecls",
    cls=_Commands,
    no_args_is_help=True,
    epilog=_EXAMPLE,
    rich_markup_mode=None,  # plain help: rich would double the start-up time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgecls {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take a trained Keras image classifier to TFLite, Core ML and ONNX, prove the artifacts equal, and measure them."""


for _commands in _GROUPS.values():
    for _command in _commands:
        app.command()(_command)
