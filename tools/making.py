"""What the makers of machines and toolchains share: commands that are run, said or missing, and folders that one at a time works in."""

from __future__ import annotations

import contextlib
import fcntl
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path


class ToolError(Exception):
    """What went wrong and what to do, in one line."""


def require_packages(missing: Collection[str], needed: str, install: bool) -> None:
    """Have apt-get install packages that are missing.

    Args:
        needed: what is needed and who has it, in words.
        install: whether it may.

    Raises:
        ToolError: it may not, or cannot.
    """
    if not missing:
        return
    how = ("apt-get", "install", "-y", *missing)
    if not install or not shutil.which("apt-get"):
        raise ToolError(f"needs {needed}: {shlex.join(how)}")
    say(f"Installing {', '.join(missing)} …")
    run("apt-get", "-qq", "update")
    run(*how, "-qq", "--no-install-recommends")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One at a time makes what is in a folder."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def unpack(package: Path, root: Path) -> None:
    """A Debian package into a root folder whose `lib` may be a link."""
    run("sh", "-c", 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"', "sh", str(package), str(root))


def run(*command: str) -> None:
    """Run a command; what it prints goes to stderr.

    Raises:
        ToolError: it failed.
    """
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode:
        raise ToolError(f"{shlex.join(command[:4])} … ended with exit status {done.returncode}; what it said stands above")


def say(what: str) -> None:
    """Tell people what happens."""
    print(what, file=sys.stderr, flush=True)
