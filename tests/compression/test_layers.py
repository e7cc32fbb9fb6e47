"""Every layer of both Keras generations: rebuilt for training, and planned for int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecls.compression.qat import prepare_qat
from edgecls.errors import UnsupportedModelError
from edgecls.models.rebuild import TOLERANCE
from edgecls.records.recipe import Pruning, QuantizationAwareTraining
from edgecls.workflow.before_training import check_before_training
from layer_cases import CASES, NONE, Case, framework, rebuilt_case

ALL = [(item, generation) for item in CASES for generation in item.generations]
# A few that stand for the rest: renamed settings, layers without a counterpart, layers in layers, wrongly so named ones.
FEW = {
    ("LayerNormalization", 3),
    ("LeakyReLU", 3),
    ("MultiHeadAttention", 2),
    ("MultiHeadAttention", 3),
    ("RMSNormalization", 3),
    ("RandomCrop", 3),
}

# Layers whose functions are not all known: they are refused by name before anything is trained.
REFUSED = ("ContrastLimitedAdaptiveHistogramEqualization", "Resizing padding")
# Keras 2 has a layer of that name, which computes something else, or refuses layers of its own
NAMESAKES = ("RandomCrop", "Resizing padding", "SpectralNormalization")


def names(framework_layers: object) -> set[str]:
    """Classes of layers, each under its own name alone."""
    found = {name: value for name, value in vars(framework_layers).items() if isinstance(value, type)}
    return {name for name, value in found.items() if value.__name__ == name or value.__name__ not in found}


@pytest.mark.parametrize("generation", [2, 3])
def test_no_layer_is_forgotten(generation: int):
    told = {item.kind for item in CASES} | {kind for kinds in NONE.values() for kind in kinds}
    assert names(framework(generation).layers) - told == set()


@pytest.mark.parametrize(
    ("item", "generation"),
    [
        pytest.param(
            item, generation, id=f"{item.name}-{generation}", marks=[] if (item.name, generation) in FEW else pytest.mark.slow
        )
        for item, generation in ALL
    ],
)
def test_is_rebuilt_and_planned(item: Case, generation: int, tmp_path: Path):
    if item.name in REFUSED:
        with pytest.raises(UnsupportedModelError, match=f"{item.kind} 'layer': .* which is not known here"):
            rebuilt_case(item, generation, tmp_path)
        return
    rebuilt = rebuilt_case(item, generation, tmp_path)
    assert rebuilt.largest_difference <= TOLERANCE
    if hasattr(framework(2).layers, item.kind) and item.name not in NAMESAKES:
        assert rebuilt.notes == []
    images = np.random.default_rng(4).uniform(0, 255, (8, *rebuilt.model.input_shape[1:])).astype(np.float32)
    check_before_training(rebuilt.model, [(Pruning(sparsity=0.5),), (QuantizationAwareTraining(),)], images)
    qat = prepare_qat(rebuilt.model, QuantizationAwareTraining(estimator="minmax"), [images])
    # Each of at most ten int8 tensors is off by half of 1/255 of its range at most, and each weight by half of 1/127 of the largest: of a
    # score between 0 and 1 that leaves a few hundredths.
    assert np.abs(qat.model(images, training=False) - rebuilt.model(images, training=False)).max() <= 0.1
