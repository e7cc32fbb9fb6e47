"""What is seen of a model's values: all channels of them, in calibration, diagnosis and quantization-aware training alike."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgecls.compression.qat import prepare_qat
from edgecls.diagnosis.sensitivity import calibration_extremes
from edgecls.formats.onnx.names import BATCH, INPUT
from edgecls.quantization.calibration import collect_statistics
from edgecls.quantization.ranges import mse, percentile
from edgecls.records.recipe import QuantizationAwareTraining
from edgecls.system.extras import require

SIDE = 48  # every third of 48 * 48 * 3 values is of one colour
BRIGHTEST = np.array([10.0, 100.0, 250.0])


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Images [6, SIDE, SIDE, 3] of 0..10 red and 0..250 blue."""
    return (np.random.default_rng(0).random((6, SIDE, SIDE, 3)) * BRIGHTEST).astype(np.float32)


@pytest.mark.parametrize("estimate", [percentile, mse])
@pytest.mark.parametrize("batch", [BATCH, 1])
def test_every_colour_has_its_part_in_the_range(images, estimate, batch):
    shape = (batch, *images.shape[1:])
    graph = helper.make_graph(
        [helper.make_node("Neg", [INPUT], ["negative"]), helper.make_node("Neg", ["negative"], ["scores"])],
        "two values",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    seen = collect_statistics(model, [INPUT, "negative"], [], np.split(images, 3), 1)
    assert estimate(seen.histograms[INPUT]).high > 240
    assert estimate(seen.histograms["negative"]).low < -240


def test_calibration_images_that_differ_in_one_colour_alone_are_told_apart(images):
    class Runner:
        """Gives the image back as its only layer."""

        def run_float(self, image):
            return {"layer": image}

    other = images[1::2] / [1, 1, 2]
    mixed = [image[None] for pair in zip(images[::2], other, strict=True) for image in pair]
    assert calibration_extremes(Runner(), mixed).spread["layer"] == pytest.approx(0.5, abs=0.02)  # type: ignore[arg-type]


@pytest.mark.parametrize("estimator", ["percentile", "mse"])
def test_training_starts_from_the_range_of_every_colour(images, estimator):
    layers = require("tf_keras").layers
    image = layers.Input(images.shape[1:])
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    model = require("tf_keras").Model(image, layers.Dense(2)(pooled))
    recipe = QuantizationAwareTraining(estimator=estimator)
    qat = prepare_qat(model, recipe, np.split(images, 3))
    assert qat.ranges()[model.input_names[0]][1] > 240
