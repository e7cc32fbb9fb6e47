"""tools/swift, as far as it goes without the network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools/swift"
COMMANDS = ("apt-get", "dpkg-deb", "tar", "unshare", "chroot")


def run(folder: Path, commands: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The tool where no other commands exist."""
    environment = {**os.environ, "PATH": str(commands)}
    return subprocess.run(
        [sys.executable, TOOL, folder, *options], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def write(command: Path, lines: str) -> None:
    command.write_text(f"#!/bin/sh\n{lines}\n")
    command.chmod(0o755)


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder of commands; apt-get knows a mirror, and all else fails."""
    folder = tmp_path / "commands"
    folder.mkdir()
    for name in COMMANDS:
        write(folder / name, f"echo {name}: no >&2; exit 100")
    write(
        folder / "apt-get",
        'test "$1" = indextargets || { echo apt-get "$@": no >&2; exit 100; }\necho Debian Debian http://mirror.example/debian',
    )
    return folder


def test_a_swift_that_is_new_enough_is_taken(tmp_path: Path, commands: Path):
    write(commands / "swift", 'echo "Swift version 6.1.2 (swift-6.1.2-RELEASE)"')
    done = run(tmp_path / "swift", commands)
    assert (done.returncode, done.stderr) == (0, "")
    entrance = Path(done.stdout.strip())
    assert subprocess.run([entrance, "echo", "two words"], capture_output=True, text=True, check=True).stdout == "two words\n"
    assert not (tmp_path / "swift/system").exists()


def test_what_is_missing_is_named_with_the_command_that_helps(tmp_path: Path, commands: Path):
    write(commands / "swift", 'echo "Swift version 5.9 (swift-5.9-RELEASE)"')
    (commands / "unshare").unlink()
    done = run(tmp_path / "swift", commands)
    assert done.returncode == 2
    assert done.stderr.startswith("tools/swift: needs Swift 6.0 (https://swift.org/install), or on Debian: apt-get install -y")
    assert "util-linux" in done.stderr
    assert not (tmp_path / "swift/run").exists()


def test_packages_that_cannot_be_had_leave_no_toolchain(tmp_path: Path, commands: Path):
    done = run(tmp_path / "swift", commands, "--install")
    assert done.returncode == 2
    assert "exit status 100" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "swift/run").exists()
    assert not (tmp_path / "swift/system").exists()
