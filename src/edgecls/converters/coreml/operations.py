"""TensorFlow operations of classifiers that coremltools' converter lacks or mistakes, made of operations that Core ML has."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np


@lru_cache
def register_operations() -> None:
    """Teach coremltools `Erf` and `Erfc` (the exact GELU), unless it knows them itself by now, and symmetric padding. Once a process."""
    from coremltools.converters.mil.frontend.tensorflow.tf_op_registry import _TF_OPS_REGISTRY, register_tf_op

    for function in (Erf, Erfc):
        if function.__name__ not in _TF_OPS_REGISTRY:
            register_tf_op(function)
    register_tf_op(MirrorPad, override=True)


def Erf(context: Any, node: Any) -> None:  # noqa: N802  coremltools registers the function under its name
    """erf(x)."""
    from coremltools.converters.mil import Builder as mb  # noqa: N813

    context.add(node.name, mb.erf(x=context[node.inputs[0]], name=node.name))


def Erfc(context: Any, node: Any) -> None:  # noqa: N802
    """erfc(x) = 1 - erf(x); where x is -z * c, as in Keras' GELU, 1 + erf(z * c), which coremltools fuses to one `gelu`."""
    from coremltools.converters.mil import Builder as mb  # noqa: N813

    x = context[node.inputs[0]]
    factors = _negated_product(x)
    if factors is None:
        erfc = mb.sub(x=1.0, y=mb.erf(x=x), name=node.name)
    else:
        erfc = mb.add(x=mb.erf(x=mb.mul(x=factors[0], y=factors[1])), y=1.0, name=node.name)
    context.add(node.name, erfc)


def MirrorPad(context: Any, node: Any) -> None:  # noqa: N802
    """Mirrored borders. coremltools takes SYMMETRIC, which repeats the outermost row, for REFLECT, which does not: Core ML has no
    padding like it, so that the rows and columns are gathered."""
    from coremltools.converters.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.frontend.tensorflow import ops

    if node.attr["mode"].upper() != "SYMMETRIC":
        ops.MirrorPad(context, node)
        return
    x, paddings = (context[name] for name in node.inputs)
    for axis, border in enumerate(paddings.val):
        if border.any():
            x = mb.gather(x=x, indices=np.pad(np.arange(x.shape[axis], dtype=np.int32), border, "symmetric"), axis=axis)
    context.add(node.name, mb.identity(x=x, name=node.name))


def _negated_product(x: Any) -> tuple[Any, Any] | None:
    """(z, c) where x is made as (z * -1) * c with a constant c."""
    if x.op is None or x.op.op_type != "mul":
        return None
    for negated, factor in ((x.op.x, x.op.y), (x.op.y, x.op.x)):
        made_by = negated.op
        if factor.val is not None and made_by is not None and made_by.op_type == "mul":
            for value, sign in ((made_by.x, made_by.y), (made_by.y, made_by.x)):
                if sign.val is not None and sign.val.size == 1 and float(sign.val.reshape(-1)[0]) == -1.0:
                    return value, factor.val
    return None
