"""The processes that conversions share: kept while they live, replaced when they ended, ended at work for a conversion that failed."""

from __future__ import annotations

import os
import time

from edgecls.workflow.workers import Workers


def test_a_worker_is_kept_until_it_ends():
    with Workers() as workers:
        first = workers.examining
        assert workers.examining is first
        first.kill()
        second = workers.examining
        assert second is not first
        assert second.call(os.getpid) == second.pid
    assert second.has_ended


def test_a_failure_ends_what_is_at_work_alone():
    with Workers() as workers:
        worker = workers.examining
        worker.call(os.getpid)
        workers.kill_if_failed(ValueError, ValueError(), None)
        assert not worker.has_ended
        worker.start(time.sleep, 60)
        workers.kill_if_failed(None, None, None)
        assert not worker.has_ended
        workers.kill_if_failed(ValueError, ValueError(), None)
        assert worker.has_ended
