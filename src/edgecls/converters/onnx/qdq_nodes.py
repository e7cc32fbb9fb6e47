"""QdqNodes: the nodes and constants of a QDQ graph while it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgecls.quantization.codes import unsigned
from edgecls.quantization.parameters import Affine

if TYPE_CHECKING:
    import onnx


class QdqNodes:
    """What is written one after another.

    Attributes:
        nodes: in order.
        constants: name -> value.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def add(self, kind: str, inputs: list[str], output: str, name: str, **attributes: Any) -> str:
        """One node; its output's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name, **attributes))
        return output

    def affine(self, name: str, affine: Affine, *, is_unsigned: bool) -> tuple[str, str]:
        """Scale and zero point as constants; their names."""
        names = f"{name}/scale", f"{name}/zero_point"
        zero_point = unsigned(affine.zero_point) if is_unsigned else affine.zero_point
        for key, value in zip(names, (affine.scale, zero_point), strict=True):
            self.constants[key] = value[0] if len(affine.scale) == 1 else value
        return names

    def dequantized_constant(self, name: str, codes: np.ndarray, affine: Affine, axis: int | None) -> str:
        """A constant operand from its codes, int8 or uint8 by `codes`; the name of its values."""
        self.constants[f"{name}/codes"] = codes
        parameters = self.affine(name, affine, is_unsigned=codes.dtype == np.uint8)
        attributes = {"axis": axis} if len(affine.scale) > 1 else {}
        return self.add("DequantizeLinear", [f"{name}/codes", *parameters], f"{name}/dequantized", f"{name}/DQ", **attributes)

    def dequantized_bias(self, name: str, codes: np.ndarray, scale: np.ndarray) -> str:
        """A bias from its int32 codes and its scales [channels]; the name of its values."""
        self.constants |= {f"{name}/codes": codes, f"{name}/scale": scale, f"{name}/zero_point": np.zeros_like(codes)}
        parts = [f"{name}/{part}" for part in ("codes", "scale", "zero_point")]
        return self.add("DequantizeLinear", parts, f"{name}/dequantized", f"{name}/DQ", axis=0)
