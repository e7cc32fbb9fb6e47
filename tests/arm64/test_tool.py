"""tools/arm64, as far as it goes without the network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools/arm64"
COMMANDS = ("qemu-aarch64-static", "apt-get", "dpkg-deb", "tar")


def run(folder: Path, commands: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The tool where no other commands exist."""
    environment = {**os.environ, "PATH": str(commands)}
    return subprocess.run(
        [sys.executable, TOOL, folder, *options], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder of commands that all fail."""
    folder = tmp_path / "commands"
    folder.mkdir()
    for name in COMMANDS:
        (folder / name).write_text(f"#!/bin/sh\necho {name}: no >&2\nexit 100\n")
        (folder / name).chmod(0o755)
    return folder


def test_what_is_missing_is_named_with_the_command_that_helps(tmp_path: Path, commands: Path):
    (commands / "qemu-aarch64-static").unlink()
    done = run(tmp_path / "machines", commands)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "tools/arm64: needs qemu-user-static, which Debian and Ubuntu have: apt-get install -y qemu-user-static"
    ]
    assert not (tmp_path / "machines").exists()


def test_it_can_be_asked_to_install_that(tmp_path: Path, commands: Path):
    (commands / "qemu-aarch64-static").unlink()
    done = run(tmp_path / "machines", commands, "--install")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "Installing qemu-user-static …"
    assert "apt-get -qq update" in done.stderr


def test_packages_that_cannot_be_had_leave_no_machine(tmp_path: Path, commands: Path):
    done = run(tmp_path / "machines", commands)
    assert done.returncode == 2
    assert "apt-get: no" in done.stderr
    assert "exit status 100" in done.stderr.splitlines()[-1]
    assert not done.stdout
    assert {path.name for path in (tmp_path / "machines").iterdir()} == {".lock", ".making"}  # no command of a machine
