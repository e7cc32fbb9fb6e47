"""Charts before they are drawn: axes, coordinates and places of labels in the pixels of a view box. The templates draw them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgecls.records.latency import Latency, Sustained
from edgecls.reporting.pareto import pareto_front

WIDTH, HEIGHT = 440, 320
LEFT, RIGHT, TOP, BOTTOM = 52, WIDTH - 16, 16, HEIGHT - 44  # of the area that is drawn in
_LOG_FROM = 5.0  # a range of more than this ratio is drawn on a logarithmic axis
_WIDEST = 1e9  # of logarithmic axes, the greatest value over the least
_LETTER, _LINE = 6.1, 13.0  # size of a character of a label
_STRIP_WIDTH, _STRIP_HEIGHT, _STRIP_BINS = 600, 34, 150
_STEPS = (1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Axis:
    """A range of values on a line of pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def position(self, value: float) -> float:
        """Pixel of a value; what lies outside is at the end, as a time that a coarse clock took for nothing."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        low, high, value = (math.log(number) for number in (low, high, value)) if self.log else (low, high, value)
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Round values within the range, four to eight."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [step * 10.0**power for power in decades for step in _STEPS]
            found = [value for value in found if self.low <= value <= self.high]
            return found if len(found) <= 9 else [value for value in found if f"{value:e}"[0] == "1"]
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (*_STEPS, 10.0) if factor * power >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [index * step for index in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Tick:
    """A round value, where it stands and how it is written."""

    position: float
    text: str


@dataclass(frozen=True)
class Mark:
    """One artifact in a scatter chart; `label_x` is None where no label has room."""

    name: str
    target: str
    x: float
    y: float
    front: bool
    text: str
    label_x: float | None = None
    label_y: float = 0.0
    anchor: str = "start"


@dataclass(frozen=True)
class Scatter:
    """Gain against cost with the Pareto front."""

    title: str
    x_title: str
    y_title: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    marks: Sequence[Mark]
    front: str
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM


@dataclass(frozen=True)
class Strip:
    """One artifact's latencies as a histogram on an axis that all share."""

    name: str
    path: str
    p50: float
    p90: float
    p99: float
    latency: Latency


@dataclass(frozen=True)
class Strips:
    """Latency distributions of one environment; the axis is logarithmic."""

    ticks: Sequence[Tick]
    strips: Sequence[Strip]
    width: int = _STRIP_WIDTH
    height: int = _STRIP_HEIGHT


@dataclass(frozen=True)
class Course:
    """Latency of one artifact minute after minute, from nothing at the bottom of the picture to the slowest p90 at its top."""

    name: str
    p50: str
    p90: str
    first_ms: float
    last_ms: float
    sustained: Sustained
    width: int = _STRIP_WIDTH
    height: int = 2 * _STRIP_HEIGHT


def course(name: str, sustained: Sustained) -> Course:
    """The lines of a sustained run; a single minute is one line across."""
    minutes = sustained.minutes
    x = Axis(0, max(len(minutes) - 1, 1), 0, _STRIP_WIDTH)
    y = Axis(0, max(minute.p90_ms for minute in minutes) * 1.05 or 1.0, 2 * _STRIP_HEIGHT, 0)

    def line(values: Sequence[float]) -> str:
        values = list(values) if len(values) > 1 else [*values, *values]
        return "M" + "L".join(f"{x.position(index):.1f} {y.position(value):.1f}" for index, value in enumerate(values))

    p50, p90 = [minute.p50_ms for minute in minutes], [minute.p90_ms for minute in minutes]
    return Course(name, line(p50), line(p90), p50[0], p50[-1], sustained)


def scatter(title: str, x_title: str, y_title: str, points: Sequence[tuple[str, str, float, float]]) -> Scatter | None:
    """Accuracy against what it costs; None without a point.

    Args:
        y_title: what the accuracy is.
        points: (name, target, cost above 0, accuracy 0..1).
    """
    if not points:
        return None
    costs, gains = [point[2] for point in points], [point[3] * 100 for point in points]
    x = _axis(costs, LEFT, RIGHT, max(costs) > _LOG_FROM * min(costs))
    y = _axis(gains, BOTTOM, TOP, False)
    front = pareto_front([(point[2], point[3]) for point in points])
    marks = [
        Mark(name, target, x.position(cost), y.position(gain * 100), on, f"{name}: {format_number(cost)} {x_title}, {gain:.2%}")
        for (name, target, cost, gain), on in zip(points, front, strict=True)
    ]
    steps = sorted({(mark.x, mark.y) for mark in marks if mark.front})
    digits = max(0, -math.floor(math.log10(y.ticks()[1] - y.ticks()[0]))) if len(y.ticks()) > 1 else 1
    return Scatter(
        title,
        x_title,
        y_title,
        [Tick(x.position(value), format_number(value)) for value in x.ticks()],
        [Tick(y.position(value), f"{value:.{digits}f}%") for value in y.ticks()],
        list(_labelled(marks)),
        _stairs(steps),
    )


