"""The text of a preprocessing, for commands that convert again, gives that preprocessing."""

from __future__ import annotations

import numpy as np
import pytest

from edgecls.errors import InputError
from edgecls.records.image_spec import PREPROCESS_CHOICES, ImageSpec


@pytest.mark.parametrize(
    "text", [*PREPROCESS_CHOICES, "scale=1/255,mean=0.485 0.456 0.406,std=0.229 0.224 0.225", "mean=3,std=0.1 1e-7 30"]
)
@pytest.mark.parametrize("order", ["", ",order=BGR", ",order=RGB"])
def test_a_preprocessing_is_said_as_it_may_be_given(text: str, order: str):
    spec = ImageSpec(height=8, width=8, channels=3).with_preprocess(text + order)
    assert order or spec.preprocess == text or text not in PREPROCESS_CHOICES
    again = spec.with_preprocess(spec.preprocess)
    assert (again.mean, again.std, again.color_order) == (spec.mean, spec.std, spec.color_order)


def test_grey_images_have_the_names_too():
    assert ImageSpec(height=8, width=8, channels=1, color_order="GRAY").with_preprocess("0..1").preprocess == "0..1"


def test_blue_first_is_said_behind_any_preprocessing():
    spec = ImageSpec(height=1, width=1, channels=3).with_preprocess("0..1,order=BGR")
    np.testing.assert_array_equal(spec.apply(np.array([[[[51, 102, 255]]]])), np.array([[[[1.0, 0.4, 0.2]]]], np.float32))
    assert spec.with_turned_channels.preprocess == "0..1"
    assert spec.with_preprocess("imagenet-caffe").with_turned_channels.preprocess == "imagenet-caffe,order=RGB"
    assert spec.with_preprocess("scale=1/255, order=bgr").preprocess == "0..1,order=BGR"


@pytest.mark.parametrize(
    ("text", "channels"), [("0..1,order=GBR", 3), ("order=BGR", 3), ("0..1,order=BGR", 1), ("0..1,order=BGR", 4)]
)
def test_an_order_of_what_has_none_is_refused(text: str, channels: int):
    with pytest.raises(InputError, match=text):
        ImageSpec(height=1, width=1, channels=channels).with_preprocess(text)


@pytest.mark.parametrize("text", ["0..255", "-1..1", "imagenet-torch", "imagenet-caffe", "mean=3,std=0.1 1e-7 30"])
@pytest.mark.parametrize("layout", ["HWC", "CHW"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_inputs_are_those_of_float32_arithmetic_pixel_by_pixel(text: str, layout: str, dtype: type):
    spec = ImageSpec(height=5, width=7, channels=3).with_preprocess(text).model_copy(update={"layout": layout})
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 7, 3)).astype(dtype)
    values = (pixels[..., ::-1] if spec.color_order == "BGR" else pixels).astype(np.float32)
    expected = (values - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
    expected = expected.transpose(0, 3, 1, 2) if layout == "CHW" else expected
    found = np.empty((4, *spec.input_shape), np.float32)
    assert spec.apply(pixels, out=found) is found
    assert found.tobytes() == np.ascontiguousarray(expected).tobytes()
    assert spec.apply(pixels[:0]).shape == (0, *spec.input_shape)
