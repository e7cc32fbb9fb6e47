"""`edgecls bench --on` as a user calls it: over a real ssh server, and by commands of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.records.report import Report
from edgecls.system.machine import find_machines
from edgecls.workflow.bench import BenchRequest, bench
from ssh_server import SshServer, ssh_server

SOURCE = Path(__file__).resolve().parents[2] / "src"
WAIT_S = 60.0
QUICK = ("--min-seconds", "0.01", "--min-runs", "5", "--limit", "16")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as found:
        yield found


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to call from, with images of `classifier`: dark ones and bright ones."""
    monkeypatch.chdir(tmp_path)
    pixels = np.repeat([40, 220], 8).astype(np.uint8)[:, None, None] * np.ones((16, 4, 4), np.uint8)
    np.savez(tmp_path / "images.npz", x=pixels, y=np.repeat([0, 1], 8))
    return tmp_path


@pytest.fixture
def far(tmp_path: Path) -> list[str]:
    """What starts Python there: its processes write their numbers into `pids`."""
    (tmp_path / "site").mkdir()
    (tmp_path / "pids").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        f"import os\nopen({str(tmp_path / 'pids')!r} + f'/{{os.getpid()}}', 'w').close()\n"
    )
    path = os.pathsep.join([str(tmp_path / "site"), str(SOURCE)])
    return ["env", f"PYTHONPATH={path}", f"XDG_CACHE_HOME={tmp_path / 'cache'}", sys.executable]


def require_gone(folder: Path) -> None:
    """None of the processes whose numbers are in a folder is left."""
    numbers = [int(item.name) for item in folder.iterdir()]
    assert numbers
    deadline = time.monotonic() + WAIT_S
    while (left := [number for number in numbers if Path(f"/proc/{number}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


@pytest.mark.ssh
class TestSsh:
    def test_machines_of_the_file_side_by_side_in_one_report(
        self, edgecls: Callable[..., Any], classifier: Path, server: SshServer, far: list[str], here: Path
    ):
        greeting = ["sh", "-c", 'echo "Welcome to pi!"; exec "$@"', "sh", *far]
        pi, a53 = (f"python = '''{server.python(*words)}'''\n" for words in (greeting, far))
        (here / "edgecls.toml").write_text(f"[machines.pi]\n{pi}[machines.a53]\n{a53}emulated = true\n")
        found = edgecls("bench", classifier, "--data", here / "images.npz", *QUICK, "--on", "pi", "--on", "a53")
        assert found.exit_code == 0, found.stderr
        reports = {name: Report.read(here / f"results-{name}.json") for name in ("pi", "a53")}
        for name, report in reports.items():
            (row,) = report.measurements
            assert report.environment.device == name
            assert row.accuracy is not None and row.accuracy.top1 == 1.0
            assert row.latency is not None and row.latency.validity is not None
            codes = [reason.code for reason in row.latency.validity.reasons]
            assert ("emulated" in codes) == (name == "a53")
        assert edgecls("report", "results-pi.json", "results-a53.json", "-o", "page.html").exit_code == 0
        page = (here / "page.html").read_text(encoding="utf-8")
        assert "pi" in page and "a53" in page and "2 environments" in page
        require_gone(here / "pids")

    def test_a_connection_lost_midway_is_a_row_with_its_reason(
        self, edgecls: Callable[..., Any], classifier: Path, foreign: Path, server: SshServer, far: list[str], here: Path
    ):
        other = foreign.rename(here / "other.onnx")

        def cut(event: Any) -> None:
            if event.stage == "load" and event.done == event.total:
                server.cut()

        (machine,) = find_machines([server.python(*far)], {})
        lost, kept = bench(BenchRequest(files=(classifier, other), data=here / "images.npz", machine=machine), cut).measurements
        assert lost.status == "crashed"
        assert any(
            words in lost.reason for words in ("closed by remote host", "Broken pipe", "reset by peer")
        )  # by who notices first
        assert kept.status == "ok" and kept.accuracy is not None
        require_gone(here / "pids")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
    def test_the_end_of_the_command_leaves_nothing_there(
        self, classifier: Path, server: SshServer, far: list[str], here: Path, number: signal.Signals
    ):
        started = (
            "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from edgecls.cli import main; main()"
        )
        words = ["bench", str(classifier), "--min-seconds", "600", "--timeout", "900", "--on", server.python(*far)]
        command = subprocess.Popen(
            [sys.executable, "-c", started, *words], env={**os.environ, "PYTHONPATH": str(SOURCE)}, start_new_session=True
        )
        deadline = time.monotonic() + WAIT_S
        while len(list((here / "pids").iterdir())) < 3 and time.monotonic() < deadline:  # asked, surveyed, measuring
            time.sleep(0.1)
        os.kill(command.pid, number)  # the command alone: what it started it has to end itself
        assert command.wait(WAIT_S) == (130 if number == signal.SIGINT else -number)
        require_gone(here / "pids")

    def test_a_key_that_does_not_fit(self, edgecls: Callable[..., Any], classifier: Path, server: SshServer):
        words = [word.replace("/user", "/host") for word in server.words]  # a key, but none that is let in
        found = edgecls("bench", classifier, "--on", " ".join([*words, sys.executable]))
        assert (found.exit_code, found.stdout) == (2, "")
        assert "Permission denied" in found.stderr
        assert len(found.stderr.strip().splitlines()) == 1


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--on", "nowhere"], "give it one there: [machines.nowhere]"),
            (["--on", "sh -c 'exit 3'"], "exit status 3"),
            (["--on", "python3", "--scheduler", "tcp://127.0.0.1:1"], "--scheduler and --on"),
            (["--on", "a", "--on", "b", "-o", "x.json"], "leave -o out"),
            (["--on", "a", "--on", "b", "--json"], "one machine with --json"),
        ],
    )
    def test_in_one_line_before_any_work(self, edgecls: Callable[..., Any], classifier: Path, options: list[str], said: str):
        found = edgecls("bench", classifier, *options)
        assert (found.exit_code, found.stdout) == (2, "")
        assert said in found.stderr
        assert len(found.stderr.strip().splitlines()) == 1
