"""HeldKernels: zeros stay zero and clusters stay clusters while everything trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecls.system.extras import require


class HeldKernels:
    """Masks and clusters of the kernels of one model, inside its training step.

    The gradient of a masked weight is zero; that of a clustered weight is the mean over its cluster, so that the cluster moves as
    one. After the optimizer's update both are made exact again, whatever it did.

    Args:
        kernels: layer -> kernel variable.
        masks: layer -> 1 or 0 for every weight, where the layer is pruned. They may be renewed with `set_mask`.
        clusters: layer -> cluster of every weight, int32, where the layer is clustered.
    """

    def __init__(self, kernels: dict[str, Any], masks: dict[str, np.ndarray], clusters: dict[str, np.ndarray]) -> None:
        self._tf = require("tensorflow")
        self.kernels = kernels
        self._masks = {layer: self._tf.Variable(mask, trainable=False, dtype="float32") for layer, mask in masks.items()}
        self._clusters = {layer: _Clusters(self._tf, assigned) for layer, assigned in clusters.items()}
        self._layers = {kernel.ref(): layer for layer, kernel in kernels.items()}

    def set_mask(self, layer: str, mask: np.ndarray) -> None:
        """Renew a mask; the weights it removes are zero from now on."""
        self._masks[layer].assign(mask)
        kernel = self.kernels[layer]
        kernel.assign(kernel * self._masks[layer])

    @property
    def masked(self) -> list[str]:
        """Layers with a mask."""
        return list(self._masks)

    @property
    def state(self) -> list[Any]:
        """The variables that a checkpoint has to keep; clusters never change and come again from the start."""
        return list(self._masks.values())

    def gradient(self, gradient: Any, variable: Any) -> Any:
        """What the optimizer is given for a variable, in the step's graph."""
        layer = self._layers.get(variable.ref())
        if layer in self._clusters:
            gradient = self._clusters[layer].shared(gradient)
        if layer in self._masks:
            gradient = gradient * self._masks[layer]
        return gradient

    def project(self) -> None:
        """Make zeros and clusters exact, in the step's graph."""
        for layer in self._masks.keys() | self._clusters.keys():
            weights = self.kernels[layer].value()
            if layer in self._clusters:
                weights = self._clusters[layer].shared(weights)
            if layer in self._masks:
                weights = weights * self._masks[layer]
            self.kernels[layer].assign(weights)


class _Clusters:
    """Means over clusters. Sorted segments are summed far faster than unsorted ones, so the order is found once."""

    def __init__(self, tf: Any, assigned: np.ndarray) -> None:
        flat = assigned.reshape(-1)
        order = np.argsort(flat, kind="stable")
        self._tf, self._shape = tf, assigned.shape
        self._order = tf.constant(order.astype(np.int32))
        self._segments = tf.constant(flat[order])
        self._assigned = tf.constant(flat)
        self._counts = tf.constant(np.bincount(flat).astype(np.float32))

    def shared(self, values: Any) -> Any:
        """Every value replaced by the mean of its cluster."""
        tf = self._tf
        ordered = tf.gather(tf.reshape(values, [-1]), self._order)
        means = tf.math.segment_sum(ordered, self._segments) / self._counts
        return tf.reshape(tf.gather(means, self._assigned), self._shape)
