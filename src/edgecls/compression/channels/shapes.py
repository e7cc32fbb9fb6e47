"""Shapes: where the channels lie, and where they come to lie when a tensor is reshaped. Axes are counted from the last, -1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecls.compression.channels.passing import Lane, NotFollowedError

Shape = Sequence[int | None]  # without the batch
_OPEN = "it reshapes sides that are open"


def from_last(axes: Any, rank: int) -> list[int]:
    """Axes as Keras counts them, the batch first, counted from the last; `rank` is that without the batch."""
    listed = list(axes) if hasattr(axes, "__iter__") else [axes]
    return [axis if axis < 0 else axis - rank - 1 for axis in listed]


def channel_axis(layer: Any, shape: Shape) -> int:
    """Where a layer has its channels."""
    return -len(shape) if getattr(layer, "data_format", None) == "channels_first" else -1


def positions(shape: Shape, axis: int) -> int:
    """How many values each channel has; an open side counts as one."""
    return int(np.prod([side or 1 for place, side in enumerate(shape, -len(shape)) if place != axis]))


def permuted(axis: int, order: Sequence[int]) -> int:
    """Where an axis comes to lie when the axes 1, 2 … behind the batch are put in an order."""
    return list(order).index(axis + len(order) + 1) - len(order)


def reshaped(lane: Lane, shape: Shape, made: Shape) -> tuple[np.ndarray, int]:
    """What lies along which axis once a tensor has another shape.

    Raises:
        NotFollowedError: no axis has a place for each channel.
    """
    if lane.stays:
        return np.zeros(made[-1] or 0, np.int64), -1
    if None in made:
        raise NotFollowedError(_OPEN)
    return along(spread(lane, shape).reshape([int(side or 1) for side in made]))


def spread(lane: Lane, shape: Shape) -> np.ndarray:
    """The unit of each value of a tensor, [*shape].

    Raises:
        NotFollowedError: a side is open.
    """
    if None in shape:
        raise NotFollowedError(_OPEN)
    column = lane.units.reshape(-1, *(1,) * (-lane.axis - 1))
    return np.broadcast_to(column, [int(side or 1) for side in shape])


def along(units: np.ndarray) -> tuple[np.ndarray, int]:
    """What lies along which axis of a tensor, of the unit of each of its values.

    Raises:
        NotFollowedError: no axis has a place for each channel.
    """
    for axis in range(-1, -units.ndim - 1, -1):
        rows = np.moveaxis(units, axis, -1).reshape(-1, units.shape[axis])
        if (rows == rows[0]).all():
            return rows[0], axis
    raise NotFollowedError("it spreads its channels over several axes")
