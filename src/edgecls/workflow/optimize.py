"""optimize: a model, its data and a limit -> trials, each made, measured and kept -> the best one within the limit."""

from __future__ import annotations

import contextlib
import time

from edgecls.evaluation import dask_pool
from edgecls.records.event import OnEvent, ignore
from edgecls.records.optimization import Optimization
from edgecls.search import Allowance, Strategy, propose
from edgecls.workflow.best import conclude
from edgecls.workflow.optimize_options import OptimizeRequest, check_request
from edgecls.workflow.trial_cluster import ClusterPlace
from edgecls.workflow.trial_places import LocalPlace, TrialPlace
from edgecls.workflow.trial_search import TrialSearch

_RESERVE_S = 20.0  # for the last measurement


def optimize(
    request: OptimizeRequest, on_event: OnEvent = ignore, strategy: Strategy = propose, place: TrialPlace | None = None
) -> Optimization:
    """Look for the best candidate within the limit, until the time is over or nothing promises anything any more.

    Trials that an earlier call has finished with the same model, data and options are kept and not made again.

    Args:
        strategy: proposes the next candidate.
        place: makes the trials; None for a process of our own.

    Raises:
        InputError: bad input, before anything is trained.
        StageError: the float model itself could not be converted or measured.
    """
    check_request(request)
    started = time.monotonic()
    allowance = Allowance(request.seconds, request.trials, _RESERVE_S)
    with contextlib.ExitStack() as stack:
        local = place or stack.enter_context(LocalPlace())
        trials = _cluster(stack, request.scheduler) if request.scheduler else local
        search = TrialSearch(request, local, trials, allowance, on_event)
        search.run(strategy)
        trials.stop()
        return conclude(search, time.monotonic() - started, on_event)


def _cluster(stack: contextlib.ExitStack, address: str) -> TrialPlace:
    """The workers of a Dask cluster.

    Raises:
        InputError: no scheduler answers there, or it has no workers that could be used.
    """
    place = ClusterPlace(stack.enter_context(dask_pool(address)), address)
    stack.callback(place.stop)
    return place
