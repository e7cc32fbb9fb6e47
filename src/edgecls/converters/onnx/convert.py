"""ONNX: derived from the float32 TFLite model, so that both have the same folded graph and the same tensor names."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecls.errors import ConversionError
from edgecls.formats.onnx.names import BATCH, INPUT, OUTPUT
from edgecls.records.artifact import OnnxLayout
from edgecls.records.image_spec import Layout
from edgecls.records.metadata import METADATA_KEY, ArtifactMetadata
from edgecls.system.extras import quiet_frameworks, require
from edgecls.system.private_folder import temporary_folder

if TYPE_CHECKING:
    import onnx
    import onnxruntime

    from edgecls.formats.tflite.graph import TFLiteGraph

OPSET = 17  # the newest that every onnxruntime mobile package of the last years runs
ONNX_LAYOUTS: dict[Layout, OnnxLayout] = {"HWC": "nhwc", "CHW": "nchw"}
PASSES = ("optimize_transpose", "fold_constants", "global_pool_optimizer", "remove_identity", "remove_back_to_back")
_MOVED = re.compile(r"_token_\d+$")
_GELU_TANH = (0.7978845608028654, 0.044715)  # sqrt(2/pi) and the cubic coefficient of the tanh approximation


def float_onnx(graph: TFLiteGraph) -> onnx.ModelProto:
    """Convert the graph of a float32 TFLite model to float32 ONNX with a free batch axis, where the graph allows one.

    Every value keeps the name of its TFLite tensor. Opset OPSET, only operations of the standard domain.

    Raises:
        ConversionError: an operation has no ONNX counterpart.
    """
    import onnx

    from edgecls.converters.onnx.explicit import make_explicit
    from edgecls.converters.onnx.settled_names import settle_names

    converted = _tf2onnx(make_explicit(graph))
    rename(converted.graph, converted.graph.input[0].name, INPUT)
    rename(converted.graph, converted.graph.output[0].name, OUTPUT)
    _keep_zeros_before_max_pooling(converted.graph)
    fixed = simplify(converted)
    settle_names(fixed.graph, set(graph.names))
    _sort_nodes(fixed.graph)
    free = _free_batch(fixed)
    best = free if free is not None else fixed
    onnx.checker.check_model(best)
    return best


def float16_onnx(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with float16 weights and arithmetic, float32 at the border."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with quiet_frameworks():
        converted = convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=False)
    _sort_nodes(converted.graph)  # it appends the casts at the border to the end
    return converted


def _sort_nodes(graph: onnx.GraphProto) -> None:
    """Put every node behind those it reads from, in an order that is that of the graph alone: tf2onnx' own goes by numbers of its run."""
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output}
    ends = [makers[value.name] for value in graph.output if value.name in makers]
    order: dict[int, None] = {}
    waiting = [*range(len(graph.node) - 1, -1, -1), *reversed(ends)]  # what leads to no output comes last
    while waiting:
        reads = [makers[name] for name in graph.node[waiting[-1]].input if name in makers]
        if missing := [index for index in reads if index not in order]:
            waiting += reversed(missing)
        else:
            order[waiting.pop()] = None
    copies = [copy.deepcopy(graph.node[index]) for index in order]
    del graph.node[:]
    graph.node.extend(copies)


def stamp(model: onnx.ModelProto, record: ArtifactMetadata, remarks: Mapping[str, str] | None = None) -> bytes:
    """Serialize with the record, labels, preprocessing and what else is to be said in `metadata_props`."""
    spec = record.image_spec
    entries = {
        METADATA_KEY: record.model_dump_json(),
        "labels": "\n".join(record.labels),
        "scores": record.scores,
        **({"input_layout": ONNX_LAYOUTS[spec.layout].upper()} if spec.layout in ONNX_LAYOUTS else {}),
        "preprocessing": f"(pixel - mean) / std, mean={list(spec.mean)}, std={list(spec.std)}, order={spec.color_order}",
        "resizing": f"fit={spec.fit_choice}, filter={spec.filter}",
        "source_sha256": record.source_sha256,
        **(remarks or {}),
    }
    del model.metadata_props[:]
    for key, value in entries.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    model.producer_name, model.producer_version = "edgecls", record.edgecls_version
    model.graph.name, model.doc_string = record.title, ""
    return model.SerializeToString(deterministic=True)


