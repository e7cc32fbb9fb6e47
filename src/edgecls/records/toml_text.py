"""Plain values as TOML, which the standard library only reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def to_toml(content: Mapping[str, Any], heading: str = "") -> str:
    """Values first, then tables, each under its heading.

    Args:
        content: texts, numbers, truths, lists of them, and mappings of such; None is left out, as TOML has none.
        heading: of the table that this is.
    """
    values = {key: value for key, value in content.items() if value is not None and not isinstance(value, Mapping)}
    tables = {key: value for key, value in content.items() if isinstance(value, Mapping)}
    lines = [f"{key} = {_value(value)}" for key, value in values.items()]
    text = "".join(f"{line}\n" for line in [*([f"[{heading}]"] if heading and (lines or not tables) else []), *lines])
    parts = [to_toml(value, f"{heading}.{key}" if heading else key) for key, value in tables.items()]
    return "\n".join(part for part in (text, *parts) if part)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)  # texts, numbers and truths are written alike in both
