"""Where an inference's time goes: ONNX Runtime's own profiler, and what LiteRT tells, which is less."""

from __future__ import annotations

import collections
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, assert_never

import numpy as np

from edgecls.errors import ArtifactError
from edgecls.formats import describe, detect
from edgecls.records.counted import counted
from edgecls.records.image_spec import ImageSpec
from edgecls.records.profile import OperationTime, Profile
from edgecls.runners.delegation import delegated_nodes
from edgecls.runners.onnx import OnnxRunner
from edgecls.runners.tflite import TFLiteRunner
from edgecls.system.private_folder import temporary_folder

_WARMUP = 5
_MOST_NAMED = 3
# Operations that compute nothing of the model: they change how values are stored.
_CONVERSIONS = frozenset(
    ("QuantizeLinear", "DequantizeLinear", "Cast", "Transpose", "ReorderInput", "ReorderOutput", "QUANTIZE", "DEQUANTIZE", "CAST")
)
_INTEGERS = ("int8", "uint8", "int16", "int32")


def profile_operations(path: Path, *, spec: ImageSpec, threads: int, runs: int) -> Profile:
    """Profile an artifact.

    Args:
        runs: inferences; the median of each operation counts.

    Raises:
        ArtifactError: a Core ML package, whose engine tells nothing of single operations; or it cannot be opened.
    """
    target = detect(path)
    match target:
        case "onnx":
            return _profile_onnx(path, spec, threads, runs)
        case "tflite":
            return _profile_tflite(path, spec, threads, runs)
        case "coreml" | "saved_model":
            remedy = "profile Core ML packages with Xcode, SavedModels with TensorBoard"
            raise ArtifactError("a .tflite or .onnx to profile", f"{path.name}", remedy)
        case _:
            assert_never(target)


def _profile_onnx(path: Path, spec: ImageSpec, threads: int, runs: int) -> Profile:
    with temporary_folder() as folder:
        runner = OnnxRunner(path, spec, None, threads, profile_prefix=str(folder / "onnxruntime"))
        for _ in range(_WARMUP + runs):
            runner.invoke()
        events = json.loads(Path(runner.end_profiling()).read_text(encoding="utf-8"))
    return onnx_profile(events, _WARMUP, _is_quantized(path))


def onnx_profile(events: Iterable[dict[str, Any]], skipped: int, quantized: bool) -> Profile:
    """Medians of onnxruntime's events, node by node.

    Args:
        events: of its profile file: `dur` in microseconds, `args` with `op_name`, `node_index` and `input_type_shape`.
        skipped: first runs to leave out.
        quantized: whether the file was meant to compute in integers.
    """
    nodes: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            nodes[event["args"]["node_index"]].append(event)
    times = {index: float(np.median([event["dur"] for event in found[skipped:]])) / 1000 for index, found in nodes.items()}
    total = sum(times.values()) or 1.0
    operations = [
        OperationTime(
            operation=found[0]["args"]["op_name"],
            name=found[0]["name"].removesuffix("_kernel_time"),
            ms=times[index],
            share=times[index] / total,
            dtype=_first_type(found[0]["args"]),
        )
        for index, found in nodes.items()
    ]
    operations.sort(key=lambda operation: -operation.ms)
    runs = max((len(found) for found in nodes.values()), default=skipped) - skipped
    converting = [operation for operation in operations if operation.operation in _CONVERSIONS]
    in_float = [found for found in operations if found.operation not in _CONVERSIONS and found.dtype not in _INTEGERS]
    float_share, converting_share = (sum(found.share for found in group) for group in (in_float, converting))
    words = [_most(operations)]
    if quantized:
        words.append(f"{float_share:.0%} of the time computes in float{_named(in_float)}")
        words.append(f"{converting_share:.0%} of the time converts between dtypes and layouts{_named(converting)}")
    return Profile(
        runs=runs,
        total_ms=sum(times.values()),
        operations=operations,
        float_share=float_share,
        unaccelerated_share=converting_share + (float_share if quantized else 0.0),
        words=words,
    )


