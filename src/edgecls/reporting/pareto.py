"""The Pareto front: what nothing else beats in both respects."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Whether each (cost, gain) is on the front: nothing costs as little and gains more, or costs less and gains as much.

    Equal points are on the front together.
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1]))
    front = [False] * len(points)
    best = (float("inf"), float("-inf"))  # the point of the highest gain among those that cost no more
    for index in order:
        cost, gain = points[index]
        if gain > best[1] or (cost, gain) == best:
            front[index], best = True, (cost, gain)
    return front
