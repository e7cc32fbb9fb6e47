"""Counting in time: each call's milliseconds are spread over its multiply-accumulates, and the ranking follows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecls.compression.channels import choose, latency, multiply_accumulates, sizes_of, trace_channels
from edgecls.compression.channels.latency import costed
from edgecls.compression.channels.plan import plan_channels
from edgecls.errors import RecipeError
from edgecls.records.recipe import ChannelPruning
from edgecls.system.extras import require

IN_TIME = ChannelPruning(share=0.5, by="latency")


def network(side: int | None = 16) -> Any:
    tf_keras = require("tf_keras")
    image = value = tf_keras.Input((side, side, 3))
    for filters in (32, 32, 64):
        value = tf_keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(value)
    return tf_keras.Model(image, tf_keras.layers.Dense(4)(tf_keras.layers.GlobalAveragePooling2D()(value)))


def test_a_layer_is_really_timed():
    model = network()
    channels = costed(trace_channels(model), IN_TIME)
    whole = multiply_accumulates(channels)
    assert whole > 0
    assert multiply_accumulates(costed(trace_channels(model), IN_TIME)) == whole  # measured once, so that every stage plans alike
    widest, dense = channels.costs[2], channels.costs[3]
    assert widest.factor * len(widest.ins) * len(widest.outs) > dense.factor * len(dense.ins) * len(dense.outs)


def test_channels_go_where_the_time_is(monkeypatch: pytest.MonkeyPatch):
    """The last convolution waits for nothing: all the time is in the second one, of half its multiply-accumulates."""
    monkeypatch.setattr(latency, "_call_ms", lambda cost: 10.0 if cost.call.endswith(names[1]) else 0.1)
    model = network()
    names = [layer.name for layer in model.layers if layer.weights]
    by_time = costed(trace_channels(model), IN_TIME)
    assert multiply_accumulates(by_time) == pytest.approx(10.3)
    scores = np.ones(by_time.count)
    chosen = choose(by_time, scores, 0.5 * multiply_accumulates(by_time), 1, sizes_of(by_time))
    stays = [int(chosen.stays[group.channels].sum()) for group in by_time.groups]
    assert max(stays[:2]) <= 25  # both shrink the second kernel; alike, the root of a half would be 23 of 32
    assert stays[2] >= 60  # next to nothing is gained there
    assert chosen.macs == pytest.approx(5.15, abs=0.02 * 10.3)
    assert costed(trace_channels(model), ChannelPruning(share=0.5)).costs[0].factor == 9 * 256  # as it was


def test_an_image_of_any_size_has_no_time():
    with pytest.raises(RecipeError, match="an image of one size"):
        plan_channels(network(None), IN_TIME)
