"""The values between the operations of an ML program: their dtypes, and which operations stand outside `quantize` and `dequantize`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from edgecls.formats.coreml.value import known_dtype
from edgecls.records.artifact import FloatRemainder

QUANTIZE, DEQUANTIZE = "quantize", "dequantize"
# Core ML computes these together with the operation before them.
_ACTIVATIONS = {
    "relu",
    "relu6",
    "leaky_relu",
    "prelu",
    "clip",
    "sigmoid",
    "sigmoid_hard",
    "tanh",
    "silu",
    "gelu",
    "elu",
    "clamped_relu",
}
_MOVES = {"pad", "reshape", "transpose", "squeeze", "expand_dims", "identity", "slice_by_index", "slice_by_size"}
_NO_ARITHMETIC = {QUANTIZE, DEQUANTIZE, "cast", "classify", *_MOVES}
_REASONS = {"softmax": "it keeps float resolution: its integer form has steps of 1/256"}
_NO_RANGE_IN, _NO_RANGE_OUT = "what it takes has no fixed range", "what it makes has no fixed range"


class Activations:
    """The values that the computing operations make and take.

    Args:
        operations: of the main block, without constants.
    """

    def __init__(self, operations: Sequence[Any]) -> None:
        self.operations = operations
        self.makers = {value.name: operation for operation in operations for value in operation.outputs}
        self.takers: dict[str, list[Any]] = defaultdict(list)
        for operation in operations:
            for name in taken(operation):
                self.takers[name].append(operation)

    def dtypes(self) -> dict[str, int]:
        """dtype -> number of tensors that one operation makes and another takes; a value with a fixed range counts as its integers."""
        counts: Counter[str] = Counter()
        for operation in self.operations:
            for value in operation.outputs:
                takers = self.takers[value.name]
                stands_for_integers = operation.type == DEQUANTIZE or all(taker.type == QUANTIZE for taker in takers)
                if takers and not stands_for_integers and value.type.WhichOneof("type") == "tensorType":
                    counts[known_dtype(value.type.tensorType.dataType)] += 1
        return dict(counts)

    @property
    def are_quantized(self) -> bool:
        """Whether any value has a fixed range."""
        return any(operation.type == QUANTIZE for operation in self.operations)

    def stayed_float(self) -> Iterator[FloatRemainder]:
        """Operations that do not stand between `dequantize` and `quantize`."""
        for operation in self.operations:
            if operation.type in _NO_ARITHMETIC:
                continue
            enters, leaves = self._enters(operation), self._leaves(operation)
            if not enters or not leaves:
                reason = _REASONS.get(operation.type, _NO_RANGE_OUT if enters else _NO_RANGE_IN)
                yield FloatRemainder(operation=operation.type, name=operation.outputs[0].name, reason=reason)

    def _enters(self, operation: Any) -> bool:
        """Whether all it takes comes from a `dequantize` or, for an activation, from an operation it is computed together with."""
        makers = self._makers(operation)
        return bool(makers) and all(self._is_dequantized(maker, operation.type in _ACTIVATIONS) for maker in makers)

    def _is_dequantized(self, maker: Any, or_computed: bool) -> bool:
        if maker.type in _MOVES:
            return bool(sources := self._makers(maker)) and all(self._is_dequantized(source, or_computed) for source in sources)
        return maker.type == DEQUANTIZE or (or_computed and maker.type not in _NO_ARITHMETIC and self._enters(maker))

    def _makers(self, operation: Any) -> list[Any]:
        return [self.makers[name] for name in taken(operation) if name in self.makers]

    def _leaves(self, operation: Any) -> bool:
        """Whether all it makes goes into a `quantize`, behind an activation or a move where there is one."""
        takers = [taker for value in operation.outputs for taker in self.takers[value.name]]
        return bool(takers) and all(
            taker.type == QUANTIZE or (taker.type in {*_ACTIVATIONS, *_MOVES} and self._leaves(taker)) for taker in takers
        )


def taken(operation: Any) -> list[str]:
    """Names of the values an operation takes."""
    return [binding.name for item in operation.inputs.values() for binding in item.arguments if binding.name]
