"""Rounds: a model loses its channels step by step, and trains between the steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
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

Layers = tuple[str, ...]  # that channels go through


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
        """Round 1, 2 … and the model that is left; each is to be trained before the next is asked for.

        How many channels each layer is to have in the end is found once, on the whole model: later importances tell of what is left of a
        layer, and not of what it has given already. Which ones go is found anew in every round.
        """
        sizes, widths = Counter[Layers](), Counter[Layers]()
        for number in range(1, self.stage.rounds + 1):
            subsample_first(model)
            channels = trace_channels(model)
            sizes = sizes or sizes_of(channels)
            kept = self._kept(number)
            if kept is not None:
                stays, widths = kept[0], Counter(dict(zip(sizes, map(int, kept[1]), strict=True)))
            else:
                scores = self._scores(model, channels, number)
                widths = widths or self._widths(channels, scores, sizes)
                done = number / self.stage.rounds
                stays = _best(channels, scores, {key: round(sizes[key] - (sizes[key] - widths[key]) * done) for key in sizes})
                choice = [stays, np.array([widths[key] for key in sizes])]
                write_checkpoint(self._path(number), self.fingerprint, [], choice)
            compensate(model, channels, stays, self._batches())
            model = without(model, channels, stays)
            estimate_again(model, self._batches())
            yield number, model

    def _widths(self, channels: Channels, scores: np.ndarray, sizes: Counter[Layers]) -> Counter[Layers]:
        """How many channels are to be left in the end, by their layers."""
        priced = costed(channels, self.stage)
        planned = fitting_choice(priced, self.stage.share, self.stage.multiple)
        multiple = planned.multiple if planned else self.stage.multiple
        stays = choose(priced, scores, multiply_accumulates(priced) * (1 - self.stage.share), multiple, sizes).stays
        left: Counter[Layers] = Counter()
        for group in channels.groups:
            left[group.layers] += int(stays[group.channels].sum())
        return left

    def _kept(self, number: int) -> list[np.ndarray] | None:
        """What a run that was stopped has chosen in a round: which channels stay, and how many of the groups' in the end."""
        kept = read_checkpoint(self._path(number), self.fingerprint, Epoch) if self.resume else None
        return kept[1] if kept else None

    def _path(self, number: int) -> Path:
        return self.checkpoint.with_name(f"{self.checkpoint.name.removesuffix('.checkpoint.npz')}.{number}.round.checkpoint.npz")

    def _scores(self, model: Any, channels: Channels, number: int) -> np.ndarray:
        if self.stage.importance == "random":
            return at_random(channels, [self.seed, number])
        if self.stage.importance == "magnitude":
            return magnitude(channels)
        if self.stage.importance == "batchnorm":
            return batch_norm_scale(channels)
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


def _best(channels: Channels, scores: np.ndarray, left: Mapping[Layers, int]) -> np.ndarray:
    """The channels of greatest importance, so many of those that go through the same layers, bool [channels.count]."""
    members: dict[Layers, list[int]] = {}
    for group in channels.groups:
        members.setdefault(group.layers, []).extend(group.channels)
    stays = channels.all.copy()
    for layers, own in members.items():
        order = np.array(own)[np.argsort(scores[own], kind="stable")]
        stays[order[: max(len(own) - left[layers], 0)]] = False
    return stays
