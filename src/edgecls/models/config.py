"""The architecture of a Keras model as plain JSON values: walking it, whatever generation and nesting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Needed to train on, never to load: losses, metrics and optimizers may name code that is not here.
_COMPILE_FIELDS = ("compile_config", "training_config")


def objects(value: Any, owner: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON object of an architecture, outermost first, with the name of the layer it belongs to."""
    pending = [(owner, value)]
    while pending:  # a loop: a hostile file can nest deeper than Python's stack
        name, item = pending.pop()
        if isinstance(item, dict):
            name = _name(item) or name
            yield name, item
            pending.extend((name, part) for part in reversed(item.values()))
        elif isinstance(item, list):
            pending.extend((name, part) for part in reversed(item))


def layers(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every described layer (and other object with a class and a config): its name and its description."""
    for name, item in objects(config):
        if isinstance(item.get("class_name"), str) and isinstance(item.get("config"), dict):
            yield name, item


def without_compilation(value: Any) -> Any:
    """A copy without what `compile()` stored, at any depth."""
    if isinstance(value, dict):
        return {key: without_compilation(part) for key, part in value.items() if key not in _COMPILE_FIELDS}
    if isinstance(value, list):
        return [without_compilation(part) for part in value]
    return value


def _name(item: dict[str, Any]) -> str:
    inner = item.get("config")
    for candidate in (item.get("name"), inner.get("name") if isinstance(inner, dict) else None):
        if "class_name" in item and isinstance(candidate, str):
            return candidate
    return ""
