"""Equalization: exact to the bit in the float graph, through nothing but what lets a factor pass, and worth much where it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from badly_scaled import badly_scaled
from edgecls.converters.onnx.convert import float_onnx
from edgecls.converters.tflite.convert import float_tflite
from edgecls.converters.tflite.metadata import add_signature
from edgecls.data import open_images
from edgecls.diagnosis.float_self import tflite_self
from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.models import load_model
from edgecls.quantization.calibration import collect_statistics
from edgecls.quantization.equalization import Heights, _choose, equalized, scalable
from edgecls.quantization.int8 import Judge, quantize
from edgecls.quantization.kernels import linear_parts
from edgecls.quantization.material import gather
from edgecls.quantization.weighted_layers import weighted_layers

RESNET, PERSON = Path("mlperf_tiny/pretrainedResnet.h5"), Path("mlperf_tiny/vww_96.h5")
MODELS = {  # with residual additions and poolings, depthwise, separable convolutions, linear layers between those of ReLU6
    RESNET: ("0..255", "cifar10.npz"),
    PERSON: ("0..1", "flowers"),
    Path("face_xception/fer2013_mini_XCEPTION.102-0.66.hdf5"): ("-1..1", "flowers"),
    Path("teachable_machine_water/keras_model.h5"): ("-1..1", "flowers"),
}


def float_graph(model: Path, folder: Path) -> TFLiteGraph:
    return TFLiteGraph(add_signature(float_tflite(load_model(model).freeze(folder))))


def inputs_of(model: Path, preprocess: str, images: Path, count: int) -> np.ndarray:
    """Real images as the model takes them [count, *input_shape], of all classes."""
    spec = load_model(model).image_spec.with_preprocess(preprocess)
    opened = open_images(images, spec, role="data")
    places = np.random.default_rng(0).permutation(len(opened))[:count]
    return np.concatenate([spec.apply(opened.pixels.read(place, place + 1)) for place in places])


def batches_of(inputs: np.ndarray) -> Callable[[], Iterator[np.ndarray]]:
    return lambda: (inputs[start : start + 4] for start in range(0, len(inputs), 4))


def random_factors(graph: TFLiteGraph) -> dict[str, np.ndarray]:
    generator, shapes = np.random.default_rng(0), {name: graph.shape(place) for place, name in enumerate(graph.names)}
    chosen = [(group, 2.0 ** generator.integers(-6, 7, shapes[group[0]][-1])) for group in scalable(graph)]
    return {name: factors for group, factors in chosen for name in group}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_any_powers_of_two_leave_every_answer_as_it_is_to_the_bit(path: Path, zoo: Path, shared_data: Path, tmp_path: Path):
    preprocess, images = MODELS[path]
    graph = float_graph(zoo / path, tmp_path)
    inputs = inputs_of(zoo / path, preprocess, shared_data / images, 16)
    factors = random_factors(graph)
    changed = equalized(graph, factors)
    assert changed.pack() != graph.file
    asked, found = (Judge(model, lambda: inputs, 1)._asked for model in (graph.file, changed.pack()))
    assert all(np.array_equal(one, other) for one, other in zip(asked, found, strict=True))


def test_a_relu6_lets_no_factor_pass(zoo: Path, tmp_path: Path):
    graph = float_graph(zoo / "imagenet_mobilenet_v1_025" / "mobilenet_v1_0.25_224.h5", tmp_path)  # one behind every convolution
    assert scalable(graph) == []


def test_what_is_seen_of_the_equalized_model_is_what_running_it_shows(zoo: Path, shared_data: Path, tmp_path: Path):
    graph = float_graph(badly_scaled(zoo / PERSON, tmp_path / "model.h5"), tmp_path)
    inputs = inputs_of(zoo / PERSON, "0..1", shared_data / "flowers", 24)
    making, judging = batches_of(inputs[:16]), batches_of(inputs[16:])
    _, material = gather(graph, float_onnx(graph), making, judging, 1, 100)
    model = float_onnx(material.graph)
    layers = weighted_layers(model)
    small = [layer for layer in layers if layer.weights[0].size <= 100]
    values = [name for name in material.making.histograms if any(name in node.output for node in model.graph.node)]
    seen = collect_statistics(model, values, [layer.source for layer in layers], making(), 1, small)
    assert len(material.factors) > 20 and len(values) > 25
    for name in values:
        ours, theirs = material.making.histograms[name], seen.histograms[name]
        assert (ours.low, ours.high, ours.span) == (theirs.low, theirs.high, theirs.span)
        assert np.array_equal(ours.counts, theirs.counts)
    for ours, theirs in zip(material.layers, layers, strict=True):
        assert np.array_equal(ours.weights, theirs.weights)
        assert np.array_equal(material.making.means[ours.source], seen.means[theirs.source])
    for layer in small:
        ours, theirs = material.making.moments[layer.name].about_mean(), seen.moments[layer.name].about_mean()
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())  # sums in another order


def test_badly_scaled_channels_cost_next_to_nothing(zoo: Path, shared_data: Path, tmp_path: Path):
    """Factors are found to the next power of two on 16 images, so that a channel keeps at least half of its height: a bit of eight, 6 dB
    at most, and about half of that as a mean, beside the same network as it was trained."""
    inputs = inputs_of(zoo / PERSON, "0..1", shared_data / "flowers", 300)
    calibration, others = batches_of(inputs[:100]), inputs[100:]
    losses = {}
    for name, model in {"trained": zoo / PERSON, "bad": badly_scaled(zoo / PERSON, tmp_path / "model.h5")}.items():
        graph = float_graph(model, tmp_path)
        judge = Judge(graph.file, lambda: others, 1)
        made = quantize(graph, float_onnx(graph), calibration, estimator="minmax", threads=1)
        losses[name] = judge.measure(made.model).logits.mean()
    assert made.way is not None and made.way.equalized and "channels equalized" in made.origin
    assert made.as_given is not None
    losses["left bad"] = judge.measure(made.as_given(())).logits.mean()
    assert losses["bad"] < 4 * losses["trained"]  # 6 dB; found 0.3
    assert losses["left bad"] > 10 * losses["bad"]  # up to six bits of eight; found 20 dB


def test_the_factors_of_a_file_show_also_where_the_bias_alone_makes_a_channel(tmp_path: Path):
    """As of dead channels whose BatchNorm was folded: `small_channels` gives them a weight, so that their bias fits into int32."""
    import tf_keras

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    first = layers.Conv2D(8, 3, activation="relu")
    model = tf_keras.Sequential(
        [
            tf_keras.Input((8, 8, 3)),
            first,
            layers.Conv2D(8, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
            layers.Softmax(),
        ]
    )
    kernel, bias = first.get_weights()
    kernel[..., 2], kernel[..., 5], bias[:] = 0, 1e-11, np.linspace(0.3, 1, 8)
    first.set_weights([kernel, bias])
    model.save(tmp_path / "model.h5")
    graph = float_graph(tmp_path / "model.h5", tmp_path)
    factors = random_factors(graph)
    assert any((values[[2, 5]] != 1).all() for values in factors.values())
    changed = equalized(graph, factors)
    images = np.random.default_rng(0).uniform(0, 1, (8, 8, 8, 3)).astype(np.float32)
    made = quantize(changed, float_onnx(changed), batches_of(images), estimator="minmax", threads=1)
    assert not made.factors
    found = linear_parts(tflite_self(graph, made.model))
    for name, (rows, bias) in linear_parts(changed).items():
        ours = found[name].bias
        assert np.array_equal(found[name].rows, rows)
        assert bias is None or (ours is not None and np.array_equal(ours, bias))


@pytest.mark.parametrize("dead", [0, 1, 20])
def test_dead_channels_keep_no_other_from_its_height(dead: int):
    """Eight channels that are eight times as high as the others, in front of a depthwise convolution, which loses nothing by any factor."""
    highest = np.where(np.arange(64) < 8, 8.0, 1.0)
    highest[64 - dead :] = 0
    seen = Heights(highest, highest**2 / 4, (highest > 0).astype(float))
    factors = _choose(seen, [np.random.default_rng(0).normal(size=(64, 1, 9)).astype(np.float32)])
    alive = highest > 0
    assert len(set((factors * highest)[alive])) == 1  # one height for all that live
    assert set(factors[~alive]) <= {1.0}
