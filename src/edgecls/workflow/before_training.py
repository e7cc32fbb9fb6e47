"""Before training: what would stop a variant afterwards is found here, while it has cost nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.compression import check_stages, saved_models
from edgecls.compression.channels import plan_channels
from edgecls.errors import EdgeclsError, UnsupportedModelError
from edgecls.records.recipe import ChannelPruning, Stage
from edgecls.records.variant import MODEL_NAME

_REMEDY = "replace that layer; the model can still be converted without compression"
_TOLERANCE = 1e-5  # of the largest score: the same weights and operations, in a graph that may be traced in another order


def check_before_training(flat: Any, wanted: Iterable[tuple[Stage, ...]], inputs: np.ndarray) -> None:
    """Apply the rules of every stage, and write and read again the models that the variants will be.

    Args:
        flat: tf_keras model as `rebuild` makes it.
        wanted: the stages of each variant.
        inputs: model inputs [n, *input_shape], float32.

    Raises:
        InputError: a stage cannot do what is asked of it.
        UnsupportedModelError: a variant could not be saved, or not be read again.
    """
    stages = list(wanted)
    for one in stages:
        check_stages(flat, one)
    for removal in dict.fromkeys(part for one in stages for part in one if isinstance(part, ChannelPruning)):
        plan_channels(flat, removal).prove(inputs)
    for model in saved_models(flat, stages):
        _check_file(model, inputs)


def _check_file(model: Any, inputs: np.ndarray) -> None:
    from edgecls.models import load_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL_NAME
        try:
            model.save(path)
            found = load_model(path).predict(inputs)
        except EdgeclsError as error:
            raise UnsupportedModelError("a model whose variants can be read again", error.found, _REMEDY) from error
        except (TypeError, ValueError, NotImplementedError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UnsupportedModelError("a model whose variants can be saved", reason[:300], _REMEDY) from error
    expected = model.predict_on_batch(inputs)
    if not np.abs(found - expected).max() <= _TOLERANCE * np.abs(expected).max():
        raise UnsupportedModelError("a model whose variants answer alike when read again", "one whose scores change", _REMEDY)
