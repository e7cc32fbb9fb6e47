"""What a server goes through: too much at once, slow and lost clients, workers that end, files that change, the end."""

from __future__ import annotations

import http.client
import itertools
import os
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from damaged_uploads import answered
from served import Answer, Server, write_classifier

LINUX = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in Linux's /proc")


class Load:
    """Clients that ask without pause until the `with` block ends; what they were answered."""

    def __init__(self, server: Server, body: bytes, clients: int = 8) -> None:
        self._server, self._body = server, body
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        self.statuses: list[int] = []
        self.labels: Counter[str] = Counter()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=60)
        while not self._ending.is_set():
            connection.request("POST", "/predict?top=1", self._body)
            found = connection.getresponse()
            answer = Answer(found.status, {}, found.read())
            self.statuses.append(found.status)
            if found.status == 200:
                self.labels[answer.json["predictions"][0]["label"]] += 1
            else:
                assert found.headers["Retry-After"] == "1"
        connection.close()

    def until(self, is_enough: Callable[[], bool], seconds: float = 300.0) -> None:
        end = time.monotonic() + seconds
        while not is_enough():
            assert time.monotonic() < end, self.statuses[-10:]
            time.sleep(0.01)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


def workers_of(server: Server) -> list[int]:
    """Process identifiers of its workers: its children that run `edgecls.system.worker`."""
    threads = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    children = [pid for children in threads for pid in children.read_text(encoding="ascii").split()]
    return [int(pid) for pid in children if b"edgecls.system.worker" in _command(pid)]


