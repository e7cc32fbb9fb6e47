"""int8 files of the same codes beside one another: what rounding explains, and what is wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest

from edgecls.evaluation.parity import compare
from edgecls.evaluation.siblings import agreement, judge_siblings
from edgecls.records.artifact import OutputKind

IMAGES, CLASSES, STEP = 256, 10, 0.02


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


ENDS = {"logits": np.asarray, "softmax": softmax, "sigmoid": sigmoid}


@pytest.fixture
def codes() -> np.ndarray:
    """int8 codes of logits that use all of their range, most of them undecided between two classes."""
    found = np.random.default_rng(0).integers(-128, 127, (IMAGES, CLASSES))
    found[0, :2] = -128, 127
    best = found.max(axis=1)
    found[np.arange(IMAGES), found.argmin(axis=1)] = best - np.random.default_rng(1).integers(0, 3, IMAGES)
    found[0, :2] = -128, 127
    return found


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("seed", range(5))
def test_codes_that_are_one_off_are_never_told_apart(codes: np.ndarray, kind: OutputKind, seed: int) -> None:
    off = codes + np.random.default_rng(seed).integers(-1, 2, codes.shape)
    one, other = (ENDS[kind](values * STEP) for values in (codes, off))
    assert (one.argmax(axis=1) != other.argmax(axis=1)).mean() > 0.1  # winners do change, and rightly
    assert agreement(one, other, kind) == 1.0
    if kind != "softmax":
        assert agreement(one[:, :1], other[:, :1], kind) == 1.0


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize(("wrong", "rejected"), [(2, False), (3, True)])  # 2 of 256 are 0.8 %, 3 are 1.2 %
def test_less_than_99_percent_is_a_failed_verdict(codes: np.ndarray, kind: OutputKind, wrong: int, rejected: bool) -> None:
    logits = codes * STEP
    broken = logits.copy()
    broken[5 : 5 + wrong] = np.roll(broken[5 : 5 + wrong], 1, axis=1)  # another class wins by as much
    broken[5 : 5 + wrong, 0] += 1.0
    logits[5 : 5 + wrong] += np.eye(CLASSES)[logits[5 : 5 + wrong].argmax(axis=1)] * 1.0
    one, other = ENDS[kind](logits), ENDS[kind](broken)
    found = judge_siblings(one, {"base-tflite-int8": one, "base-onnx-int8": other}, kind)
    assert list(found) == (["base-onnx-int8"] if rejected else [])


@pytest.mark.parametrize(("wrong", "rejected"), [(1, False), (2, True)])
def test_one_image_of_few_is_no_share(wrong: int, rejected: bool) -> None:
    scores = np.eye(CLASSES)[np.arange(32) % CLASSES] * 10.0
    other = scores.copy()
    other[:wrong] = np.roll(scores[:wrong], 1, axis=1)
    assert bool(judge_siblings(scores, {"base-tflite-int8": scores, "base-coreml-int8": other}, "logits")) == rejected


def test_what_is_further_from_the_source_is_rejected_and_the_pair_is_named() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(0, 4, (IMAGES, CLASSES))
    rounded = source + rng.normal(0, 0.2, source.shape)
    clipped = rounded + rng.normal(0, 1.5, source.shape)  # 8 dB: parity alone lets it pass
    parity = compare(source, clipped, "int8", "logits", "images")
    assert parity.verdict == "passed"
    named = {"base-tflite-int8": rounded, "base-onnx-int8": clipped, "base-coreml-int8": rounded + 0.01}
    for order in (sorted(named), sorted(named, reverse=True)):
        found = judge_siblings(source, {name: named[name] for name in order}, "logits")
        assert list(found) == ["base-onnx-int8"]
        assert re.match(r"same winner as base-(tflite|coreml)-int8, which holds the same codes, on ", found["base-onnx-int8"])
        assert f"of {IMAGES} inputs, needed 99%" in found["base-onnx-int8"]
        assert f"({parity.snr_db:.1f} dB, " in found["base-onnx-int8"]
    assert list(judge_siblings(source, {"base-tflite-int8": clipped, "base-onnx-int8": rounded}, "logits")) == [
        "base-tflite-int8"
    ]


def test_one_file_alone_has_nothing_to_be_held_against() -> None:
    scores = np.eye(3)
    assert judge_siblings(scores, {"base-tflite-int8": scores[::-1]}, "logits") == {}
    assert judge_siblings(scores, {}, "logits") == {}
