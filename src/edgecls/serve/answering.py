"""What a worker process does: opens the artifacts of an offer once, then answers questions, several at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from edgecls.data.label_file import default_labels
from edgecls.errors import ArtifactError, DataError, EdgeclsError, OversizedImageError
from edgecls.records.runner import Runner
from edgecls.runners import labels_in, open_as, open_runner
from edgecls.serve.card import Card
from edgecls.serve.limits import Limits
from edgecls.serve.offer import Served
from edgecls.serve.protocols import READERS, Inputs
from edgecls.serve.question import Question, RefusedError, Reply, error_body

_LIMITS = Limits()
_OPEN: dict[str, _Open] = {}


@dataclass
class _Open:
    """An open artifact."""

    card: Card
    runner: Runner
    served: Served = field(repr=False)

    @cached_property
    def unprepared(self) -> Runner:
        """The same for values that enter the model as they are; opened when first asked for."""
        return open_runner(self.served.path, spec=self.card.plain_spec)


def open_offer(served: Sequence[Served], limits: Limits) -> list[Card]:
    """Open all artifacts in this process and compute one image with each.

    Raises:
        ArtifactError: one cannot be opened, or does not compute.
    """
    global _LIMITS  # noqa: PLW0603 - a worker has one offer in its life
    _LIMITS = limits
    for entry in served:
        _OPEN[entry.name] = _opened(entry)
    return [_OPEN[entry.name].card for entry in served]


def answer(questions: Sequence[Question]) -> list[Reply]:
    """One reply for each question, in their order. Whatever is wrong with one does not reach the others."""
    replies: list[Reply | None] = [None] * len(questions)
    groups: dict[tuple[str, bool], list[tuple[int, Inputs]]] = {}
    for number, question in enumerate(questions):
        try:
            inputs = READERS[question.protocol](question, _OPEN[question.artifact].card, _LIMITS)
            groups.setdefault((question.artifact, inputs.is_prepared), []).append((number, inputs))
        except RefusedError as refusal:
            replies[number] = Reply(refusal.status, error_body(refusal.message))
        except OversizedImageError as error:
            replies[number] = Reply(413, error_body(_told(error)))
        except DataError as error:
            replies[number] = Reply(400, error_body(_told(error)))
    for (name, is_prepared), members in groups.items():
        found = _OPEN[name]
        _compute(found.unprepared if is_prepared else found.runner, members, replies)
    return [reply or Reply(500, error_body("no answer")) for reply in replies]


def _compute(runner: Runner, members: list[tuple[int, Inputs]], replies: list[Reply | None]) -> None:
    """The scores of several questions to one artifact, in one go, and their replies."""
    images = np.concatenate([inputs.images for _, inputs in members]) if len(members) > 1 else members[0][1].images
    began = time.perf_counter()
    try:
        scores = runner.predict(images)
    except ArtifactError:
        for number, _ in members:
            replies[number] = Reply(500, error_body("the artifact could not compute this"))
        return
    ms = (time.perf_counter() - began) * 1000 / len(images)
    start = 0
    for number, inputs in members:
        own = scores[start : start + len(inputs.images)]
        start += len(own)
        if np.isfinite(own).all():
            replies[number] = inputs.render(own, ms * len(own))._replace(compute_ms=ms * len(own))
        else:
            replies[number] = Reply(400, error_body("these values give scores that are no finite numbers"))


def _opened(served: Served) -> _Open:
    runner = open_runner(served.path, spec=served.spec) if served.spec else open_as(served.path, *served.choices)
    labels = tuple(served.labels or labels_in(served.path, runner) or default_labels(max(2, runner.outputs)))
    spec = runner.spec
    runner.predict(np.zeros((1, spec.height, spec.width, spec.channels), np.uint8))
    note = spec.note if spec.provenance == "assumed" else ""
    card = Card(served.name, served.target, served.scheme, spec, labels, runner.outputs, runner.output_kind, note)
    return _Open(card, runner, served)


def _told(error: EdgeclsError) -> str:
    return f"expected {error.expected}, found {error.found}; {error.remedy}"
