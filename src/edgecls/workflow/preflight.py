"""preflight: model file -> LoadedModel -> rebuilt model -> what compression can do with each layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgecls.records.preflight import Preflight


def preflight(model: Path, **opening: Any) -> Preflight:
    """Rebuild a model for training, prove it, and say of every layer what compression can do with it.

    Args:
        opening: how to load it, as `load_model` takes it.

    Raises:
        InputError: no model that can be trained; the error names the layer.
        StageError: the rebuilt model computes something else.
    """
    from edgecls.compression.channels.preflight import preflight_channels
    from edgecls.compression.layer_verdicts import layer_verdicts
    from edgecls.models import load_model, rebuild

    rebuilt = rebuild(load_model(model, **opening))
    return Preflight(
        model=model.name,
        largest_difference=rebuilt.largest_difference,
        layers=layer_verdicts(rebuilt.model),
        channels=preflight_channels(rebuilt.model),
        notes=rebuilt.notes,
    )
