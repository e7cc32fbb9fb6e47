"""Attention."""

from __future__ import annotations

import math

from edgecls.coreml_reference.call import Call, Entry, entry


def _attention(call: Call) -> str:
    """softmax(query @ key.T / sqrt(width) + mask) @ value; a mask of truth values takes out what is false."""
    if call.has("attn_mask") and call.dtype("attn_mask") == "bool":
        raise call.unsupported("with a mask of truth values")
    rank, width = call.rank("query"), call.shape("query")[-1]
    key = call.graph.node("Transpose", call.tensor("key"), perm=[*range(rank - 2), rank - 1, rank - 2])
    query = call.graph.node("Mul", call.tensor("query"), call.scalar(1 / math.sqrt(width), "query"))
    scores = call.graph.node("MatMul", query, key)
    if call.has("attn_mask"):
        scores = call.graph.node("Add", scores, call.tensor("attn_mask"))
    return call.graph.node("MatMul", call.graph.node("Softmax", scores, axis=-1), call.tensor("value"))


def _keeps_images(call: Call) -> bool:
    return call.per_image() == ["query", "key", "value"] and call.rank("query") > 2 and not call.has("attn_mask")


ENTRIES: dict[str, Entry] = {
    "scaled_dot_product_attention": entry(_attention, "query key value attn_mask", _keeps_images),
}
