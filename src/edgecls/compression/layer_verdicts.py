"""What pruning, clustering and quantization can do with each layer of a flat model: their rules applied, nothing trained."""

from __future__ import annotations

from typing import Any

from edgecls.compression.kernels import layer_kernels
from edgecls.compression.normalise import normalise
from edgecls.compression.quantization_plan import Plan, plan_quantization
from edgecls.records.preflight import YES, LayerPreflight
from edgecls.training.flat_graph import FlatGraph, Node

_INERT = "nothing at inference"


def layer_verdicts(model: Any) -> list[LayerPreflight]:
    """Say of every layer of a flat tf_keras model what can be done with it."""
    normalised = normalise(model)
    plan = plan_quantization(normalised.model)
    verdicts: dict[str, str] = {}
    for kernel in layer_kernels(model):
        verdicts[kernel.layer.partition("/")[0]] = (
            kernel.note or YES
        )  # of a separable convolution, the pointwise one's comes last
    return [_row(node, verdicts.get(node.layer.name, ""), normalised.actions, plan) for node in FlatGraph(model).nodes]


def _row(node: Node, verdict: str, actions: dict[str, str], plan: Plan) -> LayerPreflight:
    quantized, float_reason = _quantized(node, actions, plan)
    return LayerPreflight(
        layer=node.name,
        kind=node.kind,
        weights=sum(int(weight.shape.num_elements()) for weight in node.layer.weights),
        prunable=verdict,
        clusterable=verdict,
        quantized=quantized,
        float_reason=float_reason,
    )


def _quantized(node: Node, actions: dict[str, str], plan: Plan) -> tuple[str, str]:
    """What quantization-aware training makes of a layer in words, and why it stays float; empty where it does not."""
    name = node.name
    if actions.get(name):
        return actions[name], ""
    if node.is_inert:
        return _INERT, ""
    if name in plan.stays_float:
        reason = plan.stays_float[name]
        return f"float: {reason}", reason
    if name in plan.unrounded:
        return f"int8: {plan.unrounded[name]}", ""
    return "int8, with its input's scale" if name in plan.aliases else "int8", ""
