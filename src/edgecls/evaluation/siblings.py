"""Siblings: the int8 files of one variant hold the same codes, so they have to answer alike, whatever the source model says.

Parity's limits for int8 are loose, since rounding may cost a network much. They let pass what an engine computes wrongly from sound
codes. Siblings lose the same by rounding, so that they can be held against one another closely:

agreement >= 99 % of the images, or all but one of less than a hundred: one image tells nothing of a share, and rounding deep inside a
          network may move a single one far. A flip does not count where neither file is sure: in both the best two scores lie within
          two steps of int8. Engines round codes that fall half-way between two up or down, and Core ML's border is float16, so that
          each of two scores may be one step off; a product that was clipped moves scores by many. The step is that of an int8 tensor
          which spans the scores, a 255th of their range: no int8 file has a finer one. Where the last step to probabilities stays
          float, the codes are of what it takes, so an image is also undecided where two steps of those logits decide it.

Where two part, the one closer to the source model by the signal-to-noise ratio of its scores is kept and the other rejected: the
codes are the same, so what is further away was computed wrongly. The closest of all is always kept, and each other has to agree
with those that are kept before it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgecls.data.multi_hot import decision_of
from edgecls.evaluation.parity import decide, margins, snr_db
from edgecls.records.artifact import OutputKind

MIN_AGREEMENT = 0.99
_STEPS = 2.5  # codes are whole: this tells two from three
_CODES = 255.0


def judge_siblings(reference: np.ndarray, scores: Mapping[str, np.ndarray], kind: OutputKind) -> dict[str, str]:
    """Which of the int8 files of a variant are wrong.

    Args:
        reference: the source model's scores [N, outputs].
        scores: name of an artifact -> its own on the same inputs.

    Returns:
        Name -> why it is rejected, with the name of the sibling it parts from.
    """
    what = decision_of(kind, reference.shape[1])
    closeness = {name: _closeness(reference, found) for name, found in scores.items()}
    kept: list[str] = []
    reasons: dict[str, str] = {}
    for name in sorted(scores, key=lambda name: -closeness[name]):
        shares = {other: agreement(scores[other], scores[name], kind) for other in scores if other in kept}
        worst = min(shares, key=lambda other: shares[other], default="")
        if not worst or shares[worst] >= min(MIN_AGREEMENT, 1 - 1 / len(reference)):
            kept.append(name)
            continue
        reasons[name] = (
            f"same {what} as {worst}, which holds the same codes, on {shares[worst]:.1%} of {len(reference)} inputs, needed "
            f"{MIN_AGREEMENT:.0%}; of the two it is further from the source model "
            f"({closeness[name]:.1f} dB, {closeness[worst]:.1f} dB)"
        )
    return reasons


def agreement(one: np.ndarray, other: np.ndarray, kind: OutputKind) -> float:
    """Share of images with the same winner or set of classes, those on which neither is sure included."""
    differs = decide(one, kind) != decide(other, kind)
    return 1.0 - float((differs & (_is_sure(one, kind) | _is_sure(other, kind))).any(axis=1).mean())


def _is_sure(scores: np.ndarray, kind: OutputKind) -> np.ndarray:
    """bool [N, decisions]: whether the decision is clear by more than rounding explains."""
    sure = margins(scores, kind) > _STEPS * np.ptp(scores) / _CODES
    if kind == "logits":
        return sure
    logits = _logits(scores.astype(np.float64), kind)
    if kind == "sigmoid":
        return sure & (np.abs(logits) > _STEPS * np.ptp(logits) / _CODES)
    return sure & (margins(logits, "logits") > _STEPS * np.ptp(logits, axis=1).max() / _CODES)


def _logits(probabilities: np.ndarray, kind: OutputKind) -> np.ndarray:
    """What a softmax (but for a shift of each row) or a sigmoid was computed from; 0 and 1 count as the nearest other value."""
    inner = probabilities[(probabilities > 0) & (probabilities < 1)]
    low, high = (inner.min(), inner.max()) if inner.size else (0.5, 0.5)
    clipped = np.clip(probabilities, low, high)
    return np.log(clipped) if kind == "softmax" else np.log(clipped) - np.log1p(-clipped)


def _closeness(reference: np.ndarray, scores: np.ndarray) -> float:
    """Signal-to-noise ratio in decibels; infinite where there is no error, minus infinity where there is no signal."""
    error = scores.astype(np.float64) - reference
    found = snr_db(reference.astype(np.float64), error)
    return found if found is not None else -np.inf if error.any() else np.inf
