"""Quantization-aware training rounds as the int8 files do, and learns."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgecls.compression.fake_quantization import quantizer_class, round_kernel
from edgecls.compression.float_calls import NO_RULE
from edgecls.compression.qat import prepare_qat
from edgecls.compression.quantization_plan import plan_quantization
from edgecls.compression.strided import subsample_first
from edgecls.quantization.int8 import representable
from edgecls.quantization.ranges import Range
from edgecls.quantization.scales import float16_range, float16_scale, settled_sum
from edgecls.records.recipe import QuantizationAwareTraining
from edgecls.system.extras import require
from learned_files import int8_files, qat_scores, tflite_scores

RECIPE = QuantizationAwareTraining(estimator="minmax")


@pytest.fixture(scope="module")
def tf_keras():
    return require("tf_keras")


@pytest.fixture(scope="module")
def tf():
    return require("tensorflow")


def images(count: int = 16) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 8, 8, 3)).astype(np.float32)


def small(tf_keras, *, softmax: bool = True):
    tf_keras.utils.set_random_seed(1)
    keras = tf_keras.layers
    inputs = tf_keras.Input((8, 8, 3), name="image")
    first = keras.ReLU(name="relu")(keras.Conv2D(8, 3, padding="same", name="conv")(inputs))
    gate = keras.Activation("sigmoid", name="gate")(keras.DepthwiseConv2D(3, padding="same", name="depthwise")(first))
    joined = keras.Concatenate(name="join")([keras.Multiply(name="product")([first, gate]), first])
    values = keras.Dense(5, name="dense")(keras.GlobalAveragePooling2D(name="mean")(keras.MaxPooling2D(name="pool")(joined)))
    return tf_keras.Model(inputs, keras.Softmax(name="softmax")(values) if softmax else values)


def test_a_range_does_not_grow_by_an_estimate_beyond_zero(tf):
    """Values of which all but a few are above 0.3: the estimate of the lowest is no share of the lowest one."""
    momentum = tf.Variable(0.0)
    quantizer = quantizer_class()(np.array([[0.3, 1.0]]), np.array([[-1e-6, 1.0]]), momentum)
    quantizer(tf.constant([0.1, 0.5, 1.0]), training=True)
    low, high = (float(bound) for bound in quantizer.range())
    assert low == 0
    assert high == pytest.approx(1, rel=2**-10)  # to the next scale that float16 holds


@pytest.mark.parametrize("shape", [(1, 2), (3, 2)])
def test_what_is_always_zero_has_the_range_of_an_int8_file_without_training(tf, shape):
    quantizer = quantizer_class()(np.zeros(shape), np.zeros(shape), tf.constant(0.0))
    quantizer.build(None)
    assert tuple(float(end) for end in quantizer.range()) == float16_range(representable(Range(0.0, 0.0)))


def test_plan(tf_keras):
    plan = plan_quantization(small(tf_keras))
    assert plan.sites == ["image", "relu", "depthwise", "gate", "product", "mean", "dense"]
    assert plan.unrounded == {"conv": "relu is fused into it"}
    assert plan.fixed == {"gate": (0.0, 255 / 256)}
    assert plan.group["product"] == plan.group["relu"]  # the concatenation has one scale
    assert plan.aliases == {"join": "product", "pool": "product"}
    assert list(plan.stays_float) == ["softmax"]


@pytest.mark.parametrize("other", ["relu", "relu6"])
def test_one_activation_taken_twice_is_fused_as_one(tf_keras, other, tmp_path):
    keras = tf_keras.layers
    inputs = tf_keras.Input((8, 8, 3), name="image")
    values = keras.Conv2D(4, 3, name="conv")(inputs)
    parts = [keras.Activation(kind, name=name)(values) for kind, name in (("relu", "first"), (other, "second"))]
    sums = keras.Add(name="sum")([keras.Conv2D(4, 1, name=f"conv_{part.name[:3]}")(part) for part in parts])
    model = tf_keras.Model(inputs, keras.Softmax(name="softmax")(keras.GlobalAveragePooling2D(name="mean")(sums)))
    plan = plan_quantization(model)
    if other == "relu":
        assert "conv" in plan.unrounded
        assert plan.aliases in ({"second": "first"}, {"first": "second"})
        qat = prepare_qat(model, RECIPE, [images()])
        assert qat.ranges()["second"] == qat.ranges()["first"]
        interpreter = Interpreter(model_content=int8_files(qat, images(2), tmp_path).tflite)
        operations = [item["op_name"] for item in interpreter._get_ops_details()]
        assert "RELU" not in operations
        assert operations.count("CONV_2D") == 3
    else:
        assert "conv" in plan.sites
        assert not plan.aliases


@pytest.mark.parametrize(("kind", "axis"), [("Conv2D", 3), ("Conv2DTranspose", 2), ("Dense", 1), ("DepthwiseConv2D", (2, 3))])
def test_kernels_are_rounded_as_int8_stores_them(tf, kind, axis):
    shape = (6, 5) if kind == "Dense" else (3, 3, 6, 2)
    kernel = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    rounded = round_kernel(tf.constant(kernel), kind, per_channel=True).numpy()
    kept = axis if isinstance(axis, tuple) else (axis,)
    others = tuple(index for index in range(len(shape)) if index not in kept)
    scale = float16_scale(np.abs(kernel).max(axis=others, keepdims=True) / 127)
    # The codes are those of litert-quantizer: the nearest multiple of the scale. A value half-way may fall to either side.
    assert np.abs(rounded - kernel).max() <= (scale / 2 * (1 + 1e-4)).max()
    np.testing.assert_allclose(rounded / scale, np.rint(rounded / scale), atol=1e-3)
    assert np.abs(rounded / scale).max() <= 127.001


def test_gradients_pass_the_rounding_of_kernels(tf):
    kernel = tf.Variable(np.random.default_rng(2).normal(size=(3, 3, 4, 2)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(round_kernel(kernel, "Conv2D", per_channel=True) * 3.0)
    np.testing.assert_array_equal(tape.gradient(loss, kernel), np.full(kernel.shape, 3.0))


def test_a_channel_of_zeros_stays_one(tf):
    kernel = np.ones((3, 3, 2, 2), np.float32)
    kernel[..., 0] = 0
    rounded = round_kernel(tf.constant(kernel), "Conv2D", per_channel=True)
    np.testing.assert_array_equal(rounded, 127 * float16_scale(1 / 127) * kernel)


def test_activations_lie_on_the_codes_of_their_range(tf_keras):
    qat = prepare_qat(small(tf_keras, softmax=False), RECIPE, [images()])
    low, high = qat.ranges()["dense"]
    step = (high - low) / 255
    scores = qat.model(images(), training=False).numpy()
    np.testing.assert_allclose(scores / step, np.rint(scores / step), atol=1e-2)
    assert np.abs(scores - small(tf_keras, softmax=False)(images())).max() < 8 * step


def test_ranges_start_from_the_images_follow_them_and_freeze(tf_keras):
    qat = prepare_qat(small(tf_keras), RECIPE, [images()])
    start = qat.ranges()
    assert set(start) == {"image", "relu", "depthwise", "gate", "product", "mean", "dense", "join", "pool"}
    assert start["image"] == pytest.approx((images().min(), images().max()), abs=1.5 / 255)
    # half a step of the zero point, and 255 steps that are 1/1024 longer at most
    scale = (start["image"][1] - start["image"][0]) / 255
    assert scale == np.float16(scale)
    assert start["relu"] == start["product"] == start["join"] == start["pool"]
    qat.model(2 * images(), training=False)
    assert qat.ranges() == start
    followed = qat.model.get_layer("quantizer_0").high
    before = float(followed[0])
    qat.model(2 * images(), training=True)
    # One step of the moving average: 1 % of the way to twice the extremes.
    assert float(followed[0]) == pytest.approx(before * 1.01, rel=1e-4)
    assert qat.ranges()["image"][1] > start["image"][1]
    qat.freeze_ranges()
    frozen = qat.ranges()
    qat.model(4 * images(), training=True)
    assert qat.ranges() == frozen


def test_learns_and_gives_the_float_model_back(tf_keras, tf):
    qat = prepare_qat(small(tf_keras), RECIPE, [images()])
    labels = np.arange(16) % 5
    optimizer = tf_keras.optimizers.Adam(0.02)
    qat.model.compile(optimizer, "sparse_categorical_crossentropy")
    before = qat.model.evaluate(images(), labels, verbose=0)
    qat.model.fit(images(), labels, epochs=30, verbose=0)
    assert qat.model.evaluate(images(), labels, verbose=0) < 0.9 * before
    assert set(qat.kernels) == {"conv", "depthwise", "dense"}
    learned = qat.float_model()
    for name, variable in qat.kernels.items():
        np.testing.assert_array_equal(learned.get_layer(name).get_weights()[0], variable.numpy())
    assert {type(layer).__module__.split(".")[0] for layer in learned.layers} == {"tf_keras"}
    assert np.abs(learned(images()).numpy() - qat.model(images(), training=False).numpy()).max() < 0.1


def test_a_layer_without_a_rule_stays_float(tf_keras):
    inputs = tf_keras.Input((8, 8, 3))
    model = tf_keras.Model(
        inputs, tf_keras.layers.Dense(2)(tf_keras.layers.Flatten()(tf_keras.layers.UnitNormalization(name="u")(inputs)))
    )
    assert plan_quantization(model).stays_float == {"u": NO_RULE}


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_strided_1x1_convolutions_compute_the_same_and_train(tf_keras, tf, padding):
    """At this size the gradient of TensorFlow's own kernel ends the process."""
    inputs = tf_keras.Input((61, 60, 8))
    model = tf_keras.Model(inputs, tf_keras.layers.Conv2D(16, 1, strides=2, padding=padding)(inputs))
    values = np.random.default_rng(0).normal(size=(4, 61, 60, 8)).astype(np.float32)
    before = model(values).numpy()
    subsample_first(model)
    with tf.GradientTape() as tape:
        after = model(values, training=True)
        loss = tf.reduce_sum(after**2)
    np.testing.assert_allclose(after.numpy(), before, atol=1e-6)  # one product of 8 each, in either order
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(loss, model.trainable_variables))


