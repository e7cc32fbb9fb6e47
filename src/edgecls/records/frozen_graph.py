"""FrozenGraph: the model traced once, variables folded into constants. Every converter starts from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FrozenGraph:
    """A TensorFlow GraphDef on disk, so that worker processes read it instead of tracing again.

    Attributes:
        path: serialized `GraphDef` without variables and without function calls.
        input: name of the float32 placeholder of shape (1, *ImageSpec.input_shape), as `image:0`.
        output: name of the float32 scores tensor of shape (1, outputs), as `scores:0`.
        input_shape: the placeholder's shape, batch 1 first.
        outputs: length of the score vector.
        others: names of further such tensors, where several heads are converted together, as `age:0`.
    """

    path: Path
    input: str
    output: str
    input_shape: tuple[int, ...]
    outputs: int
    others: tuple[str, ...] = ()
