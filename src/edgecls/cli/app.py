"""The commands together.

Each command's module imports at its top only what its signature needs; rooms, numpy and rich come inside the function, so that
`edgecls --help` answers at once.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgecls.cli.bench import bench
from edgecls.cli.check import check
from edgecls.cli.compress import compress
from edgecls.cli.convert import convert
from edgecls.cli.demo import demo
from edgecls.cli.diagnose import diagnose
from edgecls.cli.errors import exit_code_for
from edgecls.cli.inspect import inspect
from edgecls.cli.predict import predict
from edgecls.cli.report import report
from edgecls.cli.run import run
from edgecls.errors import EdgeclsError
from edgecls.version import __version__


class _Commands(TyperGroup):
    """Turns what a command raises into one line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (EdgeclsError, OSError, KeyboardInterrupt) as error:
            code, line = exit_code_for(error)
            if code is None:
                raise
            typer.echo(line, err=True)
            raise typer.Exit(code) from None


app = typer.Typer(
    name="edgecls",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
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


app.command()(compress)
app.command()(convert)
app.command()(bench)
app.command()(check)
app.command()(demo)
app.command()(diagnose)
app.command()(inspect)
app.command()(predict)
app.command()(run)
app.command()(report)
