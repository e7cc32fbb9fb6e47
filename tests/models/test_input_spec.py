"""ImageSpec from evidence: the input's shape, what the graph does to pixels, and names of known architectures."""

from __future__ import annotations

import numpy as np
import pytest
from written_models import small_classifier

from edgecls.errors import UnsupportedModelError
from edgecls.models import load_model
from edgecls.models.graph_evidence import Scaling
from edgecls.models.input_spec import image_shape, infer_image_spec

NONE = Scaling(np.asarray(1.0), np.asarray(0.0))
PIXELS = (0.0,), (1.0,)
UNIT = (0.0,), (255.0,)
SIGNED = (127.5,), (127.5,)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((224, 224, 3), (224, 224, 3, "HWC")),
        ((96, 128, 1), (96, 128, 1, "HWC")),
        ((64, 64, 8), (64, 64, 8, "HWC")),
        ((3, 224, 200), (224, 200, 3, "CHW")),
        ((1, 28, 28), (28, 28, 1, "CHW")),
        ((28, 28), (28, 28, 1, "HW")),
        ((784,), (28, 28, 1, "flat")),
        ((3072,), (32, 32, 3, "flat")),
    ],
)
def test_shapes(shape, expected):
    assert image_shape(shape) == expected


@pytest.mark.parametrize("shape", [(), (None, None, 3), (None, 28), (785,), (3,), (100, 3), (8, 8, 8, 3)])
def test_shapes_that_are_no_image(shape):
    with pytest.raises(UnsupportedModelError):
        image_shape(shape)


def scaled(framework, *layers):
    """The spec of a saved-and-loaded model would cost seconds a case: freeze the model in memory instead."""
    from edgecls.models.freezing import freeze_function
    from edgecls.models.graph_evidence import input_scaling

    model = small_classifier(framework, *layers)
    return input_scaling(freeze_function(lambda image: model(image, training=False), (8, 8, 3)))


def spec_of(scaling):
    return infer_image_spec((8, 8, 3), False, scaling, [], [])


@pytest.mark.parametrize(
    ("scale", "offset", "expected", "provenance"),
    [
        (1 / 255, 0.0, PIXELS, "in-model"),
        (1 / 127.5, -1.0, PIXELS, "in-model"),
        (1.0, [-103.939, -116.779, -123.68], PIXELS, "in-model"),
        (2.0, -1.0, UNIT, "assumed"),  # 0..1 to -1..1: pixels would leave this far outside what a network is trained on
        (1.0, 0.0, UNIT, "assumed"),
        (1 / 8, -40 / 8, PIXELS, "in-model"),  # adapted to dark photos: their mean is 40, their deviation 8
        (1 / 0.05, -0.95 / 0.05, UNIT, "assumed"),  # adapted to 0..1 of bright scans: the offset is large, the mean is 0.95
        (127.5, 127.5, SIGNED, "assumed"),  # back to pixels, for a network that takes them
        (0.5, 0.5, SIGNED, "assumed"),
    ],
)
def test_scaling_inside_the_model(framework, scale, offset, expected, provenance):
    spec = spec_of(scaled(framework, framework.layers.Rescaling(scale, offset)))
    assert ((spec.mean, spec.std), spec.provenance) == (expected, provenance)
    assert "--preprocess" in spec.note


@pytest.mark.parametrize(
    ("scale", "offset", "expected", "provenance"),
    [
        ([1.0, 1.0, 0.0], [-104.0, -117.0, 0.0], PIXELS, "in-model"),
        ([2.0, 2.0, 0.0], [-1.0, -1.0, -1.0], UNIT, "assumed"),
        ([0.5, 0.0, 0.5], [0.5, 0.0, 0.5], SIGNED, "assumed"),
        ([0.0, 0.0, 0.0], [1.0, 0.0, 1.0], PIXELS, "in-model"),  # whatever enters
        ([np.inf, np.inf, np.inf], [np.inf, np.inf, np.inf], UNIT, "assumed"),
    ],
)
def test_channels_that_no_value_makes_zero_tell_nothing(scale, offset, expected, provenance):
    spec = spec_of(Scaling(np.asarray(scale), np.asarray(offset)))
    assert ((spec.mean, spec.std), spec.provenance) == (expected, provenance)