def normed(tf_keras, *, frozen: bool = False):
    """BatchNorm behind every kind of kernel, and one behind an activation; with statistics of its own each."""
    tf_keras.utils.set_random_seed(1)
    keras = tf_keras.layers
    value = inputs = tf_keras.Input((8, 8, 3), name="image")
    for layer in (
        keras.Conv2D(6, 3, padding="same", use_bias=False, name="conv"),
        keras.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise"),
        keras.SeparableConv2D(4, 3, padding="same", name="separable"),
        keras.Conv2DTranspose(5, 3, strides=2, padding="same", name="transposed"),
    ):
        value = keras.ReLU()(keras.BatchNormalization(momentum=0.8, name=f"{layer.name}_bn")(layer(value)))
    value = keras.MaxPooling2D(2)(keras.BatchNormalization(name="late_bn")(value))
    value = keras.Dense(4, name="dense")(keras.Flatten()(keras.Conv2D(4, 3, padding="same", name="next")(value)))
    model = tf_keras.Model(inputs, keras.Softmax()(keras.BatchNormalization(scale=False, name="dense_bn")(value)))
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            values = [rng.uniform(0.5, 2, value.shape) for value in layer.get_weights()]
            values[0][::2] *= -1  # of most of them, the factors gamma
            layer.set_weights(values)
            layer.trainable = not frozen
    return model


