"""What the files of constants have in common, whatever their language: texts, numbers, lists."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
WRITTEN = "Written by `edgecls embed`, which writes it anew each time."


def text(value: str, control: str = "\\u{:04x}") -> str:
    """A text in double quotes, as all three languages read it, Kotlin's `$` aside.

    Args:
        control: how the language writes a control character of this number.
    """
    return f'"{"".join(_ESCAPES.get(one) or (control.format(ord(one)) if _is_control(one) else one) for one in value)}"'


def number(value: int) -> str:
    """`1_234_567`, as all three languages read it."""
    return f"{value:_}"


def list_of(items: Sequence[str], indent: int, end: int) -> str:
    """What stands between the brackets of a list: one item a line, `indent` blanks before each and `end` before what follows."""
    if not items:
        return ""
    return "\n" + "".join(f"{' ' * indent}{item},\n" for item in items) + " " * end


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"
