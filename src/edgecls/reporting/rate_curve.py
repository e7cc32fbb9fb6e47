"""The curve of a range test over learning rates, as an SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from edgecls.records.training import RatePoint
from edgecls.reporting.charts import HEIGHT, WIDTH, Axis

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 28, 44


def rate_curve(points: Sequence[RatePoint], chosen: float) -> str:
    """Smoothed loss over the learning rate, this on a logarithmic axis, with the rate that was chosen.

    Args:
        points: at least two, of different rates.
    """
    losses = [point.loss for point in points]
    room = (max(losses) - min(losses) or 1.0) * 0.05
    x = Axis(points[0].learning_rate, points[-1].learning_rate, _LEFT, WIDTH - _RIGHT, log=True)
    y = Axis(min(losses) - room, max(losses) + room, HEIGHT - _BOTTOM, _TOP)
    line = " ".join(f"{x.position(point.learning_rate)},{y.position(point.loss)}" for point in points)
    mark = x.position(chosen)
    decades = [10.0**power for power in range(-6, 1) if x.low <= 10.0**power <= x.high]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(f'Training loss over the learning rate; {chosen:.2g} was chosen')}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *(_tick_x(x.position(value), f"{value:g}") for value in decades),
        *(_tick_y(y.position(value), f"{value:g}") for value in y.ticks()),
        f'<line x1="{mark}" x2="{mark}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}" stroke="#c2410c" stroke-dasharray="4 3"/>',
        f'<text x="{mark}" y="{_TOP - 8}" text-anchor="middle" fill="#c2410c">{chosen:.2g}</text>',
        f'<polyline points="{line}" fill="none" stroke="#1d4ed8" stroke-width="2"/>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">learning rate</text>',
        f'<text x="14" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2})">training loss, smoothed</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _tick_x(place: float, text: str) -> str:
    low = HEIGHT - _BOTTOM
    line = f'<line x1="{place}" x2="{place}" y1="{_TOP}" y2="{low}" stroke="#e5e7eb"/>'
    return f'{line}<text x="{place}" y="{low + 16}" text-anchor="middle">{text}</text>'


def _tick_y(place: float, text: str) -> str:
    line = f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{place}" y2="{place}" stroke="#e5e7eb"/>'
    return f'{line}<text x="{_LEFT - 6}" y="{place + 4}" text-anchor="end">{text}</text>'
