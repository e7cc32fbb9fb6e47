"""Numbers as text. Sizes are binary everywhere: 1 KiB = 1024 bytes, 1 MiB = 1024 KiB; never kB or MB, which mean 1000.

What is absent becomes an empty text; the table puts its dash there.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgecls.records.interval import Interval


def format_bytes(count: int | None) -> str:
    """`812 B`, `24.5 KiB`, `3.81 MiB`; nothing for None and for 0, which no file has."""
    if not count:
        return ""
    if count < 1024:
        return f"{count} B"
    if count < 1024 * 1024:
        return f"{count / 1024:.1f} KiB"
    return f"{count / 1024 / 1024:.2f} MiB"


def format_ms(value: float | None) -> str:
    """Milliseconds to three digits that count: `0.042`, `3.94`, `18.3`, `1520`."""
    if value is None:
        return ""
    if value < 1:
        return f"{value:.3f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def format_share(share: float | None) -> str:
    """A share 0..1 in percent with two decimals."""
    return "" if share is None else f"{share:.2%}"


def format_interval(interval: Interval, factor: float = 1.0) -> str:
    """`74.5–78.2`: both ends times `factor`, to one decimal."""
    return f"{interval.low * factor:.1f}–{interval.high * factor:.1f}"


def format_parts(counts: Mapping[str, int]) -> str:
    """Shares of a whole, largest first: `int8 98%, float32 2%`; parts below 1 % are named without a number, as `<1%`."""
    total = sum(counts.values())
    parts = sorted(((name, count) for name, count in counts.items() if count), key=lambda part: -part[1])
    if not parts:
        return ""
    if len(parts) == 1:
        return parts[0][0]
    return ", ".join(f"{name} {_percent(count / total)}" for name, count in parts)


def _percent(share: float) -> str:
    if share < 0.01:
        return "<1%"
    return ">99%" if 0.99 < share < 1 else f"{share:.0%}"
