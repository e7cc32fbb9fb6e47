"""BatchNorm that was folded into a layer's weights, kept so that training can go on with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

LEAST_VARIANCE = 1e-12  # of a channel that is always the same, where the epsilon is zero as well


@dataclass(frozen=True)
class BatchNorm:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over the last axis; all but the two numbers are float64 [channels].

    Attributes:
        momentum: of the moving mean and variance.
        trainable: whether it goes by the batch while training; one that was frozen always goes by its moving mean and variance.
    """

    mean: np.ndarray
    variance: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    epsilon: float
    momentum: float
    trainable: bool

    @property
    def scale(self) -> np.ndarray:
        """What its input is multiplied with."""
        return self.gamma / np.sqrt(self.variance + max(self.epsilon, LEAST_VARIANCE))

    @property
    def shift(self) -> np.ndarray:
        """What is added then."""
        return self.beta - self.mean * self.scale

    def without(self, bias: np.ndarray) -> BatchNorm:
        """The same of an input that lacks a bias, which a BatchNorm takes away anyway."""
        return replace(self, mean=self.mean - bias)

    def followed_by(self, scale: np.ndarray, shift: np.ndarray) -> BatchNorm:
        """The same with x * scale + shift behind it."""
        return replace(self, gamma=self.gamma * scale, beta=self.beta * scale + shift)


@dataclass(frozen=True)
class Unfolded:
    """A layer before a BatchNorm was folded into it: its kernel, no bias, and then the BatchNorm."""

    kernel: np.ndarray
    norm: BatchNorm


def batch_norm_of(layer: Any) -> BatchNorm:
    """What a BatchNormalization layer holds."""
    mean, variance = (value.numpy().astype(np.float64) for value in (layer.moving_mean, layer.moving_variance))
    gamma = layer.gamma.numpy().astype(np.float64) if layer.scale else np.ones_like(mean)
    beta = layer.beta.numpy().astype(np.float64) if layer.center else np.zeros_like(mean)
    return BatchNorm(mean, variance, gamma, beta, float(layer.epsilon), float(layer.momentum), bool(layer.trainable))


def scale_outputs(kernel: np.ndarray, kind: str, scale: np.ndarray) -> np.ndarray:
    """A kernel of a kind of layer, each of its output channels multiplied."""
    return kernel * scale.reshape(output_axes(kernel.shape, kind))


def output_axes(shape: Sequence[int], kind: str) -> tuple[int, ...]:
    """Shape of one number for each output channel beside a kernel of a shape."""
    if kind == "DepthwiseConv2D":
        return tuple(shape[-2:])
    return (shape[-2], 1) if kind == "Conv2DTranspose" else (shape[-1],)
