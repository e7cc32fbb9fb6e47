"""XNNPACK and ONNX Runtime compute sums, and averages, of int8 codes alike in the files we write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgecls.quantization.additions import settled_together
from edgecls.quantization.ranges import Range
from edgecls.quantization.scales import float16_range, onnxruntime_sums, settled_sum, xnnpack_sums
from edgecls.runners import open_runner
from edgecls.workflow import ConvertOptions, convert
from written_tflite import addition

# Range of both tensors and of their sum: the second sum of ResNet-8, and one of plain ratios, where no scale is left without a tie.
KNOWN = Range(-3.245, 4.949), Range(-10.212, 7.998), Range(0.0, 8.918)
PLAIN = Range(-2.5, 1.0), Range(-3.0, 1.0), Range(-5.0, 3.0)
# Ranges of like sizes: XNNPACK leaves scales that are 256 times apart to a kernel of TFLite's own.
ENDS = st.tuples(st.floats(-8, 0), st.floats(0.5, 8)).map(lambda ends: float16_range(Range(*ends)))


def parameters(value: Range) -> tuple[float, int]:
    """Scale and int8 zero point."""
    scale = (np.float32(value.high) - np.float32(value.low)) / np.float32(255)
    return float(scale), round(-value.low / float(scale)) - 128


def pairs() -> tuple[np.ndarray, np.ndarray]:
    codes = np.arange(-128, 128, dtype=np.int8)
    return np.repeat(codes, 256), np.tile(codes, 256)


def by_litert(*ranges: Range) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=addition([parameters(value) for value in ranges], 65536))
    interpreter.allocate_tensors()
    for index, codes in enumerate(pairs()):
        interpreter.set_tensor(index, codes[None])
    interpreter.invoke()
    return interpreter.get_tensor(2).reshape(256, 256).astype(int) + 128


def by_onnxruntime(*ranges: Range) -> np.ndarray:
    constants, names = [], []
    for index, value in enumerate(ranges):
        scale, zero_point = parameters(value)
        constants.append(numpy_helper.from_array(np.array(scale, np.float32), f"scale{index}"))
        constants.append(numpy_helper.from_array(np.array(zero_point + 128, np.uint8), f"zero{index}"))
        names.append((f"scale{index}", f"zero{index}"))
    inputs = ["first", *names[0], "second", *names[1], *names[2]]
    node = helper.make_node("QLinearAdd", inputs, ["sum"], domain="com.microsoft")
    border = [helper.make_tensor_value_info(name, TensorProto.UINT8, [65536]) for name in ("first", "second", "sum")]
    graph = helper.make_graph([node], "addition", border[:2], border[2:], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    first, second = ((codes.astype(int) + 128).astype(np.uint8) for codes in pairs())
    return np.asarray(session.run(None, {"first": first, "second": second})[0]).reshape(256, 256).astype(int)


@settings(max_examples=25, deadline=None)
@given(ENDS, ENDS, ENDS)
def test_both_engines_add_as_is_said_of_them(first: Range, second: Range, total: Range) -> None:
    np.testing.assert_array_equal(xnnpack_sums(first, second, total), by_litert(first, second, total))
    np.testing.assert_array_equal(onnxruntime_sums(first, second, total), by_onnxruntime(first, second, total))


@pytest.mark.parametrize(("ranges", "before", "after"), [(KNOWN, 5, 0), (PLAIN, 90, 10)])
def test_a_sum_is_widened_until_both_agree(ranges: tuple[Range, Range, Range], before: int, after: int) -> None:
    first, second, total = (float16_range(value) for value in ranges)
    assert np.count_nonzero(by_litert(first, second, total) != by_onnxruntime(first, second, total)) >= before
    settled = settled_sum(first, second, total)
    assert np.count_nonzero(by_litert(first, second, settled) != by_onnxruntime(first, second, settled)) <= after
    assert 1 < (settled.high - settled.low) / (total.high - total.low) <= (1 + 2**-10) ** 24
    scale = (np.float32(settled.high) - np.float32(settled.low)) / np.float32(255)
    assert scale == np.float16(scale)


@pytest.mark.parametrize("total", [Range(-1e7, 2e7), Range(0.0, 255 * 1e-6)])
def test_a_sum_that_cannot_be_widened_by_little_stays(total: Range) -> None:
    assert settled_sum(total, total, total) == total


def test_a_sum_that_is_always_zero_gets_a_scale_that_engines_have_a_kernel_for() -> None:
    """Its range is 1e-6, a ten-millionth of what is added: LiteRT ends the process."""
    first, second = float16_range(Range(-3.0, 4.0)), float16_range(Range(-1.0, 1.0))
    settled = settled_sum(first, second, Range(0.0, 1e-6))
    assert 2.0**-10 <= parameters(first)[0] / parameters(settled)[0] < 2.0**8
    by_litert(first, second, settled)


@settings(max_examples=50, deadline=None)
@given(ENDS, ENDS, ENDS)
def test_widening_never_makes_it_worse(first: Range, second: Range, total: Range) -> None:
    def disagreements(ranges: tuple[Range, Range, Range]) -> int:
        return int(np.count_nonzero(xnnpack_sums(*ranges) != onnxruntime_sums(*ranges)))

    settled = settled_sum(first, second, total)
    assert disagreements((first, second, settled)) <= disagreements((first, second, total))
    assert settled.low <= total.low + 1e-6
    assert settled.high >= total.high - (total.high - total.low) / 255  # the zero point may move by a step


def test_what_is_added_is_widened_where_no_scale_of_the_sum_lets_engines_agree() -> None:
    """Ranges of a network whose files differed in 3 of 200 images: six pairs were left at the best of the sum's 24 scales."""
    ranges = {"conv": Range(-0.9714889526367188, 0.9341239929199219), "skip": Range(0.0, 1.5359687805175781)}
    ranges["sum"] = Range(0.0, 2.2392654418945312)
    names = "conv", "skip", "sum"

    def left(settled: Mapping[str, Range]) -> int:
        first, second, total = (settled[name] for name in names)
        return int(np.count_nonzero(by_litert(first, second, total) != by_onnxruntime(first, second, total)))

    settled = settled_together(ranges, names, "conv")
    assert left(settled_together(ranges, names, None)) > left(settled) == 0
    assert settled["skip"] == ranges["skip"]
    assert ranges["conv"].high < settled["conv"].high <= ranges["conv"].high * (1 + 1 / 64)