def _tf2onnx(model: bytes) -> onnx.ModelProto:
    """The model in ONNX's operations, with transposes moved together.

    tf2onnx's own `from_tflite` tries every optimizer on a deep copy of the graph, weights included, over and over: twice the time and
    ten times the memory of these passes, whose rest onnxruntime does (see `simplify`).
    """
    require("tf2onnx")
    tf, graphs, optimizers = require("tensorflow"), require("tf2onnx.tfonnx"), require("tf2onnx.optimizer")
    passes = {name: factory for name, factory in optimizers._get_optimizers().items() if name in PASSES}
    with temporary_folder() as folder, quiet_frameworks():
        path = folder / "model.tflite"
        path.write_bytes(model)
        try:
            with tf.Graph().as_default() as empty:
                graph = graphs.process_tf_graph(empty, opset=OPSET, tflite_path=str(path), custom_op_handlers=_handlers())
            _name_resizings(graph)
            _reach_sizes(graph)
            converted = optimizers.optimize_graph(graph, catch_errors=False, optimizers=passes).make_model("edgecls")
        except Exception as error:  # tf2onnx raises bare ValueErrors and KeyErrors from everywhere
            raise _unsupported(f"{type(error).__name__}: {error}") from error
    foreign = sorted({node.op_type for node in converted.graph.node if node.op_type.startswith("TFL_") or node.domain})
    if foreign:
        raise _unsupported(", ".join(foreign))
    return converted


def _name_resizings(graph: Any) -> None:
    """Let what a Resize makes have the name of its TFLite tensor, which tf2onnx gives to the transpose behind it: that one is dropped where
    it meets another, and a value without its name would have no int8 parameters.
    """
    for behind in [node for node in graph.get_nodes() if node.type == "Transpose" and node.inputs[0].type == "Resize"]:
        resize, name = behind.inputs[0], behind.output[0]
        if name in graph.outputs or len(graph.find_output_consumers(resize.output[0])) > 1:
            continue
        made = {
            node: {"attr": node.attr, "shapes": node.output_shapes, "dtypes": node.output_dtypes} for node in (resize, behind)
        }
        takers = graph.find_output_consumers(name)
        for node in made:
            graph.remove_node(node.name)
        graph.make_node("Resize", resize.input, outputs=[name], name=resize.name, **made[resize])
        moved = graph.make_node("Transpose", [name], name=behind.name, **made[behind])
        graph.replace_all_inputs(name, moved.output[0], ops=takers)


def _reach_sizes(graph: Any) -> None:
    """Raise the factor of a Resize that float32 rounded down to the next number: engines cut off what is too little, and make 17 rows of 20
    times 0.9, where the model has 18.
    """
    for node in [node for node in graph.get_nodes() if node.type == "Resize" and node.inputs[2].is_const()]:
        lengths, factors = graph.get_shape(node.input[0]), node.inputs[2].get_tensor_value(as_list=False)
        if lengths is None or not factors.size:  # sizes that are computed while it runs stand in its last input
            continue
        products = np.array(lengths) * factors.astype(np.float64)
        raised = np.where(products < np.round(products), np.nextafter(factors, np.float32(np.inf)), factors)
        node.inputs[2].set_tensor_value(raised)


def _unsupported(found: str) -> ConversionError:
    return ConversionError("operations that exist in ONNX", found[:300], "replace that layer, or choose --targets tflite")


def _handlers() -> dict[str, Any]:
    """What tf2onnx has no handlers for."""
    return {
        "TFL_GELU": (_gelu, []),
        "TFL_RELU_N1_TO_1": (functools.partial(_clip, (-1.0, 1.0)), []),
        "TFL_RELU_0_TO_1": (functools.partial(_clip, (0.0, 1.0)), []),
    }


def _clip(limits: tuple[float, float], ctx: Any, node: Any, name: str, args: Any, **_: Any) -> None:
    """A rectifier with both ends as Clip."""
    value, output = node.input[0], node.output[0]
    shape, dtype = ctx.get_shape(output), ctx.get_dtype(output)
    ends = [ctx.make_const(f"{name}_{end:g}", np.float32(end)).output[0] for end in limits]
    ctx.remove_node(node.name)
    ctx.make_node("Clip", [value, *ends], outputs=[output], name=f"{name}_clip", dtypes=[dtype], shapes=[shape])