NORMED = ("conv", "depthwise", "separable_pointwise", "transposed", "late_bn", "dense")


def test_batch_norm_trains_on_and_is_folded_at_the_end(tf_keras, tf):
    qat = prepare_qat(normed(tf_keras), RECIPE, [images()])
    # Folding is exact but for float32 sums of some dozens of products.
    np.testing.assert_allclose(qat.float_model()(images()).numpy(), normed(tf_keras)(images()).numpy(), atol=1e-5)
    norms = {name: qat.model.get_layer(name).norm for name in NORMED}
    before = {name: norm.moving_mean.numpy() for name, norm in norms.items()}
    qat.freeze_ranges()  # of the activations alone
    qat.model.compile(tf_keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    qat.model.fit(images(), np.arange(16) % 4, epochs=2, verbose=0)
    learned = qat.float_model()
    for name, norm in norms.items():
        assert np.abs(norm.moving_mean.numpy() - before[name]).min() > 0
        layer, folded = qat.model.get_layer(name), learned.get_layer(name)
        kind = type(folded).__name__
        kernel = folded.get_weights()[0]
        # The codes that were trained with are those of the folded kernel, the sign of a negative factor apart. Each scale is the next
        # float16 number, which may be 1/1024 of itself more: an eighth of a code for the largest, so at most every eighth code moves.
        codes = [
            np.rint((round_kernel(tf.constant(values), kind, per_channel=True) / float16_scale(scale_of(values, kind))).numpy())
            for values in (layer.float_kernel.numpy(), kernel)
        ]
        moved = np.abs(np.abs(codes[0]) - np.abs(codes[1]))
        assert moved.max() <= 1
        assert moved.mean() <= 1 / 8


def scale_of(kernel: np.ndarray, kind: str) -> np.ndarray:
    axes = {"DepthwiseConv2D": (0, 1), "Conv2DTranspose": (0, 1, 3)}.get(kind, tuple(range(kernel.ndim - 1)))
    return np.abs(kernel).max(axis=axes, keepdims=True) / 127


def test_a_frozen_batch_norm_stays_as_it_is(tf_keras):
    qat = prepare_qat(normed(tf_keras, frozen=True), RECIPE, [images()])
    qat.freeze_ranges()
    np.testing.assert_array_equal(qat.model(images(), training=True), qat.model(images(), training=False))
    assert not any("_norm" in variable.name for variable in qat.model.trainable_variables)


def test_one_scale_for_a_kernel_is_that_of_the_folded_one(tf_keras):
    """There the factors of a BatchNorm would change the codes, so it is folded before training."""
    qat = prepare_qat(normed(tf_keras), RECIPE.model_copy(update={"per_channel": False}), [images()])
    assert not any(hasattr(layer, "norm") for layer in qat.model.layers)
    np.testing.assert_allclose(qat.float_model()(images()).numpy(), normed(tf_keras)(images()).numpy(), atol=1e-5)


def test_settled_sums_have_scales_at_which_the_engines_agree(tf_keras):
    tf_keras.utils.set_random_seed(5)
    keras = tf_keras.layers
    inputs = tf_keras.Input((8, 8, 3), name="image")
    first = keras.Conv2D(4, 3, padding="same", name="conv")(inputs)
    total = keras.ReLU(name="relu")(keras.Add(name="add")([first, keras.Conv2D(4, 1, name="short")(inputs)]))
    outputs = keras.Add(name="last")([keras.MaxPooling2D(1, name="pool")(total), total])
    qat = prepare_qat(tf_keras.Model(inputs, outputs), RECIPE, [images()])
    assert qat.plan.sums == [("conv", "short", "relu"), ("relu", "relu", "last")]
    before = qat.ranges()
    qat.settle()
    after = qat.ranges()
    for first, second, total in qat.plan.sums:
        assert after[total] == settled_sum(
            *(Range(*ranges[name]) for ranges, name in ((after, first), (after, second), (before, total)))
        )
    assert after["conv"] == before["conv"]


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_averages_half_way_between_two_codes_go_where_the_files_take_them(tf_keras, padding, tmp_path):
    """Of averages over 2x2 codes every fourth is half-way, and so are many at the border of larger windows."""
    inputs = tf_keras.Input((8, 8, 3), name="image")
    window = 2 if padding == "valid" else 3
    averages = tf_keras.layers.AveragePooling2D(window, strides=1, padding=padding, name="averages")(inputs)
    qat = prepare_qat(tf_keras.Model(inputs, tf_keras.layers.Flatten()(averages)), RECIPE, [images()])
    found = tflite_scores(int8_files(qat, images(2), tmp_path).tflite, images())
    low, high = qat.ranges()["averages"]
    np.testing.assert_allclose(qat_scores(qat, images()), found, atol=(high - low) / 255 / 2)
