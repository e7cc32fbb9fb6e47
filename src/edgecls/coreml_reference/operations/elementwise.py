"""Arithmetic, comparison and logic, value by value."""

from __future__ import annotations

import numpy as np

from edgecls.coreml_reference.call import Call, Entry, Translate, aligned, always, computed_dtype, entry
from edgecls.coreml_reference.graph import HALF, onnx_dtype

# MIL's dtypes as `cast` names them
_CASTS = {"fp16", "fp32", "int8", "uint8", "int16", "uint16", "int32", "uint32", "bool"}


def _unary(kind: str) -> Translate:
    return lambda call: call.graph.node(kind, call.tensor("x"))


def _binary(kind: str) -> Translate:
    return lambda call: call.graph.node(kind, call.tensor("x"), call.tensor("y"))


def _compare(kind: str) -> Translate:
    """Integers and truth values alike: ONNX orders numbers only."""

    def translate(call: Call) -> str:
        x, y = call.tensor("x"), call.tensor("y")
        if call.dtype("x") == "bool" and kind != "Equal":
            x, y = (call.graph.node("Cast", value, to=onnx_dtype("int32")) for value in (x, y))
        return call.graph.node(kind, x, y)

    return translate


def _not_equal(call: Call) -> str:
    return call.graph.node("Not", call.graph.node("Equal", call.tensor("x"), call.tensor("y")))


def _floor_div(call: Call) -> str:
    x, y = call.tensor("x"), call.tensor("y")
    if call.is_float("x"):
        return call.graph.node("Floor", call.graph.node("Div", x, y))
    # ONNX divides integers towards zero, MIL towards minus infinity
    wide = [call.graph.node("Cast", value, to=onnx_dtype("float64")) for value in (x, y)]
    floor = call.graph.node("Floor", call.graph.node("Div", *wide))
    return call.graph.node("Cast", floor, to=onnx_dtype(call.dtype("x")))


def _real_div(call: Call) -> str:
    x, y = call.tensor("x"), call.tensor("y")
    if call.is_float("x"):
        return call.graph.node("Div", x, y)
    raise call.unsupported("on integers")


def _mod(call: Call) -> str:
    """x - floor(x / y) * y: the remainder has the divisor's sign."""
    x, y = call.tensor("x"), call.tensor("y")
    if not call.is_float("x"):
        return call.graph.node("Mod", x, y)
    floor = call.graph.node("Floor", call.graph.node("Div", x, y))
    return call.graph.node("Sub", x, call.graph.node("Mul", floor, y))


def _pow(call: Call) -> str:
    return call.graph.node("Pow", call.tensor("x"), call.tensor("y"))


def _square(call: Call) -> str:
    return call.graph.node("Mul", call.tensor("x"), call.tensor("x"))


def _exp2(call: Call) -> str:
    return call.graph.node("Pow", call.scalar(2.0, "x"), call.tensor("x"))


def _shifted(call: Call, default: float) -> str:
    """x + epsilon."""
    epsilon = call.number("epsilon", default)
    x = call.tensor("x")
    return x if epsilon == 0 else call.graph.node("Add", x, call.scalar(epsilon, "x"))


def _log(call: Call) -> str:
    return call.graph.node("Log", _shifted(call, 1e-45))


def _rsqrt(call: Call) -> str:
    return call.graph.node("Reciprocal", call.graph.node("Sqrt", _shifted(call, 1e-12)))


def _inverse(call: Call) -> str:
    return call.graph.node("Reciprocal", _shifted(call, 1e-4))


def _threshold(call: Call) -> str:
    return call.graph.node("Max", call.tensor("x"), call.tensor("alpha"))


def _clip(call: Call) -> str:
    low, high = (call.scalar(call.number(name), "x") for name in ("alpha", "beta"))
    return call.graph.node("Clip", call.tensor("x"), low, high)


def _cast(call: Call) -> str:
    target = call.choice("dtype", sorted(_CASTS), "")
    x = call.tensor("x")
    source, dtype = computed_dtype(call.dtype("x")), computed_dtype(target)
    if target == "fp16" and call.dtype("x") != "float16":  # computed in float32 from what float16 holds
        x, source = call.graph.node("Cast", x, to=HALF), np.dtype(np.float16)
    if source == dtype:
        return x
    if source.kind == "f" and dtype.kind in "iu" and dtype.itemsize < 4:
        x = call.graph.node("Cast", x, to=onnx_dtype("int32"))  # through int32, as it wraps alike everywhere
    return call.graph.node("Cast", x, to=onnx_dtype(dtype.name))


def _identity(call: Call) -> str:
    return call.graph.node("Identity", call.tensor("x"))


def _select(call: Call) -> str:
    """a where cond, else b; cond may be numbers, of which those but zero choose a."""
    condition = call.tensor("cond")
    if call.dtype("cond") != "bool":
        condition = call.graph.node("Cast", condition, to=onnx_dtype("bool"))
    return call.graph.node("Where", condition, call.tensor("a"), call.tensor("b"))


def _logical(kind: str) -> Translate:
    def translate(call: Call) -> str:
        both = [call.tensor(name, None if call.dtype(name) == "bool" else np.bool_) for name in ("x", "y")]
        return call.graph.node(kind, *both)

    return translate


_UNARY = {
    "abs": "Abs",
    "acos": "Acos",
    "asin": "Asin",
    "atan": "Atan",
    "atanh": "Atanh",
    "ceil": "Ceil",
    "cos": "Cos",
    "cosh": "Cosh",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "logical_not": "Not",
    "round": "Round",
    "sign": "Sign",
    "sin": "Sin",
    "sinh": "Sinh",
    "sqrt": "Sqrt",
    "tan": "Tan",
}
_BINARY: dict[str, Translate] = {
    "add": _binary("Add"),
    "sub": _binary("Sub"),
    "mul": _binary("Mul"),
    "maximum": _binary("Max"),
    "minimum": _binary("Min"),
    "equal": _compare("Equal"),
    "greater": _compare("Greater"),
    "greater_equal": _compare("GreaterOrEqual"),
    "less": _compare("Less"),
    "less_equal": _compare("LessOrEqual"),
    "not_equal": _not_equal,
    "real_div": _real_div,
    "floor_div": _floor_div,
    "mod": _mod,
    "pow": _pow,
    "logical_and": _logical("And"),
    "logical_or": _logical("Or"),
    "logical_xor": _logical("Xor"),
}
ENTRIES: dict[str, Entry] = {
    **{name: entry(_unary(kind), "x", always) for name, kind in _UNARY.items()},
    **{name: entry(translate, "x y", aligned) for name, translate in _BINARY.items()},
    "square": entry(_square, "x", always),
    "exp2": entry(_exp2, "x", always),
    "log": entry(_log, "x epsilon", always),
    "rsqrt": entry(_rsqrt, "x epsilon", always),
    "inverse": entry(_inverse, "x epsilon", always),
    "threshold": entry(_threshold, "x alpha", always),
    "clip": entry(_clip, "x alpha beta", always),
    "cast": entry(_cast, "x dtype", always),
    "identity": entry(_identity, "x", always),
    "select": entry(_select, "cond a b", aligned),
}
