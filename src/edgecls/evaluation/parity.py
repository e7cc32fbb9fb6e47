"""Parity: does an artifact compute what its source model computes?

Tolerances, and where they come from. `relative` is the largest absolute difference of any score over the largest absolute score.

float32   relative <= 1e-4. One float32 rounding is 6e-8; folding BatchNorm and another summation order change each layer's sums of
          up to ~10^4 products by some tens of roundings, and tens of layers pass that on: 1e-5 is usual, 1e-4 leaves room.
float16   relative <= 5e-3. One float16 rounding is 4.9e-4 (10 bits of mantissa); a handful of such errors that do not average out
          reach 5e-3. Some networks amplify rounding beyond that: thin depthwise layers after folded BatchNorms, and a softmax on
          logits of 20 (sound files of that kind were seen at 28 to 45 dB, 68 dB being what 11 bits give one tensor). Such a file
          passes if the error is below 1/300 of the scores' energy (25 dB) and every image keeps its winner whose margin is above
          8 root mean square errors of the two best scores (a margin is a difference of two scores, so this is four standard
          deviations); the reason says that and by how much the first limit was missed. A sparse file holds the same values and is
          judged alike.
quantized SNR >= 3 dB and agreement >= 50 % on decided images. int8 codes bound each tensor's error, not the network's, so there is no
          arithmetic limit that every sound network keeps (a thin one on images unlike its own keeps 9 dB and 70 %); the limits tell
          a lossy artifact from a wrong one. Scores that have nothing to do with the source's carry at least as much error as
          signal: 0 dB or less, and agree as often as chance. An image is decided when the source's margin between its two best
          classes exceeds twice the artifact's root mean square error in those two: below that a flip is what rounding does.
all       agreement >= 50 % on all images, decided or not, whatever the rest says: what answers otherwise more often than not is no copy
          of the source, be its scores ever so close. Where the source's best classes lie within float32 rounding (1e-6 of the largest
          score) of one another, each of them is its winner.
synthetic A quantized artifact that falls short of these limits on synthetic images alone is `not judged`, as long as its scores hold more
          signal than error (0 dB) and go with the source's: closer to those of the same image than in 999 of 999 random pairings of
          images, so that scores which have nothing to do with the source's get there once in a thousand. How often a sound artifact
          keeps the winner depends on how sure the source is, and on synthetic images it is not. What fails that too is rejected.

Where each score answers for a class of its own (several sigmoids), an image's answer is the set of classes predicted, not the winner: it
agrees when the whole set is the source's, and is decided in those classes whose score is further from the threshold than that. What has
to be right on half of all images is a share there, of the classes that either predicts those that both do: of a hundred classes one or
the other lies at its threshold in most images.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgecls.data.multi_hot import answer_apart, decision_of, threshold_of
from edgecls.records.artifact import OutputKind, Parity, Scheme, Verdict
from edgecls.records.multilabel import THRESHOLD

RELATIVE_TOLERANCE: dict[Scheme, float] = {"float32": 1e-4, "float16": 5e-3, "sparse": 5e-3}
MIN_FLOAT16_SNR_DB = 25.0
MIN_SNR_DB = 3.0
MIN_AGREEMENT = 0.5
UNRELATED_SNR_DB = 0.0
_PAIRINGS = 999
_TIE = 1e-6


def decide(scores: np.ndarray, output_kind: OutputKind) -> np.ndarray:
    """What each row of scores [N, outputs] decides, int64 [N, decisions]: the winner, or yes or no of each class that answers for itself.

    A single output decides between classes 0 and 1.
    """
    if answer_apart(output_kind, scores.shape[1]):
        return (scores >= THRESHOLD).astype(np.int64)
    if scores.shape[1] == 1:
        return (scores > threshold_of(output_kind)).astype(np.int64)
    return scores.argmax(axis=1)[:, None]


def compare(
    reference: np.ndarray,
    scores: np.ndarray,
    scheme: Scheme,
    output_kind: OutputKind,
    inputs: Literal["images", "synthetic"],
) -> Parity:
    """Judge an artifact's scores against the source model's on the same inputs.

    Args:
        reference, scores: [N, outputs], float32.
        scheme: decides which tolerance applies.
    """
    measured = {"samples": len(reference), "inputs": inputs}
    if scores.shape != reference.shape:
        reason = f"scores have the shape {list(scores.shape)}, expected {list(reference.shape)}"
        return Parity(**measured, verdict="failed", reason=reason)
    if not np.isfinite(scores).all():
        return Parity(**measured, verdict="failed", reason="scores are not finite")
    reference, scores = reference.astype(np.float64), scores.astype(np.float64)
    error = scores - reference
    kept = _kept(reference, scores, output_kind)
    agree = np.asarray(kept.all(axis=1))
    measured |= {
        "max_abs_diff": float(np.abs(error).max()),
        "max_abs_score": float(np.abs(reference).max()),
        "top1_agreement": float(agree.mean()),
        "snr_db": snr_db(reference, error),
    }
    excuse = ""
    if scheme not in RELATIVE_TOLERANCE:
        reason = _quantized_reason(reference, error, kept, output_kind)
    else:
        reason = _float_reason(error, reference, scheme)
        if reason and scheme != "float32" and _is_amplified_rounding(reference, error, kept, output_kind):
            reason, excuse = "", f"the network amplifies float16 rounding: {reason}"
    if not reason:
        reason = _shared_reason(reference, scores, agree, output_kind)
    verdict: Verdict = "failed" if reason else "passed"
    if reason and inputs == "synthetic" and scheme not in RELATIVE_TOLERANCE and _are_related(reference, scores):
        verdict, reason = "not judged", f"{reason}, but synthetic images tell too little; verify with --data PATH"
    return Parity(**measured, verdict=verdict, reason=reason or excuse)


def _are_related(reference: np.ndarray, scores: np.ndarray) -> bool:
    """Whether scores [N, outputs] hold more signal than error and go with the source's image by image."""
    found = snr_db(reference, scores - reference)
    if found is None or found < UNRELATED_SNR_DB:
        return False
    products = (reference - reference.mean(axis=0)) @ (scores - scores.mean(axis=0)).T
    images, generator = np.arange(len(products)), np.random.default_rng(0)
    return all(np.trace(products) > products[images, generator.permutation(images)].sum() for _ in range(_PAIRINGS))