def test_normalization_inside_the_model(framework):
    pixels = framework.layers.Normalization(mean=[123.7, 116.3, 103.5], variance=[58.4**2, 57.1**2, 57.4**2])
    scaling = scaled(framework, framework.layers.RandomFlip(), pixels)
    np.testing.assert_allclose(scaling.scale.ravel(), [1 / 58.4, 1 / 57.1, 1 / 57.4], rtol=1e-5)
    assert spec_of(scaling).provenance == "in-model"
    unit = scaled(framework, framework.layers.Normalization(mean=[0.48, 0.46, 0.4], variance=[0.05, 0.05, 0.05]))
    assert spec_of(unit).std == (255.0,)


def test_scaling_before_a_nested_model(framework):
    inner = framework.Sequential([framework.Input((8, 8, 3)), framework.layers.Rescaling(1 / 127.5, -1)])
    scaling = scaled(framework, framework.layers.RandomZoom(0.1), inner)
    assert (float(scaling.scale), float(scaling.offset)) == (pytest.approx(1 / 127.5), -1)


def members(framework, *scalings):
    """A mean of networks, each of which scales the image by itself, or not (None)."""
    from edgecls.models.freezing import freeze_function
    from edgecls.models.graph_evidence import input_scaling

    image = framework.Input((8, 8, 3))
    networks = [
        small_classifier(framework, *([] if scaling is None else [framework.layers.Rescaling(*scaling)])) for scaling in scalings
    ]
    model = framework.Model(image, framework.layers.Average()([network(image) for network in networks]))
    return input_scaling(freeze_function(lambda image: model(image, training=False), (8, 8, 3)))


def test_scaling_in_each_member_of_an_ensemble(framework):
    assert spec_of(members(framework, (1 / 255,), (1 / 255,), (1 / 255,))).provenance == "in-model"
    assert spec_of(members(framework, (1 / 127.5, -1), (1 / 255,))).provenance == "in-model"
    assert members(framework, (1 / 255,), None).is_none  # one of them takes other values: nothing is told


def test_batch_normalization_is_no_preprocessing(framework):
    assert scaled(framework, framework.layers.BatchNormalization()).is_none


# keras.applications.<family>.preprocess_input of each, as documented
@pytest.mark.parametrize(
    ("layer", "name", "preprocess"),
    [
        ("expanded_conv_depthwise", "sequential_1", "-1..1"),
        ("conv_dw_1", "model", "-1..1"),
        ("block2_sepconv1", "model", "-1..1"),
        ("conv2_block1_preact_bn", "model", "-1..1"),
        ("conv2_block1_concat", "model", "imagenet-torch"),
        ("conv2_block1_1_conv", "model", "imagenet-caffe"),
        ("block1_conv1", "model", "imagenet-caffe"),
        ("dense", "resnet50", "imagenet-caffe"),
        ("dense", "resnet50v2", "-1..1"),
        ("dense", "mobilenetv2_1.00_224", "-1..1"),
        ("dense", "my_Inception_V3_flowers", "-1..1"),
        ("dense", "densenet121", "imagenet-torch"),
        ("dense", "my_model", "0..1"),
    ],
)
def test_known_architectures(layer, name, preprocess):
    spec = infer_image_spec((224, 224, 3), False, NONE, [layer], [name])
    expected = spec.with_preprocess(preprocess)
    assert (spec.mean, spec.std, spec.color_order) == (expected.mean, expected.std, expected.color_order)
    assert spec.provenance == "assumed"
    assert "--preprocess" in spec.note


def test_grey_images_never_get_three_means():
    assert infer_image_spec((64, 64, 1), False, NONE, ["block1_conv1"], ["vgg16"]).std == (255.0,)