def strips(latencies: Sequence[tuple[str, Latency]]) -> Strips | None:
    """Histograms of all samples on one axis; where a device kept no samples, of the histogram it kept."""
    sampled = [(name, latency) for name, latency in latencies if latency.min_ms > 0]
    if not sampled:
        return None
    low, high = min(found.min_ms for _, found in sampled), max(found.max_ms for _, found in sampled)
    axis = Axis(max(low, high / _WIDEST) / 1.05, high * 1.05, 0, _STRIP_WIDTH, log=True)
    edges = np.geomspace(axis.low, axis.high, _STRIP_BINS + 1)
    rows = []
    for name, latency in sampled:
        p50, p90, p99 = (axis.position(value) for value in (latency.p50_ms, latency.p90_ms, latency.p99_ms))
        rows.append(Strip(name, _bars(_counts(latency, edges)), p50, p90, p99, latency))
    return Strips([Tick(axis.position(value), format_number(value)) for value in axis.ticks()], rows)


def format_number(value: float) -> str:
    """A tick: `0.05`, `20`, `1,500`."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _axis(values: Sequence[float], start: float, end: float, log: bool) -> Axis:
    """A range with room around the values."""
    low, high = min(values), max(values)
    if log:
        low = max(low, high / _WIDEST)
        room = (high / low) ** 0.08
        return Axis(low / room, high * room, start, end, True)
    room = (high - low) * 0.12 or abs(high) * 0.1 or 1.0
    return Axis(max(low - room, 0.0) if low >= 0 else low - room, high + room, start, end)


def _stairs(steps: Sequence[tuple[float, float]]) -> str:
    """The front as a path: from one point the best gain holds until the next costs more."""
    path = "".join(f"H{x}V{y}" for x, y in steps[1:])
    return f"M{steps[0][0]} {steps[0][1]}{path}" if len(steps) > 1 else ""


def _labelled(marks: Sequence[Mark]) -> Iterator[Mark]:
    """A place beside each mark where a label covers no other and no mark; the front chooses first, the others may stay without."""
    taken = [(mark.x - 5, mark.y - 5, mark.x + 5, mark.y + 5) for mark in marks]
    placed: dict[int, Mark] = {}
    for index in sorted(range(len(marks)), key=lambda index: not marks[index].front):
        mark = marks[index]
        for label_x, label_y, anchor, box in _places(mark):
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
                placed[index] = Mark(mark.name, mark.target, mark.x, mark.y, mark.front, mark.text, label_x, label_y, anchor)
                break
    yield from (placed.get(index, mark) for index, mark in enumerate(marks))


def _places(mark: Mark) -> Iterator[tuple[float, float, str, tuple[float, float, float, float]]]:
    """(x, y, anchor, box) of labels beside, above and below a mark, within the view box."""
    long = _LETTER * len(mark.name)
    for across, down in ((9, 4), (-9, 4), (0, -10), (0, 19), (9, -10), (9, 17), (-9, -10), (-9, 17), (0, -24), (0, 33)):
        x, y = round(mark.x + across, 1), round(mark.y + down, 1)
        anchor = "start" if across > 0 else "end" if across < 0 else "middle"
        left = x if across > 0 else x - long if across < 0 else x - long / 2
        box = (left, y - _LINE + 3, left + long, y + 3)
        if left >= LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= BOTTOM:
            yield x, y, anchor, box


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _counts(latency: Latency, edges: np.ndarray) -> np.ndarray:
    """Samples between neighbouring edges; those of a histogram are taken as spread evenly within its bins."""
    if latency.histogram and not latency.samples_ms:
        up_to = np.concatenate([[0], np.cumsum(latency.histogram.counts)])
        return np.diff(np.interp(edges, latency.histogram.edges_ms, up_to))
    return np.histogram(latency.samples_ms or [latency.p50_ms], bins=edges)[0]


def _bars(counts: np.ndarray) -> str:
    """A histogram as one path, as high as the strip where it is highest."""
    wide = _STRIP_WIDTH / _STRIP_BINS
    tall = counts / (float(counts.max()) or 1.0) * (_STRIP_HEIGHT - 2)
    found = np.flatnonzero(counts)
    return "".join(f"M{index * wide:g} {_STRIP_HEIGHT}v-{max(tall[index], 0.8):.1f}h{wide:g}V{_STRIP_HEIGHT}z" for index in found)
