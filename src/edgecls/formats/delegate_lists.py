"""What accelerators take, from their published lists: data. `formats.delegates` holds files against it.

Where a list names a condition that a file fulfils or not, the rule names it as a check; conditions that no TFLite converter breaks
(one output, positive strides, a fused activation that is a rectifier) are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FLOAT = frozenset({"float32"})
QUANTIZED = frozenset({"int8", "uint8"})
EITHER = FLOAT | QUANTIZED
NUMBERS = EITHER | {"int32"}


@dataclass(frozen=True)
class Rule:
    """When a delegate takes an operation.

    Attributes:
        dtypes: of what it computes with, constants apart.
        version: the newest version of the operation, None where the list does not ask.
        checks: conditions, as `formats.delegate_checks` names them.
    """

    dtypes: frozenset[str]
    version: int | None = None
    checks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DelegateList:
    """One accelerator.

    Attributes:
        source: where its list is published.
        certainty: how far the list is to be trusted.
        rules: operation -> when it is taken; one that is not there is never taken.
        dynamic: whether it takes float operations with int8 weights.
    """

    name: str
    source: str
    certainty: str
    rules: Mapping[str, Rule]
    dynamic: bool = True


def _rules(dtypes: frozenset[str], names: str, version: int | None = None, *checks: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), Rule(dtypes, version, checks))


# github.com/google-ai-edge/LiteRT, tflite/tools/versioning/gpu_compatibility.cc of commit 007226f (2025), which the delegate itself
# asks; 8-bit tensors as ai.google.dev/edge/litert/performance/gpu (July 2025) says that it takes them by default.
_ON_GPU = EITHER | {"float16"}
_GPU_RULES = {
    **_rules(
        _ON_GPU,
        "ABS ADD ADD_N ATAN2 AVERAGE_POOL_2D BATCH_MATMUL CEIL CONCATENATION CONV_2D COS CUMSUM DENSIFY DEPTHWISE_CONV_2D DEPTH_TO_SPACE "
        "DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GELU GREATER GREATER_EQUAL HARD_SWISH "
        "LEAKY_RELU LESS LESS_EQUAL LOG LOGISTIC LSTM MAXIMUM MAX_POOL_2D MINIMUM MUL NEG NOT_EQUAL PACK POW PRELU QUANTIZE RELU RELU6 "
        "RELU_N1_TO_1 ROUND RSQRT SIGN SIN SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SUB TANH TRANSPOSE_CONV",
    ),
    **_rules(
        _ON_GPU,
        "MEAN REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM REVERSE_V2 RESHAPE TRANSPOSE TILE TOPK_V2 RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR",
        None,
        "constant shapes, axes and sizes",
    ),
    **_rules(_ON_GPU, "PAD PADV2", None, "constant shapes, axes and sizes", "paddings of 3 or 4 axes"),
    **_rules(_ON_GPU, "MIRROR_PAD", None, "constant shapes, axes and sizes", "paddings of 3 or 4 axes", "reflected edges"),
    **_rules(_ON_GPU, "SLICE", None, "3 or 4 axes"),
    **_rules(_ON_GPU, "STRIDED_SLICE", None, "3 or 4 axes", "no axis added or dropped"),
    **_rules(_ON_GPU, "GATHER", None, "indices of int32 along one axis"),
    **_rules(_ON_GPU | {"bool", "int32"}, "CAST"),
    **_rules(_ON_GPU | {"bool"}, "LOGICAL_AND LOGICAL_NOT LOGICAL_OR REDUCE_ALL REDUCE_ANY SELECT SELECT_V2"),
    **_rules(frozenset({"int32"}), "ONE_HOT"),
}

# github.com/google-ai-edge/LiteRT, tflite/delegates/nnapi/nnapi_delegate.cc of commit 5c8a6d4 (2025), `NNAPIDelegateKernel::Validate` at
# Android API level 30 (NNAPI 1.3).
_NNAPI_RULES = {
    **_rules(EITHER, "AVERAGE_POOL_2D MAX_POOL_2D RELU RELU_N1_TO_1 RELU6 LOGISTIC STRIDED_SLICE TANH", 2),
    **_rules(NUMBERS, "ADD MUL SQUARED_DIFFERENCE", 2, "at most 4 axes"),
    **_rules(NUMBERS, "SUB", 3, "at most 4 axes"),
    **_rules(FLOAT, "DIV", 1, "at most 4 axes"),
    **_rules(NUMBERS, "ARG_MAX ARG_MIN SELECT SLICE TOPK_V2 GATHER", 2),
    **_rules(FLOAT, "L2_POOL_2D ABS EXP LOG POW COS SIN SQRT LOG_SOFTMAX REDUCE_PROD SUM ELU", 1),
    **_rules(FLOAT, "RSQRT", 2),
    **_rules(EITHER, "CONV_2D", 5, "a bias"),
    **_rules(EITHER, "DEPTHWISE_CONV_2D", 3),
    **_rules(EITHER, "FULLY_CONNECTED", 5),
    **_rules(EITHER, "TRANSPOSE_CONV", 4, "constant weights"),
    **_rules(EITHER, "HARD_SWISH DEPTH_TO_SPACE"),
    **_rules(EITHER, "SOFTMAX CONCATENATION", 2, "at most 4 axes"),
    **_rules(EITHER, "RESHAPE", 1, "at most 4 axes", "constant shapes, axes and sizes"),
    **_rules(EITHER, "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR", 3, "constant shapes, axes and sizes"),
    **_rules(EITHER, "PAD PADV2 SPACE_TO_DEPTH REDUCE_MAX REDUCE_MIN", 2),
    **_rules(NUMBERS, "SQUEEZE TILE EXPAND_DIMS CAST", 1),
    **_rules(EITHER, "L2_NORMALIZATION SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND", 2),
    **_rules(EITHER, "LOCAL_RESPONSE_NORMALIZATION FLOOR LEAKY_RELU PRELU", 1),
    **_rules(QUANTIZED, "DEQUANTIZE", 2),
    **_rules(EITHER, "QUANTIZE", 2),
    **_rules(NUMBERS, "TRANSPOSE", 2, "constant shapes, axes and sizes"),
    **_rules(EITHER, "MEAN", 2, "at most 4 axes"),
    **_rules(NUMBERS, "MAXIMUM MINIMUM SPLIT", 3),
    **_rules(NUMBERS, "SPLIT_V", 2),
    **_rules(frozenset({"bool"}), "LOGICAL_AND LOGICAL_NOT LOGICAL_OR", 1),
    **_rules(NUMBERS | {"bool"}, "EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL NOT_EQUAL", 2),
    **_rules(FLOAT | {"int32"}, "NEG", 2),
    **_rules(frozenset({"bool"}), "REDUCE_ANY", 2),
    **_rules(FLOAT | {"int8"}, "PACK", 2),
    **_rules(EITHER, "UNPACK", 2, "at most 4 axes"),
    **_rules(FLOAT, "LSTM", 3),
}

# github.com/google-ai-edge/LiteRT, tflite/delegates/xnnpack/README.md of commit 3a653aa (2025), "Limitations and supported operators".
_XNNPACK_RULES = {
    **_rules(
        FLOAT,
        "ABS CEIL DIV FLOOR HARD_SWISH MAXIMUM MINIMUM NEG PRELU RELU RELU6 RELU_N1_TO_1 ROUND SOFTMAX SQRT SQUARE SQUARED_DIFFERENCE "
        "AVERAGE_POOL_2D",
    ),
    **_rules(EITHER, "ADD DEPTH_TO_SPACE ELU LEAKY_RELU LOGISTIC MAX_POOL_2D MUL QUANTIZE SPACE_TO_DEPTH SUB TANH"),
    **_rules(EITHER, "CONV_2D DEPTHWISE_CONV_2D", None, "a bias", "constant weights"),
    **_rules(EITHER, "FULLY_CONNECTED TRANSPOSE_CONV", None, "constant weights"),
    **_rules(QUANTIZED, "DEQUANTIZE"),
    **_rules(EITHER, "CONCATENATION", None, "2 to 4 inputs"),
    **_rules(EITHER, "SPLIT", None, "2 to 4 outputs"),
    **_rules(EITHER, "MEAN", None, "the mean over height and width"),
    **_rules(EITHER, "PAD RESHAPE SLICE TRANSPOSE", None, "constant shapes, axes and sizes"),
    **_rules(EITHER, "RESIZE_BILINEAR", None, "4 axes", "constant shapes, axes and sizes"),
    **_rules(FLOAT, "STRIDED_SLICE", None, "constant shapes, axes and sizes", "steps of 1", "no axis added or dropped"),
}

TFLITE_DELEGATES = (
    DelegateList(
        "GPU delegate",
        "LiteRT, tflite/tools/versioning/gpu_compatibility.cc, 2025",
        "the list that the delegate itself asks; a phone's driver may still refuse",
        _GPU_RULES,
    ),
    DelegateList(
        "NNAPI",
        "LiteRT, tflite/delegates/nnapi/nnapi_delegate.cc, 2025, Android 11",
        "what LiteRT hands over; a phone's driver may take less, and Android 15 deprecated NNAPI",
        _NNAPI_RULES,
    ),
    DelegateList(
        "XNNPACK",
        "LiteRT, tflite/delegates/xnnpack/README.md, 2025",
        "at least that: LiteRT's own takes more, `edgecls bench` asks it",
        _XNNPACK_RULES,
        dynamic=False,
    ),
)

# Core ML's Neural Engine. Apple publishes no list. That float32 runs on CPU and GPU alone is in its guide
# (apple.github.io/coremltools/docs-guides/source/typed-execution-example.html, 2025); the operations are those that others found not to
# run there (github.com/hollance/neural-engine, docs/unsupported-layers.md of commit 06a7632, 2023).
NEURAL_ENGINE_SOURCE = "coremltools' guide to typed execution, 2025; hollance/neural-engine, docs/unsupported-layers.md, 2023"
NEURAL_ENGINE_CERTAINTY = (
    "Apple publishes no list: float32 is its own word, the operations were observed by others; "
    "Xcode's performance report tells for a device"
)
NEURAL_ENGINE_FLOAT32 = "computes in float32, which runs on CPU and GPU alone"
NEURAL_ENGINE_DILATED = "dilated convolutions were seen not to run there"
NEURAL_ENGINE_LEFT = {
    **dict.fromkeys(("gru", "lstm", "rnn"), "recurrent layers were seen not to run there"),
    **dict.fromkeys(("gather", "gather_along_axis", "gather_nd"), "gathering was seen not to run there"),
    "custom_layer": "there is no public way to give it code of one's own",
}
