"""A real network whose channels were badly scaled: it answers as before, and a tensor's channels differ by up to 2 ** (2 * DOUBLINGS)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

DOUBLINGS = 3  # at most, up and down


def badly_scaled(source: Path, target: Path) -> Path:
    """Save a model, a chain of convolutions each with BatchNorm and ReLU, with the channels of every ReLU multiplied by powers of two and
    the kernels behind it divided by them: what training with other scales of BatchNorm comes to."""
    import tf_keras

    model: Any = tf_keras.models.load_model(source, compile=False)
    convolutions = [layer for layer in model.layers if "Conv2D" in type(layer).__name__]
    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    generator = np.random.default_rng(0)
    for norm, reader in zip(norms, convolutions[1:], strict=False):
        factors = 2.0 ** generator.integers(-DOUBLINGS, DOUBLINGS + 1, norm.gamma.shape[0])
        _multiply(norm.gamma, factors)
        _multiply(norm.beta, factors)
        _multiply(reader.kernel if hasattr(reader, "kernel") else reader.depthwise_kernel, 1 / factors[:, None])
    model.save(target)
    return target


def _multiply(variable: Any, factors: np.ndarray) -> None:
    variable.assign(variable.numpy() * factors.astype(np.float32))
