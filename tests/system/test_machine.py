"""Machines: names in edgecls.toml, commands of `--on`."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecls.errors import MachineError
from edgecls.gate.budget import Budget
from edgecls.system.machine import Machine, find_machines, read_machines

TOML = """
[default]
max_size = "4 MB"

[machines.pi]
python = "ssh -p 22 'pi@raspberry pi' python3"

[machines.board]
python = "ssh board python3"
emulated = true

[machines.a53]
python = "env QEMU_CPU=cortex-a53 /usr/bin/qemu-aarch64-static -L root root/usr/bin/python3"
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    (tmp_path / "edgecls.toml").write_text(TOML)
    return tmp_path / "edgecls.toml"


def test_the_machines_of_a_file_that_budgets_also_have(toml: Path):
    found = read_machines(toml)
    assert found["pi"] == Machine("pi", ("ssh", "-p", "22", "pi@raspberry pi", "python3"))
    assert {name: machine.emulated for name, machine in found.items()} == {"pi": False, "board": True, "a53": True}
    assert Budget.read(toml).limits("any").max_size == 4_000_000
    assert read_machines(toml.with_name("none.toml")) == {}


def test_names_and_commands(toml: Path):
    known = read_machines(toml)
    pi, ssh = find_machines(["pi", "ssh -p 2222 pi@raspberrypi /opt/x/python3"], known)
    assert pi is known["pi"]
    assert ssh == Machine("ssh-p-2222-pi-raspberrypi-python3", ("ssh", "-p", "2222", "pi@raspberrypi", "/opt/x/python3"))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["pie"], r"a machine of edgecls.toml \(pi, board, a53\), found pie; give it one there: \[machines.pie\]"),
        ([""], "a command that starts Python"),
        (["ssh 'pi"], "No closing quotation"),
        (["pi", "pi"], "pi twice"),
    ],
)
def test_what_is_neither(toml: Path, texts: list[str], said: str):
    with pytest.raises(MachineError, match=said):
        find_machines(texts, read_machines(toml))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("machines = 3", "machines = 3"),
        ("[machines.pi]\nemulated = true", "emulated"),
        ("[machines.pi]\npython = 'ssh'\ncores = 3", "cores"),
        ("[machines.pi]\npython = ['ssh', 'pi']", "in quotes"),
        ("[machines.pi]\npython = 'ssh'\nemulated = 'yes'", "true or false"),
        ("[machines.pi]\npython = ''", "a command"),
        ("[machines.'../pi']\npython = 'ssh'", "rename"),
        ("[machines", "TOML"),
    ],
)
def test_tables_that_say_something_else(tmp_path: Path, text: str, said: str):
    (tmp_path / "edgecls.toml").write_text(text)
    with pytest.raises(MachineError, match=said):
        read_machines(tmp_path / "edgecls.toml")
