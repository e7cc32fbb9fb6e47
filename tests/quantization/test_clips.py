"""Ranges that a clip gives exactly are not estimated, once the clip is reached."""

from __future__ import annotations

import numpy as np
import pytest

from edgecls.quantization.clips import keep_clips
from edgecls.quantization.ranges import Range, ValueHistogram, estimate_ranges
from edgecls.records.artifact import ESTIMATORS, Estimator


def histogram(values: np.ndarray) -> ValueHistogram:
    found, sample = ValueHistogram(), values.astype(np.float32)
    found.add(float(sample.min()), float(sample.max()), sample)
    return found


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_clip_that_is_reached_is_the_range(estimator: Estimator):
    """Most values are far below 6, so that `mse` would cut the few at 6 off."""
    generator = np.random.default_rng(0)
    few_at_six = np.clip(np.concatenate([np.abs(generator.normal(0, 0.3, 4000)), [9.0, 7.0]]), 0, 6)
    small = np.clip(np.abs(generator.normal(0, 0.3, 4000)), 0, 6)
    histograms = {"clipped": histogram(few_at_six), "small": histogram(small), "linear": histogram(few_at_six)}
    estimated = estimate_ranges(histograms, estimator)
    ranges = keep_clips(estimated, {"clipped": Range(0, 6), "small": Range(0, 6), "elsewhere": Range(0, 6)}, histograms)
    assert ranges == {"clipped": Range(0, 6), "small": estimated["small"], "linear": estimated["linear"]}
    assert ranges["small"].high < 2


def test_joined_histograms_hold_the_values_of_both():
    generator = np.random.default_rng(1)
    narrow, wide = (generator.normal(*spread).astype(np.float32) for spread in ((0, 1, 1000), (3, 20, 500)))
    for first, second in ((narrow, wide), (wide, narrow), (np.zeros(1000, np.float32), wide), (wide, np.zeros(1000, np.float32))):
        joined = histogram(first).joined(histogram(second))
        assert joined.counts.sum() == 1500
        assert (joined.low, joined.high) == (min(first.min(), second.min()), max(first.max(), second.max()))
        expected = np.histogram(np.concatenate([first, second]), [-joined.span, 0, joined.span])[0]
        assert np.abs(joined.counts.reshape(2, -1).sum(axis=1) - expected).max() <= 1000 * 0.05  # those in the bin around zero
