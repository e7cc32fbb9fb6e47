"""Moments: what a layer's weights are multiplied with, as the layer itself sees it."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecls.formats.onnx.names import INPUT, OUTPUT
from edgecls.quantization import moments
from edgecls.quantization.calibration import collect_statistics
from edgecls.quantization.weighted_layers import weighted_layers

SIDE, CHANNELS = 4, 4


def convolution(outputs: int, side: int = SIDE, **attributes: Any) -> onnx.ModelProto:
    """One convolution [3, 3] of an image of 4 channels."""
    inputs = CHANNELS // attributes.get("group", 1)
    weights = np.random.default_rng(0).normal(size=(outputs, inputs, 3, 3)).astype(np.float32)
    node = helper.make_node("Conv", [INPUT, "kernel"], [OUTPUT], **attributes)
    graph = helper.make_graph(
        [node],
        "convolution",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", CHANNELS, side, side])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "kernel")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [1, 1, 1, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"pads": [0, 0, 1, 1], "strides": [2, 2], "group": CHANNELS},
        {"dilations": [2, 2], "pads": [2, 2, 2, 2]},
        {},
    ],
)
def test_the_moments_explain_the_variance_of_the_output(attributes: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    """Every place is seen."""
    monkeypatch.setattr(moments, "PLACES", (SIDE**2, SIDE**2))
    explains(convolution(8, **attributes), SIDE, slice(None))


def test_padded_places_are_left_out_where_they_are_few(monkeypatch: pytest.MonkeyPatch):
    """36 of 64 are not padded: as many as are asked for, and over a half."""
    monkeypatch.setattr(moments, "PLACES", (36, 36))
    explains(convolution(8, 8, pads=[1, 1, 1, 1]), 8, slice(1, -1))


def explains(model: onnx.ModelProto, side: int, seen: slice) -> None:
    """Outputs are weights times samples, so their covariance is weights times moments times weights."""
    import onnxruntime

    images = np.random.default_rng(1).normal(1, 2, (3, CHANNELS, side, side)).astype(np.float32)
    (layer,) = weighted_layers(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answer = np.asarray(session.run([OUTPUT], {INPUT: images})[0])[:, :, seen, seen]
    found = collect_statistics(model, [], [], [images], 1, [layer]).moments[layer.name]
    rows = layer.weights.reshape(layer.groups, -1, found.weights)
    variance = np.einsum("goi,gij,goj->go", rows, found.about_mean(), rows).ravel()
    assert found.samples == answer[:, 0].size
    expected = answer.transpose(1, 0, 2, 3).reshape(8, -1).var(axis=1)
    assert variance == pytest.approx(expected, rel=1e-3)  # sums of float32 products


def test_moments_are_those_of_all_samples_however_they_come():
    """Within what float32 products of so many samples lose: 512 terms, each rounded by 2**-24 of itself."""
    values = np.random.default_rng(0).normal(size=(2, 700, 5)).astype(np.float32) + 3
    found = moments.Moments(2, 5)
    for start in range(0, 700, 70):
        found.add(values[:, start : start + 70])
    centred = values.astype(np.float64) - values.astype(np.float64).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found.about_mean(), centred.transpose(0, 2, 1) @ centred / 700, atol=512 * 2**-24)


def test_scaled_moments_are_those_of_scaled_samples_to_the_bit_and_take_no_room():
    values, factors = np.random.default_rng(0).normal(size=(2, 600, 40)).astype(np.float32), 2.0 ** np.arange(-2, 3).repeat(8)
    found, other = moments.Moments(2, 40), moments.Moments(2, 40)
    found.add(values)
    other.add(values * factors.astype(np.float32))
    tracemalloc.start()
    scaled = found.scaled(np.stack([factors, factors]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 40 * 40 * 8 / 4  # bytes of the sums
    assert np.array_equal(scaled.about_mean(), other.about_mean())