def _profile_tflite(path: Path, spec: ImageSpec, threads: int, runs: int) -> Profile:
    """LiteRT's Python package times no single operation: what stays outside the delegate is known, and what the delegate is worth."""
    runner = TFLiteRunner(path, spec, None, threads)
    nodes = runner.nodes()
    plain = TFLiteRunner(path, spec, None, threads, delegates=False)
    with_delegate, without = _median_ms(runner.invoke, runs), _median_ms(plain.invoke, runs)
    words = ["LiteRT's Python package times no single operation"]
    return Profile(
        runs=runs,
        total_ms=with_delegate,
        operations=[],
        words=[*words, *delegation_words(nodes, _is_quantized(path), without / with_delegate)],
    )


def delegation_words(nodes: Sequence[dict[str, Any]], quantized: bool, gain: float) -> list[str]:
    """What follows from which nodes (of `Interpreter._get_ops_details()`) the delegate runs.

    Args:
        gain: how many times faster the delegate makes an inference.
    """
    own = [node for node in nodes if node["op_name"] != "DELEGATE"]
    taken = delegated_nodes(list(nodes))
    outside = collections.Counter(node["op_name"] for node in own if node["index"] not in taken)
    parts = sum(node["op_name"] == "DELEGATE" for node in nodes)
    words = [f"XNNPACK runs {len(taken)} of {len(own)} operations and makes an inference {gain:.1f} times as fast as without it"]
    if outside and taken:
        split = f", which splits its part in {parts}" if parts > 1 else ""
        words.append(f"outside XNNPACK: {_counted(outside)}{split}")
    if quantized:
        in_float = collections.Counter(
            node["op_name"] for node in own if node["op_name"] not in _CONVERSIONS and _computes_in_float(node)
        )
        converting = collections.Counter(node["op_name"] for node in own if node["op_name"] in _CONVERSIONS)
        words.append(f"computes in float: {_counted(in_float) or 'nothing'}; converts: {_counted(converting) or 'nothing'}")
    return words


def _computes_in_float(node: dict[str, Any]) -> bool:
    return bool(node["operand_types"]) and node["operand_types"][0] in (np.float32, np.float16)


def _is_quantized(path: Path) -> bool:
    return any(dtype in ("int8", "uint8", "int16") for dtype in describe(path).actual.activation_dtypes)


def _median_ms(invoke: Callable[[], object], runs: int) -> float:
    samples = []
    for _ in range(_WARMUP + runs):
        start = time.perf_counter_ns()
        invoke()
        samples.append(time.perf_counter_ns() - start)
    return float(np.median(samples[_WARMUP:])) / 1e6


def _first_type(arguments: dict[str, Any]) -> str:
    """dtype of a node's first input: `float32`, `uint8` …"""
    types = arguments.get("input_type_shape") or [{}]
    name = next(iter(types[0]), "")
    return {"float": "float32"}.get(name, name)


def _most(operations: Sequence[OperationTime]) -> str:
    shares: dict[str, float] = collections.defaultdict(float)
    for found in operations:
        shares[found.operation] += found.share
    slowest = sorted(shares.items(), key=lambda entry: -entry[1])[:_MOST_NAMED]
    return f"most of the time: {', '.join(f'{name} {share:.0%}' for name, share in slowest)}"


def _named(operations: Sequence[OperationTime]) -> str:
    counts = collections.Counter(found.operation for found in operations)
    return f" ({_counted(counts)})" if counts else ""


def _counted(counts: collections.Counter[str]) -> str:
    named = [f"{count} {name}" for name, count in counts.most_common(_MOST_NAMED)]
    left = sum(counts.values()) - sum(count for _, count in counts.most_common(_MOST_NAMED))
    return ", ".join([*named, *([counted(left, "other")] if left else [])])
