"""Rounds: a model loses its channels step by step, and trains between the steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.compression.channels.compensation import compensate
from edgecls.compression.channels.cost import multiply_accumulates
from edgecls.compression.channels.importance import at_random, batch_norm_scale, loss_of, magnitude, taylor
from edgecls.compression.channels.latency import costed
from edgecls.compression.channels.plan import fitting_choice
from edgecls.compression.channels.ranking import choose, sizes_of
from edgecls.compression.channels.removal import without
from edgecls.compression.channels.sensitivity import weighed
from edgecls.compression.channels.statistics import estimate_again
from edgecls.compression.channels.trace import Channels, trace_channels
from edgecls.compression.strided import subsample_first
from edgecls.records.artifact import OutputKind
from edgecls.records.recipe import ChannelPruning
from edgecls.records.variant import Epoch
from edgecls.training.checkpoint import read_checkpoint, write_checkpoint
from edgecls.training.images import TrainingImages


@dataclass(frozen=True)
class Rounds:
    """How the channels of a model go.

    Attributes:
        kind: of the model's output.
        checkpoint: path of round 1, 2 … for what was chosen in it.
        resume: choose as a run that was stopped has chosen.
    """

    stage: ChannelPruning
    images: TrainingImages
    kind: OutputKind
    seed: int
    checkpoint: Path
    fingerprint: str
    resume: bool

    def run(self, model: Any) -> Iterator[tuple[int, Any]]:
        """Round 1, 2 … and the model that is left; each is to be trained before the next is asked for."""
        channels = costed(trace_channels(model), self.stage)
        sizes, macs = sizes_of(channels), multiply_accumulates(channels)
        planned = fitting_choice(channels, self.stage.share, self.stage.multiple)
        multiple = planned.multiple if planned else self.stage.multiple
        for number in range(1, self.stage.rounds + 1):
            channels = costed(trace_channels(model), self.stage) if number > 1 else channels
            stays = self._chosen(number)
            if stays is None:
                left, near = self._asked(macs, number)
                stays = choose(channels, self._scores(model, channels, number), left, multiple, sizes, near).stays
                write_checkpoint(self._path(number), self.fingerprint, [], [stays])
            compensate(model, channels, stays, self._batches())
            model = without(model, channels, stays)
            estimate_again(model, self._batches())
            yield number, model

    def _asked(self, macs: float, number: int) -> tuple[float, float | None]:
        """Multiply-accumulates that are to be left after a round, and by how many that may be missed.

        Only the last round has to meet its share: to meet that of another, channels would go that should stay. So another may go on for
        half a round's steps, but not stop before its share: too many would be left for the last.
        """
        step = macs * self.stage.share / self.stage.rounds
        if number == self.stage.rounds:
            return macs - number * step, None
        return macs - (number + 1 / 4) * step, step / 4

    def _chosen(self, number: int) -> np.ndarray | None:
        kept = read_checkpoint(self._path(number), self.fingerprint, Epoch) if self.resume else None
        return kept[1][0] if kept else None

    def _path(self, number: int) -> Path:
        return self.checkpoint.with_name(
            f"{self.checkpoint.name.removesuffix('.checkpoint.npz')}.{number}.channels.checkpoint.npz"
        )

    def _scores(self, model: Any, channels: Channels, number: int) -> np.ndarray:
        if self.stage.importance == "random":
            return at_random(channels, [self.seed, number])
        if self.stage.importance == "magnitude":
            return magnitude(channels)
        if self.stage.importance == "batchnorm":
            return batch_norm_scale(channels)
        subsample_first(model)
        loss = loss_of(self.kind, model.output_shape[-1])
        scores = taylor(model, channels, self._batches(), loss, self.seed)
        return weighed(model, channels, scores, self._batches(), self.kind)

    def _batches(self) -> Iterator[np.ndarray]:
        """About as many training images as the recipe says, whole batches."""
        batches, count = self.images.epoch(0), 0
        for inputs, _ in batches:
            yield inputs
            count += len(inputs)
            if count >= self.stage.images:
                return
