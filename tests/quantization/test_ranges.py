"""Histograms and range estimators, against plain numpy over all values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgecls.quantization.ranges import (
    BINS,
    SAMPLES,
    ValueHistogram,
    estimate_ranges,
    minmax,
    mse,
    percentile,
    sample_places,
)
from edgecls.records.artifact import ESTIMATORS


def histogram_of(*batches: np.ndarray) -> ValueHistogram:
    histogram = ValueHistogram()
    for batch in batches:
        histogram.add(float(batch.min()), float(batch.max()), batch)
    return histogram


def int8_error(values: np.ndarray, low: float, high: float) -> float:
    """Mean squared error of asymmetric int8 over [low, high]."""
    scale = (high - low) / 255
    codes = np.clip(np.rint((values - low) / scale), 0, 255)
    return float(np.mean((codes * scale + low - values) ** 2))


@example([[7.7e-44]])  # below float32's normal numbers
@given(st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30), min_size=1, max_size=6))
def test_extremes_are_exact_and_no_value_is_lost_however_the_span_grows(batches: list[list[float]]):
    arrays = [np.array(batch, np.float32) for batch in batches]
    histogram = histogram_of(*arrays)
    values = np.concatenate(arrays)
    assert (histogram.low, histogram.high) == (values.min(), values.max())
    assert histogram.counts.sum() == values.size


def test_growing_the_span_keeps_the_counts_where_they_were():
    rng = np.random.default_rng(0)
    small, large = rng.uniform(-1, 1, 5000), np.array([-300.0, 300.0])
    grown = histogram_of(small, large)
    at_once = np.histogram(np.concatenate([small, large]), BINS, (-grown.span, grown.span))[0]
    # merging pairs of bins around a fixed zero can move a value on a border to the neighbour, nothing more
    assert np.abs(np.cumsum(grown.counts) - np.cumsum(at_once)).max() <= 2


def test_percentile_cuts_the_outliers_that_minmax_keeps():
    rng = np.random.default_rng(0)
    values = np.append(rng.normal(0, 1, 200_000), [80.0, -50.0])
    histogram = histogram_of(values)
    assert minmax(histogram) == (-50.0, 80.0)
    low, high = percentile(histogram)
    width = 2 * histogram.span / BINS  # the estimate is a bin's border
    expected_low, expected_high = np.quantile(values, [0.00005, 0.99995])
    assert low == pytest.approx(expected_low, abs=width)
    assert high == pytest.approx(expected_high, abs=width)


def test_mse_loses_less_than_minmax_and_percentile_on_a_long_tail():
    values = np.random.default_rng(0).laplace(0, 1, 100_000)
    histogram = histogram_of(values)
    errors = {name: int8_error(values, *estimate_ranges({"x": histogram}, name)["x"]) for name in ESTIMATORS}
    assert errors["mse"] < errors["minmax"]
    assert errors["mse"] <= errors["percentile"] * 1.05  # candidates are steps of 1.25 %: within 5 % of the optimum near it


def test_mse_keeps_a_uniform_tensor_whole():
    low, high = mse(histogram_of(np.linspace(0, 6, 10_000)))
    assert (low, high) == (0.0, pytest.approx(6.0, rel=0.02))  # two steps between candidates


@pytest.mark.parametrize("name", ESTIMATORS)
def test_constant_tensors_have_a_range(name):
    for value in (0.0, 3.5, -2.0):
        low, high = estimate_ranges({"x": histogram_of(np.full(10, value, np.float32))}, name)["x"]
        assert low <= max(value, 0) and high >= min(value, 0)


@example(48, 48, 3)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 96))
def test_every_channel_and_every_column_has_its_share_of_the_sample(height: int, width: int, channels: int):
    places = sample_places(height * width * channels)
    assert np.array_equal(places, sample_places.__wrapped__(height * width * channels))
    assert len(places) == min(SAMPLES, height * width * channels)
    assert places[0] >= 0 and places[-1] < height * width * channels and np.all(np.diff(places) >= 0)
    for axis, parts in ((places % channels, channels), (places // channels % width, width)):
        share = len(places) / parts
        # each count is a sum of draws that are independent or exclude each other: its variance is at most its mean
        assert np.abs(np.bincount(axis, minlength=parts) - share).max() <= 6 * np.sqrt(share) + 6


@pytest.mark.parametrize("side", range(32, 400))
def test_no_colour_alone_makes_the_range_of_square_images(side: int):
    colours = np.bincount(sample_places(side * side * 3) % 3)
    assert colours.min() > 0.8 * colours.max()  # of 683 expected, with a standard deviation of 21
