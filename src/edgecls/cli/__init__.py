"""The command line: one file per command, thin. It parses, calls the rooms below and prints; nothing else of the package prints.

Exit codes: 0 done; 1 a check failed; 2 bad input; 3 a stage failed; 130 interrupted.
"""

from __future__ import annotations

import io
import sys

from edgecls.cli.errors import exit_code_for


def main() -> None:
    """Entry point of the `edgecls` command."""
    # A pipe on Windows or a locale without UTF-8 may lack the bars of a table.
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")
    try:
        from edgecls.cli.app import app  # within the try: Ctrl-C may come while modules are still being imported
        from edgecls.system.extras import take_as_own

        take_as_own()
        app(prog_name="edgecls")
    except KeyboardInterrupt as interrupt:
        code, line = exit_code_for(interrupt)
        sys.stderr.write(f"{line}\n")
        raise SystemExit(code) from None
