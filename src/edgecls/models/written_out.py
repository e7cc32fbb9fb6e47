"""Written out: a layer that tf_keras does not have, as the TensorFlow functions it calls at inference, its weights as constants.

The layer is traced, and each operation of its graph that its result needs becomes a function that a tf_keras model can save. Gradients
pass through; the weights themselves stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgecls.models.counterparts import NoCounterpartError, keras_refusals
from edgecls.models.freezing import fold
from edgecls.models.graph_rewrites import drop_assignments, spell_out_batch_statistics
from edgecls.models.keras_graph import Call
from edgecls.models.patches import spell_out_patches
from edgecls.records.written_out import name_function
from edgecls.system.extras import require

# Operation of a graph -> TensorFlow's function of its inputs in their order, and the attributes it takes, by the keyword they have there.
_FUNCTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "Abs": ("abs", {}),
    "Add": ("math.add", {}),
    "AddV2": ("math.add", {}),
    "BatchMatMulV2": ("linalg.matmul", {"adj_x": "adjoint_a", "adj_y": "adjoint_b"}),
    "BiasAdd": ("nn.bias_add", {}),
    "BroadcastTo": ("broadcast_to", {}),
    "Cast": ("cast", {"DstT": "dtype"}),
    "Ceil": ("math.ceil", {}),
    "ClipByValue": ("clip_by_value", {}),
    "Cos": ("cos", {}),
    "Cumsum": ("math.cumsum", {"exclusive": "exclusive", "reverse": "reverse"}),
    "Elu": ("nn.elu", {}),
    "Equal": ("math.equal", {}),
    "Erf": ("math.erf", {}),
    "Erfc": ("math.erfc", {}),
    "Exp": ("exp", {}),
    "ExpandDims": ("expand_dims", {}),
    "Expm1": ("math.expm1", {}),
    "Fill": ("fill", {}),
    "Floor": ("floor", {}),
    "FloorDiv": ("math.floordiv", {}),
    "FloorMod": ("math.floormod", {}),
    "Greater": ("math.greater", {}),
    "GreaterEqual": ("math.greater_equal", {}),
    "L2Loss": ("nn.l2_loss", {}),
    "LeakyRelu": ("nn.leaky_relu", {"alpha": "alpha"}),
    "IsFinite": ("math.is_finite", {}),
    "IsInf": ("math.is_inf", {}),
    "IsNan": ("math.is_nan", {}),
    "Less": ("math.less", {}),
    "LessEqual": ("math.less_equal", {}),
    "Log": ("math.log", {}),
    "Log1p": ("math.log1p", {}),
    "LogSoftmax": ("nn.log_softmax", {}),
    "LogicalAnd": ("math.logical_and", {}),
    "LogicalNot": ("math.logical_not", {}),
    "LogicalOr": ("math.logical_or", {}),
    "MatMul": ("linalg.matmul", {"transpose_a": "transpose_a", "transpose_b": "transpose_b"}),
    "Max": ("reduce_max", {"keep_dims": "keepdims"}),
    "Maximum": ("maximum", {}),
    "Mean": ("reduce_mean", {"keep_dims": "keepdims"}),
    "Min": ("reduce_min", {"keep_dims": "keepdims"}),
    "Minimum": ("minimum", {}),
    "Mul": ("multiply", {}),
    "Neg": ("negative", {}),
    "NotEqual": ("math.not_equal", {}),
    "OneHot": ("one_hot", {"axis": "axis"}),
    "Pad": ("pad", {}),
    "Pow": ("pow", {}),
    "Prod": ("reduce_prod", {"keep_dims": "keepdims"}),
    "RealDiv": ("truediv", {}),
    "Reciprocal": ("math.reciprocal", {}),
    "Relu": ("nn.relu", {}),
    "Relu6": ("nn.relu6", {}),
    "Reshape": ("reshape", {}),
    "ReverseV2": ("reverse", {}),
    "Round": ("round", {}),
    "Rsqrt": ("math.rsqrt", {}),
    "Select": ("where", {}),
    "SelectV2": ("where", {}),
    "Selu": ("nn.selu", {}),
    "Shape": ("shape", {}),
    "Sigmoid": ("sigmoid", {}),
    "Sign": ("sign", {}),
    "Sin": ("sin", {}),
    "Slice": ("slice", {}),
    "Softmax": ("nn.softmax", {}),
    "Softplus": ("math.softplus", {}),
    "Softsign": ("nn.softsign", {}),
    "Sqrt": ("sqrt", {}),
    "Square": ("square", {}),
    "SquaredDifference": ("math.squared_difference", {}),
    "Squeeze": ("squeeze", {"squeeze_dims": "axis"}),
    "StridedSlice": (
        "strided_slice",
        {name: name for name in ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")},
    ),
    "Sub": ("subtract", {}),
    "Sum": ("reduce_sum", {"keep_dims": "keepdims"}),
    "Tanh": ("tanh", {}),
    "Tile": ("tile", {}),
    "Transpose": ("transpose", {}),
}
_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
_PASSED = ("Identity", "StopGradient", "PreventGradient", "Snapshot", "EnsureShape")
# Operations whose function takes its inputs otherwise: attributes by name, then the inputs -> function, arguments, keywords.
_REARRANGED: dict[str, Callable[..., tuple[str, tuple[Any, ...], dict[str, Any]]]] = {
    "AvgPool": lambda get, x: ("nn.avg_pool2d", (x,), _window(get)),
    "AvgPool3D": lambda get, x: ("nn.avg_pool3d", (x,), _window(get)),
    "MaxPool": lambda get, x: ("nn.max_pool2d", (x,), _window(get)),
    "MaxPool3D": lambda get, x: ("nn.max_pool3d", (x,), _window(get)),
    "ConcatV2": lambda get, *values: ("concat", (list(values[:-1]), values[-1]), {}),
    "Conv2D": lambda get, x, kernel: ("nn.conv2d", (x, kernel), {**_steps(get), "dilations": get("dilations")}),
    "DepthwiseConv2dNative": lambda get, x, kernel: (
        "nn.depthwise_conv2d",
        (x, kernel),
        {**_steps(get), "dilations": get("dilations")[1:3]},
    ),
    "GatherV2": lambda get, values, indices, axis: (
        "gather",
        (values, indices),
        {"axis": axis, "batch_dims": get("batch_dims")},
    ),
    "MirrorPad": lambda get, x, paddings: ("pad", (x, paddings), {"mode": get("mode").decode()}),
    "Pack": lambda get, *values: ("stack", (list(values),), {"axis": get("axis")}),
    "PadV2": lambda get, x, paddings, value: ("pad", (x, paddings), {"constant_values": value}),
    "Split": lambda get, axis, x: ("split", (x, get("num_split")), {"axis": axis}),
    "SplitV": lambda get, x, sizes, axis: ("split", (x, sizes), {"axis": axis}),
    "Unpack": lambda get, x: ("unstack", (x,), {"num": get("num"), "axis": get("axis")}),
}


def _steps(get: Callable[[str], Any]) -> dict[str, Any]:
    return {"strides": get("strides"), "padding": get("padding").decode()}


def _window(get: Callable[[str], Any]) -> dict[str, Any]:
    return {**_steps(get), "ksize": get("ksize")}


def write_out(call: Call, free_name: Callable[[str], str]) -> list[Any]:
    """The outputs of a call, flat.

    Raises:
        NoCounterpartError: the layer computes with an operation that has no function here, or cannot be called on these tensors.
    """
    nest = require("tensorflow").nest
    arguments = nest.flatten((call.args, call.kwargs))
    places = [index for index, value in enumerate(arguments) if hasattr(value, "_keras_history")]
    with keras_refusals():
        function, taken, made = _traced(call, arguments, places)
    values = dict(zip(taken, (arguments[index] for index in places), strict=True))
    writer = _Writer(call.layer.name, free_name, function, values)
    return [writer.value(function.graph.get_tensor_by_name(name)) for name in made]


def _traced(call: Call, arguments: list[Any], places: list[int]) -> tuple[Any, list[str], list[str]]:
    """A call at inference as a function without variables; names of the tensors that it takes, and of those it makes."""
    tf = require("tensorflow")
    mode = {"training": False} if call.takes_training else {}

    def run(*tensors: Any) -> list[Any]:
        given = list(arguments)
        for index, tensor in zip(places, tensors, strict=True):
            given[index] = tensor
        args, kwargs = tf.nest.pack_sequence_as((call.args, call.kwargs), given)
        return [tf.identity(value) for value in tf.nest.flatten(call.layer(*args, **kwargs, **mode))]

    specs = [tf.TensorSpec(arguments[index].shape, arguments[index].dtype) for index in places]
    traced = tf.function(run, autograph=False).get_concrete_function(*specs)
    graph = fold(traced)
    drop_assignments(graph)  # of seeds, which some layers draw though they use them in training alone
    spell_out_batch_statistics(graph)
    spell_out_patches(graph)
    function = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    return function, [tensor.name for tensor in traced.inputs[: len(places)]], [tensor.name for tensor in traced.outputs]


class _Writer:
    """Makes the tensors of a function, each when it is first needed.

    Args:
        name: of the layer, which the names of the functions begin with.
        values: name of each tensor that the function takes -> what takes its place.
    """

    def __init__(self, name: str, free_name: Callable[[str], str], function: Any, values: dict[str, Any]) -> None:
        self._name, self._free_name, self._function, self._values = name, free_name, function, values
        self._own = {"Einsum": self._einsum, **dict.fromkeys(_NORMS, self._normalized)}
        self._varying = set(values)  # tensors that depend on what the function takes
        for operation in function.graph.get_operations():  # in an order in which each finds its inputs
            if any(tensor.name in self._varying for tensor in operation.inputs):
                self._varying.update(tensor.name for tensor in operation.outputs)

    def value(self, tensor: Any) -> Any:
        """What takes the place of a tensor: a symbolic one, or an array where it is always the same."""
        if tensor.name not in self._values:
            if tensor.name in self._varying:
                made = self._made(tensor.op)
                self._values.update({output.name: value for output, value in zip(tensor.op.outputs, made, strict=True)})
            else:
                self._values[tensor.name] = self._function.prune([], tensor)().numpy()
        return self._values[tensor.name]

    def _made(self, operation: Any) -> list[Any]:
        kind, inputs = operation.type, list(operation.inputs)
        if kind not in (*_PASSED, *_REARRANGED, *_FUNCTIONS, *self._own):
            raise NoCounterpartError(f"it computes with {kind}, which is not known here")
        if kind in _PASSED:
            return [self.value(inputs[0])]
        if kind == "Reshape" and (shape := _known_but_for_one(operation.outputs[0].shape)):
            return self._called("reshape", (self.value(inputs[0]), shape), {})
        values = tuple(self.value(tensor) for tensor in inputs)
        if kind in self._own:
            return self._own[kind](operation, *values)
        if kind in _REARRANGED:
            return self._called(*_REARRANGED[kind](lambda name: _plain(operation.get_attr(name)), *values))
        function, attributes = _FUNCTIONS[kind]
        keywords = {keyword: _plain(operation.get_attr(name)) for name, keyword in attributes.items()}
        return self._called(function, values, {name: value for name, value in keywords.items() if value != []})

    def _normalized(self, operation: Any, x: Any, *parts: Any) -> list[Any]:
        """A BatchNorm by its own statistics, as a product and a sum; the outputs behind the first are for training."""
        if operation.get_attr("data_format") != b"NHWC" or not all(isinstance(part, np.ndarray) for part in parts):
            raise NoCounterpartError(
                f"it computes with {operation.type} channels first or of computed statistics, not known here"
            )
        scale, offset, mean, variance = parts
        factor = scale / np.sqrt(variance + np.float32(operation.get_attr("epsilon")))
        (scaled,) = self._called("multiply", (x, factor), {})
        return self._called("math.add", (scaled, offset - mean * factor), {}) * len(operation.outputs)

    def _einsum(self, operation: Any, *values: Any) -> list[Any]:
        """A product of two tensors, by functions that a saved model can read again: of `einsum` it forgets the tensors."""
        equation = operation.get_attr("equation").decode()
        if not any(isinstance(value, np.ndarray) for value in values):
            return self._product(equation, *values)
        terms, result = equation.replace(" ", "").split("->")
        is_plain = "." not in equation and len(values) == 2
        first, second = terms.split(",") if is_plain else ("", "")
        shared = [letter for letter in first if letter in second]
        if not is_plain or any(letter in result for letter in shared):
            raise NoCounterpartError(f"it computes the product {equation} with a constant, which is not known here")
        axes = [[term.index(letter) for letter in shared] for term in (first, second)]
        (product,) = self._called("tensordot", values, {"axes": axes})
        made = [letter for letter in first + second if letter not in shared]
        return self._called("transpose", (product, [made.index(letter) for letter in result]), {})

    def _product(self, equation: str, *values: Any) -> list[Any]:
        """A product of two varying tensors, each a stack of matrices when its axes are in order."""
        terms, result = equation.replace(" ", "").split("->")
        is_plain = "." not in equation and len(values) == 2
        first, second = terms.split(",") if is_plain else ("", "")
        stacked = [letter for letter in first if letter in second and letter in result]
        summed = [letter for letter in first if letter in second and letter not in result]
        rows, columns = ([letter for letter in term if letter not in other] for term, other in ((first, second), (second, first)))
        if not is_plain or not len(summed) == len(rows) == len(columns) == 1:
            raise NoCounterpartError(f"it computes the product {equation}, which is not known here")
        orders = ([*stacked, *rows, *summed], [*stacked, *summed, *columns])
        sides = [
            self._called("transpose", (value, [term.index(letter) for letter in order]), {})[0]
            for term, order, value in zip((first, second), orders, values, strict=True)
        ]
        (product,) = self._called("linalg.matmul", tuple(sides), {})
        made = [*stacked, *rows, *columns]
        return self._called("transpose", (product, [made.index(letter) for letter in result]), {})

    def _called(self, function: str, args: tuple[Any, ...], keywords: dict[str, Any]) -> list[Any]:
        from tf_keras.src.layers.core.tf_op_layer import TFOpLambda

        tf = require("tensorflow")
        target: Any = tf
        for part in function.split("."):
            target = getattr(target, part)
        layer = TFOpLambda(target, name=self._free_name(name_function(self._name, function)))
        args, keywords = tf.nest.map_structure(_plain, (args, keywords))
        with keras_refusals():
            return tf.nest.flatten(layer(*args, **keywords))


def _known_but_for_one(shape: Any) -> list[int] | None:
    """A shape of which one side at most is free, as `reshape` takes it."""
    if shape.rank is None or list(shape).count(None) > 1:
        return None
    return [-1 if side is None else int(side) for side in shape]


def _plain(value: Any) -> Any:
    """A constant or attribute as Python values, which a tf_keras model can save."""
    if hasattr(value, "as_numpy_dtype"):
        return value.name
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value
