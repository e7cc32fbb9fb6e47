"""Probabilities: what scores say of each class, whatever a model ends in."""

from __future__ import annotations

import numpy as np

from edgecls.records.artifact import OutputKind


def probabilities(scores: np.ndarray, kind: OutputKind) -> np.ndarray:
    """Scores [N, outputs] as probabilities of every class, float64 [N, classes]: two of one output, logits by softmax or sigmoid."""
    values = scores.astype(np.float64)
    if scores.shape[1] == 1:
        upper = np.exp(-np.logaddexp(0, -values)) if kind == "logits" else values
        return np.concatenate([1 - upper, upper], axis=1)
    if kind != "logits":
        return values
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