# What networks whose scaling layer can be left out take without it: MobileNetV3 and EfficientNetV2 S, M and L as documented, the others
# as those layers compute. With it, but behind something that hides from the graph what it scales, pixels.
@pytest.mark.parametrize(
    ("names", "name", "preprocess"),
    [
        (["block4a_dwconv2", "block4e_dwconv2"], "model", "imagenet-torch"),
        (["block4a_dwconv2", "block4f_dwconv2"], "model", "-1..1"),
        (["block5a_dwconv2"], "model", "-1..1"),
        (["dense"], "efficientnetv2-b0", "imagenet-torch"),
        (["dense"], "EfficientNetV2B3_flowers", "imagenet-torch"),
        (["dense"], "efficientnetv2-s", "-1..1"),
        (["dense"], "efficientnetv2_l", "-1..1"),
        (["dense"], "efficientnetv2_model", "-1..1"),
        (["block1a_dwconv"], "efficientnetb0", "imagenet-torch"),
        (["convnext_tiny_stem", "batch_normalization", "layer_normalization_1"], "model", "imagenet-torch"),
        (["expanded_conv_1_squeeze_excite_conv"], "model", "-1..1"),
        (["block4a_dwconv2", "rescaling_1"], "model", "0..255"),
        (["convnext_tiny_stem", "convnext_tiny_prestem_normalization"], "model", "0..255"),
        (["expanded_conv_1_squeeze_excite_conv", "rescaling"], "model", "0..255"),
        (["expanded_conv_depthwise", "rescaling"], "model", "-1..1"),  # MobileNetV2 has none of its own
    ],
)
def test_architectures_that_may_scale_inside(names, name, preprocess):
    spec = infer_image_spec((224, 224, 3), False, NONE, names, [name])
    expected = spec.with_preprocess(preprocess)
    assert (spec.mean, spec.std, spec.color_order) == (expected.mean, expected.std, expected.color_order)


@pytest.mark.parametrize(
    ("name", "preprocess"),
    [("EfficientNetV2B0", "imagenet-torch"), ("EfficientNetV2B3", "imagenet-torch"), ("EfficientNetV2S", "-1..1")],
)
def test_variants_of_efficientnet_v2_are_told_by_their_layers(keras, name, preprocess):
    model = getattr(keras.applications, name)(
        weights=None, include_top=False, include_preprocessing=False, input_shape=(32, 32, 3)
    )
    spec = infer_image_spec((32, 32, 3), False, NONE, [layer.name for layer in model.layers], ["model"])
    assert spec.std == spec.with_preprocess(preprocess).std
    assert "EfficientNetV2" in spec.note and preprocess in spec.note


def test_an_efficientnet_v2_of_grey_images_is_scaled_as_those_of_other_variants():
    spec = infer_image_spec((64, 64, 1), False, NONE, ["block4a_dwconv2"], ["efficientnetv2-b0"])
    assert (spec.mean, spec.std) == SIGNED


@pytest.mark.parametrize(
    "way", ["tiled", "broadcast", "repeated", "enlarged", "grey", "mean", "split", "unstacked", "patches", "clipped"]
)
def test_scaling_behind_what_keeps_the_range_of_pixels(framework, tf, way):
    """As a grey image is made a colour one for a network of those, or a small one larger, before they are scaled."""
    from edgecls.models.freezing import freeze_function
    from edgecls.models.graph_evidence import input_scaling

    enlarge = framework.layers.UpSampling2D(2)
    channels, change = {
        "tiled": (1, tf.image.grayscale_to_rgb),
        "broadcast": (1, lambda image: tf.broadcast_to(image, (1, 8, 8, 3))),
        "repeated": (1, lambda image: tf.repeat(image, 3, axis=-1)),
        "enlarged": (3, enlarge),
        "grey": (3, tf.image.rgb_to_grayscale),
        "mean": (3, lambda image: tf.reduce_mean(image, -1, keepdims=True)),
        "split": (3, lambda image: tf.concat(tf.split(image, 3, -1)[::-1], -1)),
        "unstacked": (3, lambda image: tf.stack(tf.unstack(image, axis=-1)[::-1], -1)),
        "patches": (3, lambda image: tf.nn.space_to_depth(image, 2)),
        "clipped": (3, lambda image: tf.maximum(tf.clip_by_value(image, 0.0, 255.0), 0.0)),
    }[way]

    def scores(image):
        value = change(image) / 127.5 - 1
        return tf.reduce_mean(tf.nn.conv2d(value, tf.ones((3, 3, value.shape[-1], 2)), 1, "VALID"), (1, 2))

    scaling = input_scaling(freeze_function(scores, (8, 8, channels)))
    assert (float(scaling.scale), float(scaling.offset)) == (pytest.approx(1 / 127.5), -1)


@pytest.mark.parametrize("deviations", [(1.0, 1.0, 1.0), (58.4, 57.1, 57.4)])
def test_channels_that_each_have_a_mean_are_pixels(keras, saved, deviations):
    """As VGG's blue, green and red, taken one by one."""
    inputs = keras.Input((8, 8, 3))
    parts = [(inputs[..., 2 - place : 3 - place] - mean) / deviations[place] for place, mean in enumerate((103.9, 116.8, 123.7))]
    value = keras.layers.Conv2D(2, 3)(keras.layers.Concatenate()(parts))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(value)))
    spec = load_model(saved(model, "m.keras")).image_spec
    assert (spec.provenance, spec.std, spec.color_order) == ("in-model", (1.0,), "RGB")


