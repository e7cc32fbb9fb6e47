"""Conditions that the size of the image decides leave nothing behind in the graph: neither branches nor a scaling that is missed."""

from __future__ import annotations

import numpy as np
import pytest
from written_models import run_frozen, small_classifier

from edgecls.models import load_model

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(40, 32, 3), (32, 40, 3), (32, 32, 3), (17, 39, 1)])
@pytest.mark.parametrize("fill", [0.0, 7.0])
def test_padding_to_an_aspect_ratio(keras, saved, tf, tmp_path, shape, fill):
    before = [
        keras.layers.Resizing(20, 20, pad_to_aspect_ratio=True, fill_value=fill),
        keras.layers.Rescaling(1 / 255),
    ]
    source = small_classifier(keras, *before, shape=shape)
    model = load_model(saved(source, "m.keras"))
    graph = model.freeze(tmp_path)
    assert not {"Switch", "Merge", "If", "StatelessIf"} & {node.op for node in model._graph.node}
    assert model.image_spec.provenance == "in-model", model.image_spec.note
    images = RNG.integers(0, 256, (3, *shape)).astype(np.float32)
    # the operations are those of the source model, in float32
    np.testing.assert_allclose(run_frozen(graph, images, tf), source.predict(images, verbose=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        lambda layers: layers.Resizing(20, 20, crop_to_aspect_ratio=True),
        lambda layers: layers.CenterCrop(20, 20),
        lambda layers: layers.AveragePooling2D(2),
        lambda layers: layers.ZeroPadding2D(2),
    ],
)
def test_scaling_is_found_behind_layers_that_keep_the_range(framework, saved, layer):
    model = small_classifier(framework, layer(framework.layers), framework.layers.Rescaling(1 / 255), shape=(40, 32, 3))
    assert load_model(saved(model, "m.keras")).image_spec.provenance == "in-model"
