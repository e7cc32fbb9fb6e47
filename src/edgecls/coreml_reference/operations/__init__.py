"""The operation table: what each MIL operation is in ONNX."""

from __future__ import annotations

from edgecls.coreml_reference.call import Entry
from edgecls.coreml_reference.operations import (
    activations,
    attention,
    convolution,
    cropping,
    elementwise,
    indexing,
    normalization,
    pooling,
    quantization,
    reduction,
    resizing,
    shaping,
)

OPERATIONS: dict[str, Entry] = {
    **elementwise.ENTRIES,
    **activations.ENTRIES,
    **convolution.ENTRIES,
    **attention.ENTRIES,
    **pooling.ENTRIES,
    **normalization.ENTRIES,
    **reduction.ENTRIES,
    **shaping.ENTRIES,
    **indexing.ENTRIES,
    **resizing.ENTRIES,
    **cropping.ENTRIES,
    **quantization.ENTRIES,
}
