"""A real ssh server on the loopback interface, with keys and a configuration of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
_START_S = 30.0


@dataclass(frozen=True)
class SshServer:
    """A running server.

    Attributes:
        words: what leads there; a command for that side goes behind.
        pid: of the server.
    """

    words: tuple[str, ...]
    pid: int

    def python(self, *command: str) -> str:
        """The text for `--on`: `command`, quoted for the shell there, starts Python."""
        return shlex.join((*self.words, shlex.join(command)))

    def cut(self) -> None:
        """Break the oldest of the connections."""
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.pid)], capture_output=True, text=True, check=True)
        os.kill(min(map(int, listed.stdout.split())), signal.SIGKILL)


@contextlib.contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Serve until the end of the block; only the key made here gets in."""
    assert SSHD, "sshd is missing: make test-ssh installs it"
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    port = _free_port()
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "authorized",
        "PidFile": "none",
        "PasswordAuthentication": "no",
        "StrictModes": "no",
        "UsePAM": "no",
    }
    (folder / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    with contextlib.suppress(OSError):  # where Debian's sshd gives up its rights, if it is root's
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "sshd.log")])
    try:
        _await(port, folder / "sshd.log")
        options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={folder / 'known'}", "BatchMode=yes"]
        words = ["ssh", "-p", str(port), "-i", str(folder / "user"), *(word for option in options for word in ("-o", option))]
        yield SshServer((*words, f"{getpass.getuser()}@127.0.0.1"), server.pid)
    finally:
        server.terminate()
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _await(port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"sshd does not answer: {log.read_text() if log.exists() else 'it wrote nothing'}")
