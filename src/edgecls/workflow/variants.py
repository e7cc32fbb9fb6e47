"""Folders of variants, as the other stages take them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecls.errors import ArtifactError
from edgecls.formats import sha256
from edgecls.records.variant import MODEL_NAME, Variant, VariantSet, is_variant, is_variant_set

if TYPE_CHECKING:
    from edgecls.models import LoadedModel
    from edgecls.quantization.learned import LearnedRanges

_RECOGNIZED_BY = 4


def open_variant(folder: Path) -> Variant:
    """The record of a variant whose model is the one that was made.

    Raises:
        ArtifactError: the record is damaged, or the model missing or changed.
    """
    variant, path = Variant.read(folder), folder / MODEL_NAME
    if not path.is_file() or sha256(path) != variant.sha256:
        found = f"{path}, which has changed since" if path.is_file() else f"no {path}"
        raise ArtifactError("the model of the variant as it was made", found, "run `edgecls compress` to make it anew")
    return variant


def read_variants(folder: Path) -> Sequence[Variant]:
    """The variants of a folder, in the order they were made.

    Raises:
        ArtifactError: no folder of variants, or one of them is damaged.
    """
    return [Variant.read(folder / name) for name in VariantSet.read(folder).variants]


def learned_ranges(variant: Variant | None, model: LoadedModel, inputs: np.ndarray) -> LearnedRanges | None:
    """What training for int8 learned, with what the model's layers compute on some inputs; None without such training.

    Args:
        variant: that `model` is of; None for a model that no variant is of, which another tool may have trained.
        inputs: model inputs [n, *input_shape], float32, of which a few are enough to recognize tensors by.
    """
    from edgecls.models.layer_values import layer_values
    from edgecls.quantization.learned import LearnedRanges

    few = inputs[:_RECOGNIZED_BY]
    if variant is None and model.trained_ranges:
        ranges = {item.layer: (item.low, item.high) for item in model.trained_ranges}
        return LearnedRanges(ranges, few, model.trained_values(few), foreign=True)
    if variant is None or variant.ranges is None:
        return None
    per_channel = variant.clustering is None and (variant.qat is None or variant.qat.per_channel)
    values = layer_values(model, {*variant.ranges, *variant.float_layers}, few)
    return LearnedRanges(variant.ranges, few, values, frozenset(variant.float_layers), per_channel=per_channel)


def source_name(path: Path) -> str:
    """Name of the model that a path holds, or that the variants in it come from."""
    if is_variant(path):
        return Variant.read(path).source.name
    return VariantSet.read(path).source.name if is_variant_set(path) else path.resolve().name
