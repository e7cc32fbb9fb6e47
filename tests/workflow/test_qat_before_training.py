"""Before its first step a model under quantization-aware training answers as the float one but for rounding; after it, it is finite."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from application_models import SIZES, application, new_application
from edgecls.compression import fake_quantization
from edgecls.compression.fake_quantization import fixed_quantizer_class, quantizer_class
from edgecls.compression.qat import QatModel, prepare_qat
from edgecls.data.synthetic import synthetic_pixels
from edgecls.models import load_model, rebuild
from edgecls.quantization.scales import HIGHEST, STEPS
from edgecls.records.image_spec import ImageSpec
from edgecls.records.recipe import QuantizationAwareTraining
from edgecls.system.extras import require
from edgecls.training.flat_graph import tensors_of
from learned_files import qat_scores, train_a_step

# Rounding moves each activation and each weight by up to half a step. Numbers drawn from that interval and added in the same places spread
# through the network as it does, so the error of the logits has the size of what they make of them. It is smaller where values are
# exact (zeros behind a ReLU). Two sums of so many terms are alike in size: a factor of two leaves room for what two draws differ by.
DRAWS, MARGIN = 3, 2.0
LEAST_WIDTH = 1e-6  # of a range


def families() -> Iterator[Any]:
    yield pytest.param("MobileNetV2", 32, False, id="small-MobileNetV2-new")
    yield pytest.param("MobileNetV3Small", 32, True, id="small-MobileNetV3Small-woken", marks=pytest.mark.slow)
    for (name, size), woken in itertools.product(SIZES.items(), (False, True)):
        marks = [pytest.mark.slow, pytest.mark.timeout(1500)]
        yield pytest.param(name, size, woken, id=f"{name}-{'woken' if woken else 'new'}", marks=marks)


@pytest.mark.parametrize(("name", "size", "woken"), families())
def test_rounds_and_stays_finite(name: str, size: int, woken: bool, tmp_path: Path):
    """The values of a new network all but vanish on the way, which makes ranges as small as they get."""
    model = (application if woken else new_application)(require("keras"), name, size)
    model.save(tmp_path / "source.keras")
    del model
    images = synthetic_pixels(ImageSpec(height=size, width=size, channels=3), 16, seed=4).astype(np.float32)
    flat = rebuild(load_model(tmp_path / "source.keras")).model
    qat = prepare_qat(flat, QuantizationAwareTraining(estimator="minmax"), [images])
    assert_ranges_are_those_of_the_values(qat, images)
    expected = logits(flat, images)
    error = rms(logits(qat.model, images) - expected)
    assert error <= MARGIN * max(rms(noisy_logits(qat, images, seed) - expected) for seed in range(DRAWS))
    train_a_step(qat, images)
    assert all(np.isfinite(value.numpy()).all() for value in qat.model.weights)
    assert np.isfinite(list(qat.ranges().values())).all()
    assert np.isfinite(qat_scores(qat, images)).all()


def assert_ranges_are_those_of_the_values(qat: QatModel, images: np.ndarray) -> None:
    """Of each group, to the next float16 number for the scale and half a step for the zero point."""
    model = qat.float_model()
    tensors = tensors_of(model)
    groups = list(qat.plan.members().values())
    sites = [site for members in groups for site in members]
    probe = require("tf_keras").Model(model.inputs, [tensors[site] for site in sites])
    values = dict(zip(sites, require("tensorflow").nest.flatten(probe(images, training=False)), strict=True))
    learned = qat.ranges()
    for members in groups:
        lowest = min(0.0, *(float(values[site].numpy().min()) for site in members))
        highest = max(0.0, *(float(values[site].numpy().max()) for site in members))
        width = max(highest - lowest, LEAST_WIDTH)
        low, high = learned[members[0]]
        # a hundredth: a graph that is compiled sums in another order, which deep networks amplify
        assert width * 0.99 <= high - low <= width * (1 + 0.5 / HIGHEST) * 1.01
        assert abs(low - lowest) <= 0.51 / STEPS * (high - low) + 0.01 * width


def noisy_logits(qat: QatModel, images: np.ndarray, seed: int) -> np.ndarray:
    """Logits of the model with numbers of up to half a step, drawn at random, where it rounds."""
    tf = require("tensorflow")
    places = iter(range(1_000_000))

    def noise(shape: Any, step: Any) -> Any:
        return step * tf.random.stateless_uniform(shape, [seed, next(places)], -0.5, 0.5)

    def quantize(quantizer: Any, values: Any, member: int = 0, **_: Any) -> Any:
        low, high = quantizer.range()
        return values + noise(tf.shape(values), (high - low) / STEPS)

    def quantize_fixed(quantizer: Any, values: Any) -> Any:
        low, high = quantizer._range
        return values + noise(tf.shape(values), (high - low) / STEPS)

    def round_kernel(kernel: Any, kind: str, *, per_channel: bool) -> Any:
        axes = (0, 1) if kind == "DepthwiseConv2D" else tuple(range(len(kernel.shape) - 1))
        assert per_channel
        return kernel + noise(kernel.shape, tf.reduce_max(tf.abs(kernel), axes, keepdims=True) / HIGHEST)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantizer_class(), "call", quantize)
        patch.setattr(fixed_quantizer_class(), "call", quantize_fixed)
        patch.setattr(fake_quantization, "round_kernel", round_kernel)
        return logits(qat.model, images)


def logits(model: Any, images: np.ndarray) -> np.ndarray:
    """What the softmax of a model takes [n, classes], float64."""
    layer = model.outputs[0]._keras_history.layer
    assert layer.activation.__name__ == "softmax"
    before = require("tf_keras").Model(model.inputs, layer.input)
    return before(images, training=False).numpy().astype(np.float64)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
