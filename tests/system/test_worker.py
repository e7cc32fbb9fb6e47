"""Workers: every call gets its own answer or a reason, whatever breaks between the two processes."""

from __future__ import annotations

import gc
import importlib
import os
import re
import shutil
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

import edgecls
from edgecls.errors import RemoteError, WorkerError
from edgecls.system.memory import few_collections, new_objects_alone
from edgecls.system.worker import Worker

WAIT_S = 60.0  # for what takes a fraction of a second on an idle machine
CUT = """
import os, signal, subprocess, sys
left = int(sys.argv[1])
worker = subprocess.Popen([sys.executable, *sys.argv[2:]], stdout=subprocess.PIPE)
while left:
    block = os.read(worker.stdout.fileno(), min(left, 1 << 16))
    os.write(1, block)
    left -= len(block)
os.kill(os.getpid(), signal.SIGKILL)
"""


class OnlyHere:
    """Of a module that no worker can import."""


class TestWhatCannotBeSent:
    def test_an_argument_costs_its_own_call_alone(self):
        with Worker() as worker:
            before = worker.start(time.sleep, 0.2)
            refused = worker.start(len, [lambda: 0])
            after = worker.start(len, [1, 2])
            with pytest.raises(Exception, match=r"pickle|lambda"):
                refused.result(WAIT_S)
            assert (before.result(WAIT_S), after.result(WAIT_S)) == (None, 2)

    def test_a_result_costs_its_own_call_alone(self):
        with Worker() as worker:
            refused, after = worker.start(threading.Lock), worker.start(len, [1, 2])
            with pytest.raises(RemoteError, match="pickle"):
                refused.result(WAIT_S)
            assert after.result(WAIT_S) == 2

    def test_an_argument_that_the_worker_cannot_read(self):
        with Worker() as worker:
            refused, after = worker.start(repr, OnlyHere()), worker.start(len, [1, 2])
            with pytest.raises(RemoteError, match=__name__):
                refused.result(WAIT_S)
            assert after.result(WAIT_S) == 2

    def test_a_result_that_the_caller_cannot_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / "only_there.py").write_text("class Thing: pass\n\ndef make(): return Thing()\n")
        path = os.pathsep.join([str(tmp_path), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path)
            make = importlib.import_module("only_there").make
        monkeypatch.delitem(sys.modules, "only_there")
        with Worker({"PYTHONPATH": path}) as worker:
            refused, after = worker.start(make), worker.start(len, [1, 2])
            with pytest.raises(ModuleNotFoundError, match="only_there"):
                refused.result(WAIT_S)
            assert after.result(WAIT_S) == 2


class TestDeath:
    def test_in_the_middle_of_a_large_reply(self, tmp_path: Path):
        (tmp_path / "cut.py").write_text(CUT)
        with Worker(command=[sys.executable, str(tmp_path / "cut.py"), "50000000"]) as worker:
            cut, waiting = worker.start(bytes, 120_000_000), worker.start(len, [1, 2])
            for future in (cut, waiting, worker.start(len, [])):
                with pytest.raises(WorkerError, match="SIGKILL"):
                    future.result(WAIT_S)

    def test_by_our_own_hand(self):
        with Worker() as worker:
            busy, waiting = worker.start(time.sleep, WAIT_S), worker.start(len, [1, 2])
            worker.kill()
            for future in (busy, waiting, worker.start(len, [])):
                with pytest.raises(WorkerError, match="SIGKILL"):
                    future.result(WAIT_S)

    def test_a_reply_to_no_call_is_the_end(self, tmp_path: Path):
        (tmp_path / "mad.py").write_text(
            f"print('\\nedgecls worker {edgecls.__version__}', flush=True)\nprint('x' * 100, flush=True)\ninput()\n"
        )
        with Worker(command=[sys.executable, str(tmp_path / "mad.py")]) as worker, pytest.raises(WorkerError):
            worker.start(len, [1, 2]).result(WAIT_S)


class TestCommand:
    def test_what_a_shell_says_first_is_passed_over(self):
        shell = ["sh", "-c", 'echo "Welcome!"; printf "no end of line"; exec "$@"', "sh", sys.executable]
        with Worker(command=shell) as worker:
            worker.greet(WAIT_S)
            assert worker.call(len, [1, 2]) == 2

    @pytest.mark.parametrize(
        ("command", "found", "remedy"),
        [
            (["no-such-command"], "no-such-command: No such file", "correct it"),
            (["echo", "hello"], "exit status 0: hello -m edgecls.system.worker", "`echo hello --version`"),
            (["sh", "-c", "echo refused >&2; exit 255"], "exit status 255: refused", "--version"),
            (["sh", "-c", "exec yes"], "SIGKILL: y", "--version"),
            (
                ["env", "-u", "PYTHONPATH", sys.executable, "-S"],
                "No module named",
                f"install edgecls {edgecls.__version__} there",
            ),
        ],
    )
    def test_what_starts_no_worker(self, command: list[str], found: str, remedy: str):
        with pytest.raises(WorkerError) as caught, Worker(command=command) as worker:
            waiting = worker.start(len, [1, 2])
            with pytest.raises(WorkerError, match=re.escape(found)):
                waiting.result(WAIT_S)
            worker.greet(WAIT_S)
        assert found in caught.value.found
        assert remedy in caught.value.remedy

    def test_another_version(self, tmp_path: Path):
        source, copy = Path(edgecls.__file__).parent, tmp_path / "edgecls"
        (copy / "system").mkdir(parents=True)
        for name in (
            "__init__.py",
            "errors.py",
            "system/__init__.py",
            "system/extras.py",
            "system/memory.py",
            "system/worker.py",
        ):
            shutil.copy(source / name, copy / name)
        text = (source / "version.py").read_text(encoding="utf-8")
        (copy / "version.py").write_text(text.replace(edgecls.__version__, "0.0.7"), encoding="utf-8")
        with Worker({"PYTHONPATH": str(tmp_path)}) as worker:
            waiting = worker.start(len, [1, 2])
            for ask in (lambda: worker.greet(WAIT_S), lambda: waiting.result(WAIT_S)):
                with pytest.raises(WorkerError) as caught:
                    ask()
                assert caught.value.found == "edgecls 0.0.7"
                assert caught.value.remedy == f"install edgecls {edgecls.__version__} there"


class TestCollections:
    def test_what_was_there_before_is_not_walked(self):
        with new_objects_alone():
            assert gc.get_freeze_count() > 10_000  # what any Python with pytest holds
            with few_collections():
                assert not gc.isenabled()
            assert gc.isenabled()
            assert gc.get_freeze_count() > 10_000  # the outer one has not ended
        assert gc.get_freeze_count() == 0

    def test_what_is_made_inside_is_collected(self):
        class Node:
            pass

        with new_objects_alone():
            node = Node()
            node.itself = node
            seen = weakref.ref(node)
            del node
            gc.collect()
            assert seen() is None