@pytest.mark.parametrize("part", ["split", "unstack"])
def test_parts_of_the_image_that_are_weighed_are_not_scaled(tf, part):
    from edgecls.models.freezing import freeze_function
    from edgecls.models.graph_evidence import input_scaling

    def grey(image):
        parts = tf.split(image, 3, -1) if part == "split" else [value[..., None] for value in tf.unstack(image, axis=-1)]
        luma = 0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2]
        return tf.reduce_mean(tf.nn.conv2d(luma, tf.ones((3, 3, 1, 2)), 1, "VALID"), (1, 2))

    assert input_scaling(freeze_function(grey, (8, 8, 3))).is_none


def test_more_channels_than_were_scaled_before(tf):
    """Six means behind three deviations: no scaling of the image can be told of both."""
    from edgecls.models.freezing import freeze_function
    from edgecls.models.graph_evidence import input_scaling

    def scores(image):
        value = tf.concat([image / [50.0, 60.0, 70.0]] * 2, -1) - [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]
        return tf.reduce_mean(tf.nn.conv2d(value, tf.ones((3, 3, 6, 2)), 1, "VALID"), (1, 2))

    assert input_scaling(freeze_function(scores, (8, 8, 3))).scale.shape == (3,)


def test_slices_of_the_image_with_one_another(keras, saved):
    """Arithmetic, but with nothing constant: no scaling can be told."""
    inputs = keras.Input((8, 8, 3))
    value = keras.layers.Conv2D(2, 3)(inputs[..., 0:1] - inputs[..., 1:2])
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(value)))
    assert load_model(saved(model, "m.keras")).image_spec.provenance == "assumed"


def test_channels_that_are_weighed_are_not_scaled(tf):
    """Luma by hand: three slices of the image, each with a factor of its own, are one grey image and no preprocessing."""
    from edgecls.models.freezing import freeze_function
    from edgecls.models.graph_evidence import input_scaling

    def grey(image):
        luma = 0.299 * image[..., 0:1] + 0.587 * image[..., 1:2] + 0.114 * image[..., 2:3]
        return tf.reduce_mean(tf.nn.conv2d(luma, tf.ones((3, 3, 1, 2)), 1, "VALID"), (1, 2))

    assert input_scaling(freeze_function(grey, (8, 8, 3))).is_none


# Input sizes are the smallest the family accepts; NASNet has one alone.
APPLICATIONS = {
    "MobileNet": 64, "MobileNetV2": 64, "MobileNetV3Small": 64, "ResNet50": 64, "EfficientNetB0": 64, "EfficientNetV2B0": 64,
    "DenseNet121": 64, "Xception": 96, "ConvNeXtTiny": 64, "NASNetMobile": 224, "VGG16": 64, "InceptionV3": 96,
}  # fmt: skip
PREPROCESSING = {"ResNet50": "imagenet-caffe", "VGG16": "imagenet-caffe", "DenseNet121": "imagenet-torch"} | dict.fromkeys(
    ("MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny"), "0..255"
)


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_keras_applications(framework, tmp_path, tf, name):
    from written_models import run_frozen

    size = APPLICATIONS[name]
    model = getattr(framework.applications, name)(
        weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None
    )
    path = tmp_path / ("m.keras" if framework.__name__ == "keras" else "m.h5")
    model.save(str(path))
    loaded = load_model(path)
    expected = loaded.image_spec.with_preprocess(PREPROCESSING.get(name, "-1..1"))
    assert (loaded.image_spec.mean, loaded.image_spec.std) == (expected.mean, expected.std)
    inputs = np.random.default_rng(0).random((2, size, size, 3), dtype=np.float32)
    scores = loaded.predict(inputs)
    np.testing.assert_array_equal(scores, model.predict(inputs, verbose=0))
    # up to 200 float32 operations in a row, each rounding by 2^-24 of its result, and sums in another order
    np.testing.assert_allclose(run_frozen(loaded.freeze(tmp_path), inputs, tf), scores, atol=1e-4 * np.abs(scores).max())
    tf.keras.backend.clear_session()
