"""What the command line makes of failures: one line on stderr and an exit code; and its help."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from edgecls import __version__
from edgecls.cli.app import app
from edgecls.cli.errors import exit_code_for
from edgecls.errors import ConversionError, DataError, OutputError
from edgecls.system.store import write_text
from gate_folder import FLOAT, make_folder


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgecls.cli", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_version() -> None:
    assert run("--version").stdout == f"edgecls {__version__}\n"


def test_help_groups_the_commands_each_in_a_line_that_fits() -> None:
    help_text = run("--help").stdout
    groups = help_text.partition("Make:")[2].partition("Example:")[0].splitlines()
    found = {line.split()[0] for line in groups if line.startswith("  ") and line.strip()}
    assert found == {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert all(f"{group}:" in help_text for group in ("Make", "Measure", "Ship"))
    assert all(len(line) <= 80 for line in help_text.splitlines())
    assert "…" not in help_text
    assert "..." not in help_text.replace("[ARGS]...", "")


def test_nothing_at_all_shows_the_help() -> None:
    done = run()
    assert done.stdout + done.stderr == run("--help").stdout


def test_completion_proposes_commands() -> None:
    asked = {"_EDGECLS_COMPLETE": "complete_bash", "COMP_WORDS": "edgecls con", "COMP_CWORD": "1"}
    edgecls = Path(sys.executable).with_name("edgecls")
    assert (
        subprocess.run([edgecls], env={**os.environ, **asked}, capture_output=True, text=True, check=False).stdout == "convert\n"
    )


def test_a_mistake_is_one_line_without_traceback() -> None:
    done = run("inspect", "no such file")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: expected a file or a package, found no such file, which does not exist; check the path\n"


def test_a_misspelt_option_is_exit_2() -> None:
    done = run("inspect", "--jsno", "x")
    assert done.returncode == 2
    assert "No such option" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("a", "b", "c"), 2, "error: expected a, found b; c"),
        (ConversionError("a", "b", "c"), 3, "error: expected a, found b; c"),
        (KeyboardInterrupt(), 130, "interrupted: nothing half-written was left"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x.tflite"),
            2,
            "error: expected room on the disk, found x.tflite: No space left on device; free some space or choose another place",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "out"),
            2,
            "error: expected a place this user may use, found out: Permission denied; change its permissions or choose another place",
        ),
    ],
)
def test_failures_and_their_lines(error: BaseException, code: int, line: str) -> None:
    assert exit_code_for(error) == (code, line)


def test_a_failure_that_is_nobodys_mistake_keeps_its_traceback() -> None:
    assert exit_code_for(OSError(errno.EIO, "Input/output error")) == (None, "")


def test_a_full_disk_is_one_line(classifier: Path) -> None:
    """/dev/full is a device on which every write finds the disk full."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this platform")
    with full.open("w") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "edgecls.cli", "inspect", str(classifier), "--json"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: expected room on the disk, found ")
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_one_line_and_130() -> None:
    script = """
import sys, time
from edgecls.cli import main
from edgecls.cli.app import app

@app.command()
def wait():
    print("ready", flush=True)
    time.sleep(60)

sys.argv = ["edgecls", "wait"]
main()
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr == "interrupted: nothing half-written was left\n"


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_modules_are_imported_is_one_line_too() -> None:
    script = """
import os, signal, sys
from edgecls.cli import main

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "edgecls.cli.convert":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["edgecls", "--version"]
main()
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted: nothing half-written was left\n"


def test_a_stdout_without_the_characters_of_a_table_gets_others_and_json_in_utf_8(tmp_path: Path) -> None:
    make_folder(tmp_path / "out", {FLOAT: 8}, labels=["\u00e4pfel", *(f"class_{index}" for index in range(1, 10))])
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}

    def answer(*arguments: str) -> bytes:
        command = [sys.executable, "-m", "edgecls.cli", *arguments]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    Image.new("RGB", (4, 4)).save(tmp_path / "black.png")
    assert b"%" in answer("predict", str(tmp_path / "out" / f"{FLOAT}.onnx"), str(tmp_path / "black.png"), "--preprocess", "0..1")
    assert json.loads(answer("inspect", str(tmp_path / "out"), "--json").decode())["labels"][0] == "\u00e4pfel"


def test_ctrl_c_while_the_command_line_is_parsed_is_one_line(
    edgecls: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **extra: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("typer.core.TyperGroup.make_context", interrupted)
    done = edgecls("bench")
    assert (done.exit_code, done.stderr) == (130, "interrupted: nothing half-written was left\n")


def test_a_missing_file_is_named_once(tmp_path: Path) -> None:
    for command in (["report", "nowhere"], ["check", "nowhere"], ["check", str(tmp_path), "--baseline", "nowhere"]):
        done = run(*command)
        assert done.returncode == 2
        assert "Errno" not in done.stderr
        assert "No such file or directory" in done.stderr


def test_a_place_that_cannot_be_written_is_named_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only file system refuses to remove the partial file as well; the error still names what the user asked for."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match=f"found {tmp_path}/report.html: Read-only file system"):
        write_text(tmp_path / "report.html", "")
