"""Images per second while accuracy is measured, against the loop over one image at a time and against what the cores could do at best.

MobileNetV2 1.0-224 float32 and JPEG photos of 500 x 375 made here. The accuracy pass is timed with its workers waiting, as they are in a
run of `edgecls bench` after latency; decoding happens once for all artifacts and is timed apart.

What the cores could do at best is measured, not assumed: independent single-threaded processes that do nothing but inference, one on
each core at the same time. Where cores share caches, memory or a power budget, together they reach less than as many times what one
reaches alone, which is shown too.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _artifacts import PREPROCESS, make_artifacts
from _photos import save_photos
from edgecls.crew import desk
from edgecls.crew.crew import Crew, ask
from edgecls.data import open_images
from edgecls.evaluation.accuracy import Exam, examine
from edgecls.records.image_spec import ImageSpec
from edgecls.runners import open_runner
from edgecls.system.worker import preload
from edgecls.timing import stopwatch

PHOTOS = 600
REPEATS = 5
HERE = Path(__file__).resolve().parent
SPEC = ImageSpec(height=224, width=224, channels=3).with_preprocess(PREPROCESS)
CORES = len(os.sched_getaffinity(0))


def main() -> None:
    """Measure in turns and print the medians."""
    rates: dict[str, list[float]] = {"loop": [], "decode": [], "accuracy": [], "whole": [], "single": [], "together": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_photos(folder / "photos", PHOTOS)
        model = make_artifacts(folder, targets="tflite", schemes="float32")["tflite-float32"]
        for _ in range(REPEATS):
            rates["loop"].append(_loop(model, folder / "photos"))
            decode_s, accuracy_s, single, together = _edgecls(model, folder / "photos")
            rates["decode"].append(PHOTOS / decode_s)
            rates["accuracy"].append(PHOTOS / accuracy_s)
            rates["whole"].append(PHOTOS / (decode_s + accuracy_s))
            rates["single"].append(single)
            rates["together"].append(together)
    against_loop = [_ratio(rates["accuracy"], rates["loop"]), _ratio(rates["whole"], rates["loop"])]
    against_best = _ratio(rates["accuracy"], rates["together"])
    scaling = _ratio(rates["together"], [CORES * rate for rate in rates["single"]])
    median = {key: statistics.median(values) for key, values in rates.items()}
    print(f"| {CORES} cores, {PHOTOS} photos | images/s | of the loop | of inference alone on {CORES} cores |")
    print("| --- | --- | --- | --- |")
    print(f"| one image at a time | {median['loop']:.0f} | 1 | |")
    print(f"| accuracy pass | {median['accuracy']:.0f} | {against_loop[0]:.2f} | {against_best:.2f} |")
    print(f"| decoding and accuracy pass | {median['whole']:.0f} | {against_loop[1]:.2f} | |")
    print(f"| decoding alone (once for all artifacts) | {median['decode']:.0f} | | |")
    print(f"| inference alone, one process | {median['single']:.0f} | | |")
    print(f"| inference alone, {CORES} processes at once ({scaling:.2f} of {CORES} x one) | {median['together']:.0f} | | 1 |")


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def _loop(model: Path, photos: Path) -> float:
    command = [sys.executable, str(HERE / "_documented_loops.py"), "photos", str(model), str(photos)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _edgecls(model: Path, photos: Path) -> tuple[float, float, float, float]:
    """(seconds to decode, seconds of the accuracy pass, images per second of inference alone by one process and by all at once)."""
    images = open_images(photos, SPEC, role="data")
    start = time.perf_counter()
    images.decode()
    decode_s = time.perf_counter() - start
    with Crew() as crew:

        def hire():
            return crew.hire(["edgecls.runners", "edgecls.runners.tflite", "ai_edge_litert.interpreter"])

        workers = [hire() for _ in range(CORES)]
        for worker in workers:
            ask(worker, 60, preload, [])
        for worker in workers:
            ask(worker, 60, desk.open_artifact, open_runner, model, SPEC, 1)
            ask(worker, 60, stopwatch.warm_up, 0.2, 10)
        single = _rate(ask(workers[0], 60, stopwatch.take_turn, 2.0, 100))
        turns = [worker.start(stopwatch.take_turn, 2.0, 100) for worker in workers]
        together = sum(_rate(turn.result()) for turn in turns)
        exam = Exam("a", model, SPEC, images.pixels, None)
        start = time.perf_counter()
        examine([exam], workers, open_runner, hire=hire, timeout_s=300, progress=lambda *_: None)
        accuracy_s = time.perf_counter() - start
    return decode_s, accuracy_s, single, together


def _rate(turn: stopwatch.Turn) -> float:
    """Images per second: of all samples, since stalls are part of what a machine can do."""
    return len(turn.samples_ns) * 1e9 / float(turn.samples_ns.sum())


if __name__ == "__main__":
    main()
