"""Names of the functions that a layer is written out as: a saved model tells by them which layer they stand for."""

from __future__ import annotations

_MARK = ".as."


def name_function(layer: str, function: str) -> str:
    """The name of a function, `math.square` say, that a layer is written out with."""
    return f"{layer}{_MARK}{function.rpartition('.')[2]}"


def written_out_layer(name: str) -> str | None:
    """The layer that a function of such a name stands for; None where the name is no such."""
    layer, mark, _ = name.rpartition(_MARK)
    return layer if mark else None
