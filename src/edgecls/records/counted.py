"""Counted: a number with its noun, `1 image` and `2 images`."""

from __future__ import annotations


def counted(number: int, noun: str, digits: str = "") -> str:
    """`number` of what `noun` names in the singular; `digits` formats the number, as `,` does."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:{digits}} {noun}{ending}"
