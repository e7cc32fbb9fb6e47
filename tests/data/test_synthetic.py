"""Synthetic images: the same each time, unlike one another, and with the statistics of photos where they are to have these."""

from __future__ import annotations

import numpy as np
import pytest

from edgecls.data.synthetic import natural_pixels
from edgecls.records.image_spec import ImageSpec

RGB = ImageSpec(height=96, width=128, channels=3)


def test_natural_images_are_reproducible_and_differ():
    first = natural_pixels(RGB, 4, seed=3)
    assert (first.shape, first.dtype) == ((4, 96, 128, 3), np.uint8)
    assert np.array_equal(first, natural_pixels(RGB, 4, seed=3))
    assert not np.array_equal(first, natural_pixels(RGB, 4, seed=4))
    assert len(np.unique(first.reshape(4, -1), axis=0)) == 4


def test_natural_images_have_the_spectrum_of_photos():
    """Amplitudes fall by 0.9 to 1.3 in logarithms; clipping to 0..255 makes edges, and a random phase scatters the fit by about 0.05."""
    grey = natural_pixels(ImageSpec(height=128, width=128, channels=1, color_order="GRAY"), 32)[..., 0].astype(float)
    spectrum = np.abs(np.fft.fft2(grey - grey.mean(axis=(1, 2), keepdims=True)))
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    low, high = (spectrum[:, np.isclose(frequency, center, rtol=0.1)].mean(axis=1) for center in (1 / 32, 1 / 4))
    slopes = np.log(low / high) / np.log(8)
    assert 0.8 < slopes.min() < slopes.max() < 1.4
    assert np.ptp(slopes) > 0.2


def test_natural_images_have_the_colours_of_photos():
    """Most of what varies is grey, then yellow against blue (21 %), then red against green (8 %); clipping makes all a little less."""
    images = natural_pixels(RGB, 32).astype(float)
    inside = images[((images > 0) & (images < 255)).all(axis=3)]
    directions = np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]]) / np.sqrt([[3], [6], [2]])
    grey, yellow, red = (inside @ directions.T).std(axis=0)
    assert 0.1 < yellow / grey < 0.3
    assert 0.04 < red / grey < 0.12


@pytest.mark.parametrize(("height", "width", "channels"), [(1, 1, 1), (9, 1, 4), (28, 28, 1), (5, 7, 2)])
def test_any_size_and_number_of_channels(height: int, width: int, channels: int):
    spec = ImageSpec(height=height, width=width, channels=channels, color_order="GRAY" if channels == 1 else "OTHER")
    assert natural_pixels(spec, 3).shape == (3, height, width, channels)
