"""Cost: the multiply-accumulates of a model, and what they become when channels go."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecls.compression.channels.trace import Channels


class CostModel:
    """Multiply-accumulates of all convolutions and Dense layers by how many channels of each group stay."""

    def __init__(self, channels: Channels) -> None:
        groups = channels.groups
        self.sizes = np.array([len(group.channels) for group in groups], np.int64)
        group_of = np.full(channels.count, len(groups))
        for index, group in enumerate(groups):
            group_of[group.channels] = index
        self._factors = np.array([cost.factor for cost in channels.costs], np.float64)
        self._ins, self._fixed_ins = self._places([group_of[cost.ins] for cost in channels.costs])
        self._outs, self._fixed_outs = self._places([group_of[cost.outs] for cost in channels.costs])
        self._fixed_ins += [not cost.ins.size for cost in channels.costs]  # a depthwise kernel: once for each output

    def macs(self, left: np.ndarray) -> float:
        """What it costs when so many channels of each group are left, [groups]."""
        ins, outs = self._fixed_ins + self._ins @ left, self._fixed_outs + self._outs @ left
        return float(np.sum(self._factors * ins * outs))

    def macs_without(self, left: np.ndarray, gone: np.ndarray) -> np.ndarray:
        """What it costs when, of one group alone, so many more channels go: for each of the groups, [groups]."""
        ins, outs = self._fixed_ins + self._ins @ left, self._fixed_outs + self._outs @ left
        each = (ins[:, None] - self._ins * gone) * (outs[:, None] - self._outs * gone)
        return self._factors @ each

    def _places(self, kernels: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Of each kernel, the places that a channel of each group has [kernels, groups], and those of what stays [kernels]."""
        count = len(self.sizes)
        if not kernels:
            return np.zeros((0, count)), np.zeros(0)
        counted = np.stack([np.bincount(groups, minlength=count + 1) for groups in kernels]).astype(np.float64)
        return counted[:, :count] / np.maximum(self.sizes, 1), counted[:, count]


def multiply_accumulates(channels: Channels) -> float:
    """Those of all convolutions and Dense layers of a model, for one image."""
    model = CostModel(channels)
    return model.macs(model.sizes)


def weights_left(model: Any, channels: Channels, stays: np.ndarray) -> int:
    """How many values the weights of a model hold without the channels that go."""
    shares: dict[tuple[int, str], float] = {}
    sizes: dict[tuple[int, str], int] = {}
    for cut in channels.cuts:
        key = id(cut.layer), cut.weight
        sizes[key] = int(np.prod(getattr(cut.layer, cut.weight).shape))
        shares[key] = shares.get(key, 1.0) * float(stays[cut.units].mean())
    return model.count_params() - round(sum(size * (1 - shares[key]) for key, size in sizes.items()))
