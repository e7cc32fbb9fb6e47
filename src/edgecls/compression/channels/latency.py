"""Latency: what the kernels of a model take on this machine, in the place of their multiply-accumulates.

Each layer with a kernel becomes a float TFLite file of its own, which LiteRT computes on one thread. A layer's time is spread over its
multiply-accumulates, so that channels are cheap where a kernel waits for memory, and dear where it computes slowly.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from edgecls.compression.channels.passing import Cost
from edgecls.compression.channels.trace import Channels
from edgecls.errors import RecipeError
from edgecls.records.recipe import ChannelPruning
from edgecls.system.extras import quiet_frameworks, require

_RUNS = 30  # of which the median counts
_LONGEST_S = 1.0  # of measuring one layer, but for the least that is needed of it
_LEAST_RUNS = 5


def costed(channels: Channels, stage: ChannelPruning) -> Channels:
    """The channels with the costs that a recipe counts in: multiply-accumulates as they are, or milliseconds on this machine.

    Raises:
        RecipeError: no time can be measured, as a side of the image is open.
    """
    if stage.by == "macs":
        return channels
    calls: dict[str, list[Cost]] = defaultdict(list)
    for cost in channels.costs:
        calls[cost.call].append(cost)
    per_mac = {call: _call_ms(costs[0]) / sum(_macs(cost) for cost in costs) for call, costs in calls.items()}
    return replace(channels, costs=[replace(cost, factor=cost.factor * per_mac[cost.call]) for cost in channels.costs])


def _macs(cost: Cost) -> float:
    return cost.factor * max(len(cost.ins), 1) * len(cost.outs)


def _call_ms(cost: Cost) -> float:
    if None in cost.shape:
        raise RecipeError(
            "an image of one size, to measure time on",
            f"{cost.call} with the input {cost.shape}",
            "leave --channels-by latency out",
        )
    config = {key: value for key, value in cost.layer.get_config().items() if key != "name"}
    return _layer_ms(type(cost.layer), json.dumps(config, default=str, sort_keys=True), cost.shape)


@cache
def _layer_ms(kind: type, config: str, shape: tuple[int, ...]) -> float:
    """Median of one call of a layer. Measured once for all layers that are alike, so that all who ask hear the same."""
    tf, tf_keras = require("tensorflow"), require("tf_keras")
    image = tf_keras.Input(shape, batch_size=1)
    with quiet_frameworks():
        content = tf.lite.TFLiteConverter.from_keras_model(
            tf_keras.Model(image, kind.from_config(json.loads(config))(image))
        ).convert()
    return _median_ms(content, shape)


def _median_ms(content: bytes, shape: tuple[int, ...]) -> float:
    interpreter: Any = require("ai_edge_litert.interpreter").Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    pixels = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    times: list[float] = []
    while len(times) < _LEAST_RUNS or (len(times) < _RUNS and sum(times) < _LONGEST_S):
        started = time.perf_counter()
        interpreter.invoke()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)
