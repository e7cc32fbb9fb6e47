"""The history of a training, for its curves: training.json, or what Keras's `fit` returned, written as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecls.errors import DataError, reason_of
from edgecls.reporting.curves import history_series

_LISTS = ("epochs", "history")  # where training.json and Keras's History have them


def read_history(path: Path) -> list[dict[str, Any]]:
    """What was measured of each epoch, name -> value.

    Forms: a JSON object with a list `epochs` or `history` of objects, such a list alone, or one list of numbers for each name, as
    `model.fit(...).history` is.

    Raises:
        DataError: unreadable, or nothing of the kind.
    """
    remedy = "give the training.json of `edgecls train`, or `json.dump(model.fit(...).history, file)`"
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_int=float)  # of any length
    except (OSError, ValueError, RecursionError) as error:
        raise DataError("a JSON file for --history", f"{path}: {reason_of(error)}", remedy) from None
    if isinstance(content, Mapping):
        content = next((content[name] for name in _LISTS if name in content), content)
    if isinstance(content, Mapping) and content and all(isinstance(values, list) for values in content.values()):
        lists: Mapping[str, list[Any]] = content
        content = [
            {name: values[at] for name, values in lists.items() if at < len(values)}
            for at in range(max(map(len, lists.values())))
        ]
    if not isinstance(content, list) or not content or not all(isinstance(epoch, dict) for epoch in content):
        content = []
    if not history_series(content):
        raise DataError("epochs with their loss and accuracy", f"{path} without", remedy)
    return content
