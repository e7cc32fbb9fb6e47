"""Plan: what removing channels can do to a model, found and proven before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.compression.channels.cost import multiply_accumulates
from edgecls.compression.channels.importance import magnitude
from edgecls.compression.channels.latency import costed
from edgecls.compression.channels.ranking import Choice, choose, sizes_of
from edgecls.compression.channels.removal import without, zeroed
from edgecls.compression.channels.trace import Channels, trace_channels
from edgecls.errors import CompressionError, RecipeError
from edgecls.records.recipe import ChannelPruning

_AS_NEAR_AS_STEPS = 0.02  # of the multiply-accumulates: channels go in whole steps, so that a share is met no nearer than a step
_STEPS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)  # shares to ask for where a smaller one takes no step
_TOLERANCE = 1e-3  # of the largest score: rounding that a hundred layers amplify stays below, a channel at a wrong place does not


@dataclass(frozen=True)
class Plan:
    """What would go by the magnitude of weights, which needs no images.

    Attributes:
        macs: multiply-accumulates of the whole model; milliseconds where the recipe counts in time, as in `choice`.
    """

    model: Any
    channels: Channels
    choice: Choice
    macs: float

    @property
    def smaller(self) -> Any:
        """The tf_keras model that would be left."""
        return without(self.model, self.channels, self.choice.stays)

    def prove(self, inputs: np.ndarray) -> None:
        """Compare the scores of what would be left with those of the model in which the same channels' weights are zero.

        Args:
            inputs: model inputs [n, *input_shape], float32.

        Raises:
            CompressionError: they differ.
        """
        expected = zeroed(self.model, self.channels, self.choice.stays).predict_on_batch(inputs)
        found = self.smaller.predict_on_batch(inputs)
        difference = float(np.abs(found - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny))
        if not difference <= _TOLERANCE:
            raise CompressionError(
                "a model without channels that answers like one in which they are zero",
                f"scores that differ by {difference:.2g} of the largest",
                "leave --prune-channels out",
            )


def plan_channels(model: Any, stage: ChannelPruning) -> Plan:
    """Plan the removal of channels of a flat tf_keras model.

    Raises:
        RecipeError: so much cannot go; the error says how much can, and what stays.
    """
    channels = costed(trace_channels(model), stage)
    macs = multiply_accumulates(channels)
    choice = fitting_choice(channels, stage.share, stage.multiple)
    if choice is None:
        raise _unreachable(channels, stage, macs)
    return Plan(model, channels, choice, macs)


def is_near(left: float, share: float) -> bool:
    """Whether so much is left of a model, 0..1, that the share that was to go is gone. Nothing is near to no share, however small."""
    return abs(1 - left - share) <= min(_AS_NEAR_AS_STEPS, share / 2)


def fitting_choice(channels: Channels, share: float, most: int) -> Choice | None:
    """What is planned with the greatest multiple that can meet a share: `most`, or what halving leaves of it; None where none can."""
    macs = multiply_accumulates(channels)
    while macs and most:
        choice = planned_choice(channels, share, most)
        if is_near(choice.macs / macs, share):
            return choice
        most //= 2
    return None


def planned_choice(channels: Channels, share: float, multiple: int) -> Choice:
    """The channels that would go for a share of the multiply-accumulates, by the magnitude of weights."""
    return choose(channels, magnitude(channels), (1 - share) * multiply_accumulates(channels), multiple, sizes_of(channels))


def _unreachable(channels: Channels, stage: ChannelPruning, macs: float) -> RecipeError:
    """Why a share cannot go, and what can be asked instead."""
    named = "".join(f"; {layer} stays: {reason}" for layer, reason in list(channels.protected.items())[:3])
    if not channels.groups:
        return RecipeError("channels to remove", f"none that can go{named}", "leave --prune-channels out")
    gone = 1 - planned_choice(channels, stage.share, 1).macs / macs
    coarser = (share for share in _STEPS if share > stage.share and fitting_choice(channels, share, stage.multiple))
    nearest = gone if gone >= _STEPS[0] else next(coarser, None)
    steps = "an eighth of each layer stays"
    too_fine = f"a model that loses more with its least step, as {steps}"
    return RecipeError(
        f"{100 * stage.share:g}% of the {'multiply-accumulates' if stage.by == 'macs' else 'time of its kernels'} to go",
        f"{too_fine if gone < _STEPS[0] else f'a model of which {gone:.1%} can, as {steps}'}{named}",
        f"ask for --prune-channels {nearest:.3f}" if nearest is not None else "leave --prune-channels out",
    )
