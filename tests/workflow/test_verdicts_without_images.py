"""Weight-only files of a photo classifier, converted without any image: a sound one is not rejected, a damaged one is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecls.formats.tflite.graph import CHANNEL_AXIS, KERNEL, TFLiteGraph
from edgecls.records.artifact import Artifact
from edgecls.workflow import ConvertOptions, convert


def dynamic_row(zoo: Path, tmp_path: Path) -> Artifact:
    model = zoo / "imagenet_mobilenet_v1_025" / "mobilenet_v1_0.25_224.h5"
    options = ConvertOptions(model=model, targets=("tflite",), schemes="dynamic", preprocess="-1..1", output=tmp_path / "out")
    (row,) = convert(options).artifacts
    return row


def with_shuffled_channels(model: bytes, layer: int) -> bytes:
    """The same float model, the output channels of one of its kernels in another order."""
    graph = TFLiteGraph(model)
    operation = [operation for operation in graph.operations if operation.kind in CHANNEL_AXIS][layer]
    kernel, axis = graph.floats(operation.operand(KERNEL)), CHANNEL_AXIS[operation.kind]
    assert kernel is not None
    order = np.random.default_rng(0).permutation(kernel.shape[axis])
    graph.replace_constant(operation, KERNEL, np.take(kernel, order, axis))
    return graph.pack()


def test_a_sound_weight_only_file_is_not_rejected(zoo: Path, tmp_path: Path):
    """On photos it keeps 9 dB; on synthetic images without their spectra it was rejected."""
    row = dynamic_row(zoo, tmp_path)
    assert row.status == "ok", row.reason
    assert row.parity is not None and row.parity.inputs == "synthetic"
    assert row.parity.verdict in ("passed", "not judged")


def test_a_damaged_one_is_rejected(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from edgecls.converters.tflite import convert as tflite

    real = tflite.float_tflite
    monkeypatch.setattr(tflite, "float_tflite", lambda graph: with_shuffled_channels(real(graph), 9))
    row = dynamic_row(zoo, tmp_path)
    assert row.status == "rejected"
