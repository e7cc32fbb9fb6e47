"""What a gate found, in the words a GitHub runner understands on stdout.

Commands and their escapes: github.com/actions/toolkit, packages/core/src/command.ts.
"""

from __future__ import annotations

from edgecls.records.finding import GateResult

_COMMANDS = {"violation": "error", "warning": "warning"}
_IN_MESSAGES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTIES = {**_IN_MESSAGES, ":": "%3A", ",": "%2C"}


def gate_annotations(result: GateResult, file: str | None) -> list[str]:
    """One line for each violation and warning, attached to `file` (the baseline's path in the repository), if there is one."""
    place = {"file": file} if file else {}
    return [
        annotation(_COMMANDS[finding.verdict], finding.text, **place, title=f"{finding.artifact}: {finding.quantity}")
        for finding in (*result.violations, *result.warnings)
    ]


def annotation(command: str, message: str, **properties: str) -> str:
    """`::error file=…,title=…::message`."""
    listed = ",".join(f"{key}={_escaped(value, _IN_PROPERTIES)}" for key, value in properties.items())
    return f"::{command} {listed}::{_escaped(message, _IN_MESSAGES)}"


def _escaped(text: str, table: dict[str, str]) -> str:
    return text.translate(str.maketrans(table))
