"""A worker that was started ahead is handed out once, with what it imported meanwhile."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edgecls.system import spare
from edgecls.system.worker import Worker


@pytest.fixture(autouse=True)
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the functions of this file."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))


def is_imported(name: str) -> bool:
    """Asked in a worker."""
    return name in sys.modules


def test_it_is_handed_out_once_with_its_modules():
    spare.start_spare(["wave"])
    (waiting,) = spare._spares
    with spare.take_worker() as first, spare.take_worker() as second:
        assert first is waiting
        assert first.pid != second.pid
        assert [worker.call(is_imported, "wave") for worker in (first, second)] == [True, False]


def test_one_that_died_is_not_handed_out():
    spare.start_spare([])
    spare._spares[0].kill()
    with spare.take_worker() as worker:
        assert worker.call(os.getpid) == worker.pid


def test_a_module_that_is_missing_costs_nothing():
    spare.start_spare(["no_such_module"])
    with spare.take_worker() as worker:
        assert worker.call(os.getpid) == worker.pid


def test_without_one_a_worker_starts():
    with spare.take_worker() as worker:
        assert isinstance(worker, Worker)
