"""Synthetic images: what is left to compare artifacts on when the user gave no images."""

from __future__ import annotations

import numpy as np

from edgecls.records.image_spec import ImageSpec

# Standard deviations of grey, yellow-blue and red-green in natural images, relative to grey's (Ruderman, Cronin and Chiao 1998), with the
# directions in red, green and blue.
_OPPONENTS = ((1.0, (1, 1, 1)), (0.21, (1, 1, -2)), (0.08, (1, -1, 0)))
_OTHER_CHANNELS = 0.2  # what each of other channels has of its own, relative to what all share
_SLOPES = (0.9, 1.3)  # amplitudes of natural images fall as 1 / frequency ** slope (Torralba and Oliva 2003)
_CONTRASTS, _MEANS = (25.0, 60.0), (70.0, 160.0)  # of photos: standard deviation and mean of their grey values, of 255


def synthetic_pixels(spec: ImageSpec, count: int, seed: int = 0) -> np.ndarray:
    """Smooth random colour fields, uint8 [count, H, W, C], the same for the same arguments.

    White noise would look alike to a classifier whatever the seed. Fields of random coarseness (2 to 9 cells a side) and random
    contrast differ in their large shapes, as photos do, and so spread over more classes.
    """
    from edgecls.data.resize import stretch_pixels

    generator = np.random.default_rng(seed)
    images = np.empty((count, spec.height, spec.width, spec.channels), np.uint8)
    for index in range(count):
        cells = int(generator.integers(2, 10))
        low, high = np.sort(generator.integers(0, 256, 2))
        grid = generator.integers(low, high + 1, (cells, cells, spec.channels)).astype(np.uint8)
        images[index] = stretch_pixels(grid, spec.height, spec.width)
    return images


def natural_pixels(spec: ImageSpec, count: int, seed: int = 0) -> np.ndarray:
    """Random images with the spectra, contrasts and colours of photos, uint8 [count, H, W, C], the same for the same arguments.

    Their phases are random, so that they show nothing; but a network's layers take values on them as large as on photos, and rounding
    costs it about as much: MobileNetV1 0.25 with int8 weights keeps 9.0 dB on them and 9.4 dB on photos, 4.1 dB on `synthetic_pixels`.
    """
    generator = np.random.default_rng(seed)
    mixing = _mixing(spec.channels)
    images = np.empty((count, spec.height, spec.width, spec.channels), np.uint8)
    for index in range(count):
        slope = generator.uniform(*_SLOPES)
        fields = np.stack([_field(generator, spec.height, spec.width, slope) for _ in mixing], axis=-1)
        image = generator.uniform(*_MEANS) + generator.uniform(*_CONTRASTS) * (fields @ mixing)
        images[index] = np.clip(np.rint(image), 0, 255)
    return images


def _mixing(channels: int) -> np.ndarray:
    """From independent fields of deviation 1 to channels [fields, channels] whose first direction has deviation 1."""
    if channels == 3:
        return np.array(
            [share * np.array(direction) * np.sqrt(3 / np.dot(direction, direction)) for share, direction in _OPPONENTS]
        )
    return np.concatenate([np.ones((1, channels)), _OTHER_CHANNELS * np.eye(channels)])[: 1 if channels == 1 else None]


def _field(generator: np.random.Generator, height: int, width: int, slope: float) -> np.ndarray:
    """Random values [height, width] of mean 0 and deviation 1 whose amplitudes fall with the frequency."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(down, across)
    frequency[0, 0] = 1
    real, imaginary = generator.normal(size=(2, *frequency.shape))
    amplitudes = (real + 1j * imaginary) / frequency**slope
    amplitudes[0, 0] = 0
    field = np.fft.irfft2(amplitudes, (height, width))
    deviation = field.std()
    return field / deviation if deviation else field
