"""How good is what `edgecls optimize` finds beside random choice from the same space in the same time?

    python benchmarks/optimize.py [--model fashion|resnet8] [--time 20m] [--seeds 0,1,2] [--limit N] [--epochs 6] [--out results.json]

For each seed both look for the smallest download (fashion) or latency (resnet8) within the limit; the picks are then asked about the test
images, which neither has seen. The results are written after every search.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from compression_accuracy import SHARED, examine
from edgecls.records.artifact import Manifest
from edgecls.records.event import Event
from edgecls.records.recipe import Training
from edgecls.records.trial import Candidate, Goal, Trial
from edgecls.search import Space, Strategy, best_of, parse_time, propose
from edgecls.workflow.optimize import optimize
from edgecls.workflow.optimize_options import OptimizeRequest

DOWNLOAD = Goal(within_points=0.5, minimize="download", targets=("tflite",))
LATENCY = Goal(within_points=1.5, minimize="latency", targets=("tflite",))
MOVED = {"flip": True, "shift": 0.1}
MODELS: dict[str, dict[str, Any]] = {
    "fashion": {
        "model": SHARED / "zoo/fashion_cnn/fashion_mnist_model.h5",
        "data": SHARED / "data/fashion_mnist.npz",
        "goal": DOWNLOAD,
    },
    "resnet8": {
        "model": SHARED / "zoo/mlperf_tiny/pretrainedResnet.h5",
        "data": SHARED / "data/cifar10.npz",
        "goal": LATENCY,
        "against": "control",
        "preprocess": "0..255",
    },
}


def at_random(seed: int) -> Strategy:
    """Any candidate that was not tried, what lost too much trained longer too; plain int8 first, which both are compared with."""
    dice = np.random.default_rng(seed)

    def strategy(space: Space, trials: Sequence[Trial], seconds_left: float) -> Candidate | None:
        tried = dict.fromkeys(trial.candidate for trial in trials)
        if space.untrained[0] not in tried:
            return space.untrained[0]
        points = space.goal.within_points
        trained = [trial for trial in trials if trial.status == "measured" and trial.candidate.stages]
        longer = space.prolonged(trial.candidate for trial in trained if not trial.is_chosen(points))
        pool = [one for one in (*space.untrained, *space.finer, *space.trained, *longer) if one not in tried]
        return pool[int(dice.integers(len(pool)))] if pool else None

    return strategy


def search(name: str, strategy: Strategy, training: Training, seconds: float, folder: Path) -> dict[str, Any]:
    """One search: its best as a share of plain int8, and the pick's top-1 on the test images."""
    options = MODELS[name]
    request = OptimizeRequest(**options, training=training, seconds=seconds, output=folder)
    found = optimize(request, _tell, strategy)
    plain = next(trial for trial in found.trials if trial.candidate == Candidate())
    best = best_of(found.trials, request.goal.within_points)
    share = best.value / plain.value if best and best.value and plain.value else 1.0
    top1 = {}
    if found.pick:
        tested = examine(Manifest.read(folder / "best"), folder / "best", request.data)
        top1 = {artifact: values["top1"] for artifact, values in tested["artifacts"].items()}
    return {"pick": found.pick, "of_int8": share, "trials": len(found.trials), "test_top1": top1, "sentence": found.sentence}


def table(name: str, seconds: float, results: dict[str, dict[str, Any]]) -> str:
    """Markdown: what is left of plain int8 with each seed, and on the mean."""
    kinds: tuple[Literal["search", "random"], ...] = ("search", "random")
    lines = [
        f"| {name}, {seconds / 60:g} minutes | of post-training int8, each seed | mean | trials |",
        "| --- | --- | --: | --: |",
    ]
    for kind in kinds:
        rows = [row for key, row in results.items() if key.startswith(kind)]
        shares = [row["of_int8"] for row in rows]
        each = ", ".join(f"{share:.3f}" for share in shares)
        trials = statistics.fmean(row["trials"] for row in rows)
        lines.append(f"| {kind} | {each} | {statistics.fmean(shares):.3f} | {trials:.0f} |")
    return "\n".join(lines)


def _tell(event: Event) -> None:
    if event.remark:
        print(event.remark, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="fashion")
    parser.add_argument("--time", default="20m")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--limit", type=int, help="training images; all by default")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "optimize.json")
    arguments = parser.parse_args()
    if not SHARED.is_dir():
        print(f"left out: the models and images are not here ({SHARED})")
        sys.exit(0)
    seconds, results = parse_time(arguments.time), {}
    for seed in map(int, arguments.seeds.split(",")):
        moved = MOVED if arguments.model == "resnet8" else None
        options = {"epochs": arguments.epochs, "limit": arguments.limit, "augmentation": moved, "distillation": {}}
        training = Training.model_validate({**options, "learning_rate": 5e-4, "held_out": 0.2, "seed": seed})
        for kind, strategy in (("search", propose), ("random", at_random(seed))):
            with tempfile.TemporaryDirectory(prefix="edgecls-bench-") as folder:
                results[f"{kind} {seed}"] = search(arguments.model, strategy, training, seconds, Path(folder))
            arguments.out.write_text(json.dumps(results, indent=1))
    print(table(arguments.model, seconds, results))


if __name__ == "__main__":
    main()