def _kept(reference: np.ndarray, scores: np.ndarray, kind: OutputKind) -> np.ndarray:
    """bool [N, decisions]: whether a decision is the source's, or one it might as well have made."""
    decided, rounding = decide(scores, kind), _TIE * np.abs(reference).max()
    if reference.shape[1] == 1 or answer_apart(kind, reference.shape[1]):
        return (decided == decide(reference, kind)) | (margins(reference, kind) <= rounding)
    return np.take_along_axis(reference, decided, axis=1) >= reference.max(axis=1, keepdims=True) - rounding


def _shared_reason(reference: np.ndarray, scores: np.ndarray, agree: np.ndarray, kind: OutputKind) -> str:
    shared, what = float(agree.mean()), "same winner as the source model on"
    if answer_apart(kind, reference.shape[1]):
        shared, what = (
            shared_classes(decide(reference, kind) == 1, decide(scores, kind) == 1),
            "classes shared with the source model in",
        )
    return "" if shared >= MIN_AGREEMENT else f"{what} {shared:.0%} of {len(agree)} inputs, needed {MIN_AGREEMENT:.0%}"


def shared_classes(one: np.ndarray, other: np.ndarray) -> float:
    """Mean over the images of the share of the classes predicted by either that both predict; 1 where neither predicts any. bool [N, C]."""
    either = (one | other).sum(axis=1)
    return float(np.where(either, (one & other).sum(axis=1) / np.maximum(either, 1), 1.0).mean())


def _float_reason(error: np.ndarray, reference: np.ndarray, scheme: Scheme) -> str:
    relative = np.abs(error).max() / max(np.abs(reference).max(), np.finfo(np.float64).tiny)
    limit = RELATIVE_TOLERANCE[scheme]
    return "" if relative <= limit else f"largest difference is {relative:.3g} of the largest score, allowed {limit:g}"


def _is_amplified_rounding(reference: np.ndarray, error: np.ndarray, kept: np.ndarray, kind: OutputKind) -> bool:
    found = snr_db(reference, error)
    return found is not None and found >= MIN_FLOAT16_SNR_DB and bool(kept[_decided(reference, error, kind, 8)].all())


def _decided(reference: np.ndarray, error: np.ndarray, kind: OutputKind, factor: float) -> np.ndarray:
    """bool [N, decisions]: whether a decision's margin is above so many root mean square errors of the scores that make it.

    Between classes these are each image's two best: of a thousand probabilities nearly all are nearly zero, and so are their errors.
    """
    if reference.shape[1] > 1 and not answer_apart(kind, reference.shape[1]):
        error = np.take_along_axis(error, np.argsort(reference, axis=1)[:, -2:], axis=1)
    return margins(reference, kind) > factor * np.sqrt(np.mean(error**2))


def _quantized_reason(reference: np.ndarray, error: np.ndarray, kept: np.ndarray, kind: OutputKind) -> str:
    found = snr_db(reference, error)
    if found is not None and found < MIN_SNR_DB:
        return f"signal-to-noise ratio of the scores is {found:.1f} dB, needed {MIN_SNR_DB:g}"
    decided = _decided(reference, error, kind, 2)
    images = decided.any(axis=1)
    agree = np.asarray((kept | ~decided).all(axis=1))[images]
    if images.any() and agree.mean() < MIN_AGREEMENT:
        what = decision_of(kind, reference.shape[1])
        return f"same {what} on {agree.mean():.0%} of {images.sum()} decided images, needed {MIN_AGREEMENT:.0%}"
    return ""


def margins(scores: np.ndarray, kind: OutputKind) -> np.ndarray:
    """How far each decision of scores [N, outputs] is from another one, float [N, decisions]: to the second best, or to the threshold."""
    if scores.shape[1] == 1 or answer_apart(kind, scores.shape[1]):
        return np.abs(scores - threshold_of(kind))
    best = np.partition(scores, -2, axis=1)
    return best[:, -1:] - best[:, -2:-1]


def snr_db(reference: np.ndarray, error: np.ndarray) -> float | None:
    """Signal-to-noise ratio in decibels; None where there is no error at all, or no signal."""
    noise, signal = float(np.sum(error**2)), float(np.sum(reference**2))
    return 10 * float(np.log10(signal / noise)) if noise and signal else None
