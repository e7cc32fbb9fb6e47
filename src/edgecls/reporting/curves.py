"""Curves of training and calibration before they are drawn, in the pixels of a view box. The templates draw them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgecls.records.accuracy import Calibration
from edgecls.reporting.charts import BOTTOM, LEFT, RIGHT, TOP, Axis, Tick, format_number

_HELD_OUT = ("val_", "held_out_")  # how Keras, and training.json, begin names of what was measured on images not trained on
_NOT_DRAWN = {"epoch", "seconds", "images_per_s"}
_LOG_FROM = 50.0  # a range of more than this ratio, as of a learning rate, is drawn on a logarithmic axis


@dataclass(frozen=True)
class Curves:
    """Lines over epochs: (name, path) of each; `words` tells ends and extremes to whoever does not see them."""

    title: str
    x_title: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    lines: Sequence[tuple[str, str]]
    words: str
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM


@dataclass(frozen=True)
class Reliability:
    """Accuracy against confidence: a bar for each bin that has images (x, width, y, height, words), and where both are equal."""

    bars: Sequence[tuple[float, float, float, float, str]]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    diagonal: str
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM


def history_series(history: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """What was written of each epoch as curves: quantity -> `training` and `held-out` -> a value for each epoch, NaN where none was."""
    keys = dict.fromkeys(key for epoch in history for key, value in epoch.items() if _is_number(value) and key not in _NOT_DRAWN)
    found: dict[str, dict[str, list[float]]] = {}
    for key in keys:
        prefix = next((prefix for prefix in _HELD_OUT if key.startswith(prefix)), "")
        values = [float(epoch[key]) if _is_number(epoch.get(key)) else math.nan for epoch in history]
        found.setdefault(key.removeprefix(prefix), {})["held-out" if prefix else "training"] = values
    return found


def curves_of(history: Sequence[Mapping[str, Any]]) -> list[Curves]:
    """One chart for each quantity that has two epochs at least."""
    series = history_series(history)
    drawn = [_curves(title, lines) for title, lines in series.items()] if len(history) > 1 else []
    return [chart for chart in drawn if chart is not None]


def reliability_of(calibration: Calibration) -> Reliability:
    """The bars of a reliability diagram."""
    x, y = Axis(0, 1, LEFT, RIGHT), Axis(0, 1, BOTTOM, TOP)
    step, bars = 1 / len(calibration.bins), []
    for place, found in enumerate(calibration.bins):
        if found.images:
            left, top = x.position(place * step), y.position(found.accuracy)
            words = f"{found.images:,} images: confidence {found.confidence:.1%}, accuracy {found.accuracy:.1%}"
            wide = x.position((place + 1) * step) - left - 1
            bars.append((left, round(wide, 1), top, round(BOTTOM - top, 1), words))
    ticks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    return Reliability(
        bars,
        [Tick(x.position(value), f"{value:.0%}") for value in ticks],
        [Tick(y.position(value), f"{value:.0%}") for value in ticks],
        f"M{x.position(0)} {y.position(0)}L{x.position(1)} {y.position(1)}",
    )


def _curves(title: str, lines: Mapping[str, Sequence[float]]) -> Curves | None:
    values = [value for line in lines.values() for value in line if math.isfinite(value)]
    if not values:
        return None
    low, high, epochs = min(values), max(values), max(len(line) for line in lines.values())
    log = low > 0 and high > _LOG_FROM * low
    room = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    ends = (low / 1.2, high * 1.2) if log else (low - room, high + room)
    x, y = Axis(1, epochs, LEFT, RIGHT), Axis(*ends, BOTTOM, TOP, log)
    return Curves(
        title.replace("_", " "),
        "epoch",
        [Tick(x.position(value), f"{value:g}") for value in x.ticks() if value == int(value)],
        [Tick(y.position(value), format_number(round(value, 12))) for value in y.ticks()],
        [(name, _path(line, x, y)) for name, line in lines.items()],
        "; ".join(_words(name, line) for name, line in lines.items()),
    )


def _path(line: Sequence[float], x: Axis, y: Axis) -> str:
    """A line that is broken where there is no number; a number alone is a dot, which a line of no length with round ends is."""
    parts, pen = [], "M"
    for epoch, value in enumerate(line, 1):
        if math.isfinite(value):
            parts.append(f"{pen}{x.position(epoch)} {y.position(value)}" + ("h0" if pen == "M" else ""))
        pen = "L" if math.isfinite(value) else "M"
    return "".join(parts)


def _words(name: str, line: Sequence[float]) -> str:
    known = [value for value in line if math.isfinite(value)]
    if not known:
        return f"{name}: no numbers"
    return f"{name}: {known[0]:.4g} at first, {known[-1]:.4g} at last, from {min(known):.4g} to {max(known):.4g}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
