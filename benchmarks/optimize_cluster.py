"""How many more trials an hour do two workers of a Dask cluster on this machine make than one, and than `edgecls optimize` alone?

    python benchmarks/optimize_cluster.py [--trials 9] [--limit 6000] [--epochs 2] [--workers 2]

All make the same trials of the Fashion-MNIST CNN in the same order: plain int8 first, then one technique at each share. The workers have
the machine's cores among them, and are started before the clock; one worker has as many cores as each of two.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distributed import LocalCluster

from compression_accuracy import SHARED
from edgecls.records.recipe import Training
from edgecls.records.trial import Candidate, Trial
from edgecls.search import Space
from edgecls.system.processor import usable_cores
from edgecls.workflow.optimize import optimize
from edgecls.workflow.optimize_options import OptimizeRequest
from optimize import DOWNLOAD, MODELS


def in_order(space: Space, trials: Sequence[Trial], seconds_left: float) -> Candidate | None:
    """The next candidate of one technique that was not tried."""
    tried = dict.fromkeys(trial.candidate for trial in trials)
    single = [candidate for candidate in space.trained if len(candidate.stages) == 1]
    return next((one for one in (Candidate(), *single) if one not in tried), None)


def trials_an_hour(training: Training, trials: int, scheduler: str | None) -> float:
    """Of a whole call of `optimize`."""
    with tempfile.TemporaryDirectory(prefix="edgecls-bench-") as folder:
        model = {name: MODELS["fashion"][name] for name in ("model", "data")}
        goal = DOWNLOAD.model_copy(update={"within_points": 99.0})  # no training is given up, so that both make the same ones
        options: dict[str, Any] = {**model, "goal": goal, "training": training, "seconds": 36_000.0, "scheduler": scheduler}
        started = time.perf_counter()
        found = optimize(OptimizeRequest(**options, trials=trials, output=Path(folder)), strategy=in_order)
        assert all(trial.status == "measured" for trial in found.trials), [trial.reason for trial in found.trials]
        return 3600 * trials / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=9)
    parser.add_argument("--limit", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if not SHARED.is_dir():
        print(f"left out: the models and images are not here ({SHARED})")
        return
    training = Training(epochs=arguments.epochs, limit=arguments.limit, held_out=0.2)
    alone = trials_an_hour(training, arguments.trials, None)
    threads = max(usable_cores() // arguments.workers, 1)
    quiet: Any = {"dashboard_address": None, "worker_dashboard_address": None}
    found = []
    for workers in (1, arguments.workers):
        with LocalCluster(n_workers=workers, threads_per_worker=threads, host="127.0.0.1", **quiet) as cluster:
            found.append(trials_an_hour(training, arguments.trials, cluster.scheduler_address))
    one, several = found
    print("| | trials an hour | as a multiple of one worker's | of `edgecls optimize` alone |\n| --- | --: | --: | --: |")
    print(f"| one worker, threads: {threads} | {one:.0f} | 1.00 | {one / alone:.2f} |")
    print(
        f"| {arguments.workers} workers, threads: {threads} each | {several:.0f} | {several / one:.2f} | {several / alone:.2f} |"
    )
    print(f"| alone, threads: {usable_cores()} | {alone:.0f} | {alone / one:.2f} | 1.00 |", flush=True)


if __name__ == "__main__":
    main()