def _gelu(ctx: Any, node: Any, name: str, args: Any, **_: Any) -> None:
    """TFL_GELU as standard operations; tf2onnx has no handler for it."""
    value, shape, dtype = node.input[0], ctx.get_shape(node.output[0]), ctx.get_dtype(node.output[0])

    def scalar(number: float) -> str:
        return ctx.make_const(f"{name}_{number:.6f}", np.float32(number)).output[0]

    def make(operation: str, *inputs: str, **kwargs: Any) -> str:
        return ctx.make_node(operation, list(inputs), dtypes=[dtype], shapes=[shape], **kwargs).output[0]

    if node.get_attr_value("approximate"):
        cubic = make("Mul", make("Mul", value, value), make("Mul", value, scalar(_GELU_TANH[1])))
        inner = make("Tanh", make("Mul", make("Add", value, cubic), scalar(_GELU_TANH[0])))
    else:
        inner = make("Erf", make("Mul", value, scalar(0.5**0.5)))
    halved = make("Mul", value, scalar(0.5))
    output = node.output[0]
    ctx.remove_node(node.name)
    ctx.make_node(
        "Mul", [halved, make("Add", inner, scalar(1.0))], outputs=[output], name=f"{name}_gelu", dtypes=[dtype], shapes=[shape]
    )


def rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Give a value another name, wherever it stands."""
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
    for value in (*graph.input, *graph.output):
        if value.name == old:
            value.name = new


def _keep_zeros_before_max_pooling(graph: onnx.GraphProto) -> None:
    """Write zeros that are padded before a max pooling as -0.0.

    onnxruntime's Pad_Fusion, here and wherever the file is opened, moves a padding with 0.0 into a max pooling, which pads with minus
    infinity: wrong where values are negative, as in ResNet50V2. It leaves -0.0 alone, which is the same number.
    """
    from onnx import numpy_helper

    constants = {item.name: item for item in graph.initializer}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)

    def reaches_max_pooling(name: str) -> bool:
        return any(
            node.op_type == "MaxPool" or (node.op_type == "Transpose" and reaches_max_pooling(node.output[0]))
            for node in consumers.get(name, [])
        )

    for node in graph.node:
        if node.op_type != "Pad" or not reaches_max_pooling(node.output[0]):
            continue
        value = node.input[2] if len(node.input) > 2 else ""
        if value and (value not in constants or numpy_helper.to_array(constants[value]).any()):
            continue
        name = f"{node.output[0]}/padding"
        graph.initializer.append(numpy_helper.from_array(np.array(-0.0, np.float32), name))
        del node.input[2:3]
        node.input.insert(2, name)


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constants and drop transposes that cancel: onnxruntime's basic level, which keeps to the standard operations.

    Products stay apart from sums: joined to a Gemm, one without a bias takes for it whatever activation it is added to, and its name is
    lost.
    """
    import onnx
    import onnxruntime

    with temporary_folder() as folder:
        path = folder / "model.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers, disabled_optimizers=["MatMulAddFusion"])
        simplified = onnx.load(path)
    used = {node.domain for node in simplified.graph.node}
    for entry in [entry for entry in simplified.opset_import if entry.domain not in used]:
        simplified.opset_import.remove(entry)
    _restore_names(simplified.graph)
    return simplified


def _restore_names(graph: onnx.GraphProto) -> None:
    """Undo the suffix that onnxruntime gives a value when it moves a transpose across it: the name must stay TFLite's."""
    taken = {name for node in graph.node for name in node.output}
    for name in sorted(taken):
        original = _MOVED.sub("", name)
        if original not in taken:
            rename(graph, name, original)
            taken.add(original)


def _free_batch(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The model with a free batch axis, proven on two different inputs at once; None where the graph depends on batch 1."""
    import onnxruntime

    from edgecls.converters.onnx.free_batch import StuckError, free_batch

    free = copy.deepcopy(model)
    try:
        free_batch(free, BATCH)
    except StuckError:
        return None
    shape = tuple(dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim)
    inputs = np.random.default_rng(0).standard_normal((2, *shape[1:])).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(free.SerializeToString(), options, providers=["CPUExecutionProvider"])
        together = _answers(session, inputs)
    except Exception:  # noqa: BLE001 - border to onnxruntime, whose errors have no common base
        return None
    one, other = (_answers(session, inputs[index : index + 1]) for index in range(2))
    apart = [np.concatenate(pair) for pair in zip(one, other, strict=True)]
    same = [a.shape == b.shape and np.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in zip(together, apart, strict=True)]
    return free if all(same) else None


def _answers(session: onnxruntime.InferenceSession, inputs: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(answer) for answer in session.run(None, {INPUT: inputs})]