def _command(pid: str) -> bytes:
    """Its words; none of a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@LINUX
def test_a_worker_killed_under_load_costs_only_what_it_had_in_hand(model: Path, png: bytes) -> None:
    """A batch is one question here, so that one answer at most is lost; all others are answered, before and after."""
    with Server([model, "--workers", 2, "--batch", 1]) as server, Load(server, png) as load:
        load.until(lambda: len(load.statuses) > 50)
        os.kill(workers_of(server)[0], signal.SIGKILL)
        load.until(lambda: server.metric("edgecls_worker_losses_total") == 1)
        load.until(lambda: server.metric("edgecls_workers") == 2)
        before = len(load.statuses)
        load.until(lambda: len(load.statuses) > before + 50)
    counted = Counter(load.statuses)
    assert counted.keys() <= {200, 503}
    assert counted[503] <= 1


@LINUX
def test_a_worker_killed_at_rest_costs_nothing(model: Path, png: bytes) -> None:
    with Server([model, "--workers", 1]) as server:
        assert server.ask("POST", "/predict", png).status == 200
        [pid] = workers_of(server)
        os.kill(pid, signal.SIGKILL)
        server.wait_for("SIGKILL")
        assert server.ask("POST", "/predict", png).status == 200  # it waits for the next worker
        assert workers_of(server) != [pid]


@LINUX
def test_a_worker_that_hangs_is_ended_and_replaced(model: Path, png: bytes) -> None:
    with Server([model, "--workers", 1, "--timeout", 1]) as server:
        os.kill(workers_of(server)[0], signal.SIGSTOP)
        assert server.ask("POST", "/predict", png).status == 503
        end = time.monotonic() + 300
        while server.ask("POST", "/predict", png).status != 200:
            assert time.monotonic() < end


@LINUX
def test_more_than_the_queue_holds_is_told_to_come_again(model: Path, png: bytes) -> None:
    with Server([model, "--workers", 1, "--queue", 2, "--timeout", 5]) as server, ThreadPoolExecutor(6) as pool:
        os.kill(workers_of(server)[0], signal.SIGSTOP)
        asked = [pool.submit(server.ask, "POST", "/predict", png) for _ in range(6)]
        while sum(future.done() for future in asked) < 4:
            time.sleep(0.01)
        refused = [future.result() for future in asked if future.done()]
        assert {(answer.status, answer.headers["retry-after"]) for answer in refused} == {(503, "1")}
        assert server.metric("edgecls_inside_requests") == 2
        os.kill(workers_of(server)[0], signal.SIGCONT)
        assert sorted(future.result().status for future in asked) == [200] * 2 + [503] * 4


def test_a_changed_file_is_taken_up_without_a_failed_request(tmp_path: Path, png: bytes) -> None:
    path = write_classifier(tmp_path / "m.tflite", labels=["old"] * 3)
    with Server([path, "--workers", 1]) as server:
        with Load(server, png) as load:
            load.until(lambda: load.labels["old"] > 20)
            for labels in (["new"] * 3, ["newer"] * 3):
                path.write_bytes(write_classifier(tmp_path / "other", labels=labels).read_bytes())
                load.until(lambda label=labels[0]: load.labels[label] > 20)
        assert set(load.statuses) == {200}
        path.write_bytes(b"damaged")
        server.wait_for("the former goes on")
        assert server.ask("POST", "/predict", png).json["predictions"][0]["label"] == "newer"
        path.unlink()
        assert server.ask("POST", "/predict", png).status == 200
        shutil.move(tmp_path / "other", path)
        assert server.stop() == 0


def test_told_to_stop_it_answers_what_is_there(model: Path, png: bytes) -> None:
    """One request is half sent when the signal comes; the rest of it still counts."""
    with Server([model, "--workers", 1]) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Length", str(len(png)))
        connection.endheaders(png[:10])
        while server.metric("edgecls_inside_requests") != 1:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        while True:
            try:
                socket.create_connection(("127.0.0.1", server.port), timeout=60).close()
            except (ConnectionRefusedError, ConnectionResetError):
                break
        connection.send(png[10:])
        assert connection.getresponse().status == 200
        connection.close()
        assert server.process.wait(60) == 0
    assert not any("Traceback" in line for line in server.said)


def test_bodies_that_do_not_come_are_not_waited_for(model: Path) -> None:
    with Server([model, "--workers", 1, "--timeout", 0.5]) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Length", "100")
        connection.endheaders(b"x")
        assert connection.getresponse().status == 408
        gone = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        gone.putrequest("POST", "/predict")
        gone.putheader("Content-Length", "100")
        gone.endheaders(b"x")
        gone.close()
        while server.metric("edgecls_inside_requests"):
            time.sleep(0.01)


def test_heads_that_do_not_come_are_not_waited_for(model: Path) -> None:
    """Neither at first, nor after requests that were answered; a byte every tenth of a second does not make the time longer."""
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    with Server([model, "--workers", 1, "--timeout", 2]) as server:
        silent, second = (socket.create_connection(("127.0.0.1", server.port), 60) for _ in range(2))
        with silent, second:
            second.sendall(head + b"\r\n")
            assert second.recv(4096).startswith(b"HTTP/1.1 200")
            time.sleep(2.5)  # between two requests it may be idle for longer
            second.sendall(head + b"\r\n")
            assert second.recv(4096).startswith(b"HTTP/1.1 200")
            assert silent.recv(1) == b""
            with socket.create_connection(("127.0.0.1", server.port), 60) as first:
                for trickling in (first, second):
                    started = time.monotonic()
                    trickling.sendall(head)
                    with pytest.raises(ConnectionError):
                        for byte in itertools.islice(itertools.cycle(b"X-Slow: 1\r\n"), 300):
                            trickling.sendall(bytes([byte]))
                            time.sleep(0.1)
                    assert time.monotonic() - started > 1.5  # it was waited for, a time that timers may round
        assert server.ask("GET", "/healthz").status == 200


def test_a_token_is_asked_of_all_but_health_and_the_page(model: Path, png: bytes) -> None:
    with Server([model, "--workers", 1], environment={"EDGECLS_TOKEN": "secret"}) as server:
        for path in ("/", "/page.js", "/healthz", "/readyz", "/v2/health/ready"):
            assert server.ask("GET", path).status == 200
        for path in ("/artifacts", "/metrics", "/openapi.json", "/v1/models/tiny", "/v2", "/v2/models/tiny"):
            assert server.ask("GET", path).status == 401
            assert server.ask("GET", path, Authorization="Bearer secret").status == 200
        for path in ("/predict", "/v1/models/tiny:predict", "/v2/models/tiny/infer"):
            for given in ({}, {"Authorization": "Bearer other"}, {"Authorization": "secret"}, {"Authorization": "Bearer \xe9"}):
                found = server.ask("POST", path, png, **given)
                assert (found.status, found.headers["www-authenticate"]) == (401, "Bearer")
        assert server.ask("POST", "/predict", png, Authorization="Bearer secret").status == 200


def test_two_hundred_damaged_uploads_are_each_refused_or_answered(server: Server) -> None:
    """Damage may leave a picture that can be read; nothing else than that and a 4xx may come of it."""
    statuses, wrong = answered(server, 200)
    assert not wrong
    assert statuses[400] > 100
    assert server.metric("edgecls_worker_losses_total") == 0
