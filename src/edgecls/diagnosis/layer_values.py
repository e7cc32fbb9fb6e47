"""LayerValues: what every layer of a float file and of its quantized form makes of an image, whichever engine runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

INPUT_OPERATION = "input"


@dataclass(frozen=True)
class TensorCodes:
    """Integer codes of a tensor: `real = scale * (code - zero_point)`.

    Attributes:
        lowest, highest: codes there are.
    """

    scale: float
    zero_point: int
    lowest: int
    highest: int

    @property
    def range(self) -> tuple[float, float]:
        """Real values of the lowest and the highest code."""
        return self.scale * (self.lowest - self.zero_point), self.scale * (self.highest - self.zero_point)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Real values, float32."""
        return (codes.astype(np.float32) - self.zero_point) * np.float32(self.scale)

    def round(self, values: np.ndarray) -> np.ndarray:
        """Real values of the nearest codes."""
        return self.decode(np.clip(np.rint(values / self.scale) + self.zero_point, self.lowest, self.highest))


@dataclass(frozen=True)
class LayerInfo:
    """One layer that both files have.

    Attributes:
        name: of the tensor it makes.
        operation: the engine's name for it; INPUT_OPERATION for the model's input.
        codes: how the quantized file stores the tensor; None where it is float there.
        computes_float: whether the quantized file computes it in float.
        weights: float weights, the output channel first; None where it has none.
        readers: names of the layers that read the tensor.
        channel_axis: of the tensor.
    """

    name: str
    operation: str
    codes: TensorCodes | None
    computes_float: bool
    weights: np.ndarray | None = None
    readers: list[str] = field(default_factory=list)
    channel_axis: int = -1


@dataclass(frozen=True)
class Values:
    """Tensors of one image by layer name, float32.

    Attributes:
        float_model: in the float file.
        quantized: in the quantized file, as real values.
        layer_alone: what the float operation makes of the quantized file's inputs: its difference from `quantized` is the error that the
            layer itself adds, from `float_model` what came with its inputs.
    """

    float_model: Mapping[str, np.ndarray]
    quantized: Mapping[str, np.ndarray]
    layer_alone: Mapping[str, np.ndarray]


class LayerRunner(Protocol):
    """A float file and its quantized form, opened together."""

    layers: list[LayerInfo]
    output: str

    def run(self, image: np.ndarray) -> Values:
        """All tensors of one model input [1, *input_shape], float32."""
        ...

    def run_float(self, image: np.ndarray) -> Mapping[str, np.ndarray]:
        """The float file's tensors alone."""
        ...
