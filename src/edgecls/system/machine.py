"""Machine: another computer, as a command that starts Python there, by itself or by a name that `edgecls.toml` gives it.

[machines.pi]
python = "ssh pi@raspberrypi python3"

[machines.a53]
python = "env QEMU_CPU=cortex-a53 qemu-aarch64-static -L root root/usr/bin/python3.11"
emulated = true                             # said by itself where the command runs qemu
"""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from edgecls.errors import MachineError, reason_of

MACHINES_KEY = "machines"  # of edgecls.toml
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # it becomes part of a file's name
_LONGEST_NAME = 60
_EMULATOR = "qemu-"


@dataclass(frozen=True)
class Machine:
    """A machine to measure on.

    Attributes:
        name: of its results; the one in `edgecls.toml`, or made of the command.
        command: the words that start Python there.
        emulated: its processor is a program, whose times tell nothing about a real one.
    """

    name: str
    command: tuple[str, ...]
    emulated: bool = False


def read_machines(path: Path) -> dict[str, Machine]:
    """The machines that an `edgecls.toml` names; none where there is no such file.

    Raises:
        MachineError: no TOML, or tables that say something else than `python` and `emulated`.
    """
    if not path.is_file():
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MachineError("machines in TOML", f"{path}: {reason_of(error)}", "correct the file") from None
    tables = content.get(MACHINES_KEY, {})
    if not isinstance(tables, dict):
        raise MachineError("tables [machines.NAME]", f"{path}: machines = {tables!r}", "name the machine in the heading")
    return {name: _read(name, table, f"{path}: [machines.{name}]") for name, table in tables.items()}


def find_machines(texts: Sequence[str], known: Mapping[str, Machine]) -> list[Machine]:
    """What `--on` was given: names of known machines, or commands.

    Raises:
        MachineError: neither, or two that would write the same results.
    """
    found = [known[text] if text in known else _of_command(text, known) for text in texts]
    names = [machine.name for machine in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise MachineError("machines of different names", f"{twice[0]} twice", "name each in edgecls.toml: [machines.NAME]")
    return found


def _read(name: str, table: Any, where: str) -> Machine:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        expected = f"a name of letters, digits, '.', '_' and '-', {_LONGEST_NAME} at most"
        raise MachineError(expected, where, "rename the machine")
    if not isinstance(table, dict) or set(table) - {"python", "emulated"} or "python" not in table:
        found = ", ".join(table) if isinstance(table, dict) else repr(table)
        raise MachineError("python = 'COMMAND' and perhaps emulated = true", f"{where}: {found or 'nothing'}", "correct it")
    python, emulated = table["python"], table.get("emulated", False)
    if not isinstance(python, str) or not isinstance(emulated, bool):
        raise MachineError("python in quotes, emulated true or false", f"{where}: {table}", "correct it")
    command = _words(python, where)
    return Machine(name, command, emulated or _emulates(command))


def _of_command(text: str, known: Mapping[str, Machine]) -> Machine:
    command = _words(text, "--on")
    if len(command) == 1 and not shutil.which(command[0]):
        names = f" or a machine of edgecls.toml ({', '.join(known) or 'which names none'})"
        raise MachineError(f"a command that starts Python{names}", text, f"give it one there: [machines.{text}] python = '…'")
    name = "-".join(re.findall(r"[A-Za-z0-9._]+", " ".join(PurePath(word).name for word in command)))[:_LONGEST_NAME].strip("-.")
    return Machine(name or "machine", command, _emulates(command))


def _words(text: str, where: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise MachineError("a command in words", f"{where}: {text!r}: {error}", "close the quotes") from None
    if not words:
        raise MachineError("a command that starts Python", f"{where}: {text!r}", "write one such as 'ssh pi@raspberrypi python3'")
    return words


def _emulates(command: tuple[str, ...]) -> bool:
    return any(PurePath(word).name.startswith(_EMULATOR) for word in command)
