"""A runner without an engine, for tests of everything above the runners: it does what its file tells it."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgecls.errors import UnsupportedOperationError
from edgecls.records.artifact import OutputKind
from edgecls.records.engine import Engine
from edgecls.records.image_spec import ImageSpec
from edgecls.records.profile import OperationTime, Profile


@dataclass
class FakeRunner:
    """Scores are cosines of the image's pixels with fixed random directions: cheap, deterministic, spread over the classes.

    Attributes:
        behaviour: `ok`; or what happens at which moment, as `<what>-at-<when>` (what: `kill`, `hang`, `raise`; when: `load`,
            `invoke`, `predict`, `profile`, `threads` and `batch` where more than one is asked for); `nan` answers NaN; `unsupported`
            cannot be opened, `unsupported-stand-in` not by what stands in for it.
        stand_in, labels: as in `Runner`.
        seed: of the directions; two fakes with one seed agree.
        delay_ms: time of one inference.
        most_images: it takes so many in one call.
    """

    spec: ImageSpec
    outputs: int = 10
    behaviour: str = "ok"
    seed: int = 0
    delay_ms: float = 0.0
    output_kind: OutputKind = "softmax"
    stand_in: str = ""
    most_images: int = 1
    labels: tuple[str, ...] = ()
    _directions: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        size = self.spec.height * self.spec.width * self.spec.channels
        self._directions = np.random.default_rng(self.seed).standard_normal((size, self.outputs))
        self.act("load")

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Pixels [N, H, W, C] to float32 scores [N, outputs]."""
        self.act("predict")
        time.sleep(self.delay_ms / 1000 * len(images))
        scores = np.empty((len(images), self.outputs), np.float32)
        for index, image in enumerate(images):  # one at a time: the same bits whatever the batch
            scores[index] = np.full(self.outputs, np.nan) if self.behaviour == "nan" else self._score(image)
        return scores

    def predict_heads(self, images: np.ndarray) -> list[np.ndarray]:
        """One head."""
        return [self.predict(images)]

    def prepare(self, image: np.ndarray) -> None:
        """Nothing to prepare."""

    def set_batch(self, batch: int) -> int:
        """As many as it was told; a call takes as long for all of them as for one."""
        if batch > 1:
            self.act("batch")
        return batch if batch <= self.most_images else 1

    def engine(self) -> Engine:
        """None to speak of."""
        return Engine(name="fake", version="1", delegate="none", verified=True)

    def invoke(self) -> None:
        """Take the time of one inference."""
        self.act("invoke")
        time.sleep(self.delay_ms / 1000)

    def _score(self, image: np.ndarray) -> np.ndarray:
        values = image.reshape(-1) / 127.5 - 1.0
        return values @ self._directions / (np.linalg.norm(values) + 1e-9)

    def act(self, moment: str) -> None:
        """Do what was to happen at this moment."""
        what, _, when = self.behaviour.partition("-at-")
        if when != moment:
            return
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "hang":
            time.sleep(3600)
        if what == "raise":
            raise RuntimeError(f"the fake was told to fail at {moment}")


def open_fake(path: Path, *, spec: ImageSpec | None = None, threads: int = 1) -> FakeRunner:
    """Open a JSON file with the fields of FakeRunner; it takes the place of `open_runner`."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    if fields.get("behaviour") == "unsupported":
        raise UnsupportedOperationError("operations the fake has", f"{path}: FAKE_OP", "convert without that operation")
    runner = FakeRunner(spec or ImageSpec(height=8, width=8, channels=1), **fields)
    if threads > 1:
        runner.act("threads")
    return runner


def open_fake_stand_in(path: Path, *, spec: ImageSpec | None = None, threads: int = 1) -> FakeRunner:
    """What stands in for a fake: one of the next seed."""
    found = open_fake(path, spec=spec, threads=threads)
    if found.behaviour == "unsupported-stand-in":
        raise UnsupportedOperationError("operations the stand-in has", f"{path}: FAKE_OP", "wait for one that has it")
    return FakeRunner(found.spec, found.outputs, seed=found.seed + 1, stand_in="another fake")


def profile_fake(path: Path, *, spec: ImageSpec, threads: int, runs: int) -> Profile:
    """The profile of a fake: one operation."""
    open_fake(path, spec=spec, threads=threads).act("profile")
    operation = OperationTime(operation="COSINE", ms=1.0, share=1.0)
    return Profile(runs=runs, total_ms=1.0, operations=[operation], words=[f"{spec.height} x {spec.width}, {threads} threads"])