@pytest.mark.parametrize("window", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_averages_and_sums_of_a_whole_network_are_the_same_in_both(window: int, tmp_path: Path) -> None:
    """Averages of 2x2 codes lie half-way between two codes every fourth time; a network of sums and averages must not amplify that."""
    import tf_keras

    tf_keras.utils.set_random_seed(4)
    layers = tf_keras.layers
    image = value = tf_keras.Input((16, 16, 3))
    value = layers.Conv2D(16, 3, padding="same", activation="relu")(value)
    for _ in range(3):
        inner = layers.Conv2D(16, 3, padding="same")(value)
        value = layers.ReLU()(layers.Add()([inner, value]))
    value = layers.AveragePooling2D(window)(value)
    scores = layers.Dense(10)(layers.Flatten()(value))
    tf_keras.Model(image, layers.Softmax()(scores)).save(tmp_path / "model.h5")
    generator = np.random.default_rng(0)
    np.savez(tmp_path / "images.npz", x=generator.integers(0, 256, (200, 16, 16, 3)).astype(np.uint8), y=np.arange(200) % 10)
    options = ConvertOptions(
        tmp_path / "model.h5",
        preprocess="0..1",
        targets=("tflite", "onnx"),
        schemes="int8",
        calibration=tmp_path / "images.npz",
        output=tmp_path / "out",
    )
    convert(options)
    with np.load(tmp_path / "images.npz") as archive:
        images = archive["x"]
    scores = [open_runner(tmp_path / "out" / f"base-{name}").predict(images) for name in ("tflite-int8.tflite", "onnx-int8.onnx")]
    # Both soften the same int8 logits, each with its own exp: floats apart by their rounding, where one step of a logit makes over 1e-3.
    same = np.abs(scores[0] - scores[1]).max(axis=1) < 1e-5
    assert same.mean() >= 0.99  # a convolution's float32 product may round otherwise, a few times in a million codes
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(str(tmp_path / "out" / "base-onnx-int8.onnx"), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert (kinds.count("QLinearAveragePool"), kinds.count("QLinearAdd"), kinds.count("Add")) == (1, 3, 0)
