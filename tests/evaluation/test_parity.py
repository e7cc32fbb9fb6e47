"""Parity verdicts: what passes, what is told apart as wrong."""

from __future__ import annotations

import numpy as np
import pytest

from edgecls.evaluation.parity import compare, decide


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 4, (64, 10)).astype(np.float32)


def test_equal_scores_pass_with_no_difference(logits):
    parity = compare(logits, logits, "float32", "logits", "synthetic")
    assert (parity.verdict, parity.max_abs_diff, parity.top1_agreement, parity.snr_db) == ("passed", 0.0, 1.0, None)


@pytest.mark.parametrize(("relative", "verdict"), [(0.9e-4, "passed"), (1.1e-4, "failed")])
def test_float32_is_held_to_1e_4_of_the_largest_output(logits, relative, verdict):
    scores = logits.copy()
    scores[3, 4] += np.abs(logits).max() * relative
    assert compare(logits, scores, "float32", "logits", "images").verdict == verdict


@pytest.mark.parametrize(("relative", "within"), [(4.9e-3, True), (5.5e-3, False)])
def test_float16_is_held_to_5e_3_of_the_largest_logit(logits, relative, within):
    scores = logits.copy()
    scores[3, 4] += np.abs(logits).max() * relative
    parity = compare(logits, scores, "float16", "logits", "images")
    assert ("allowed 0.005" not in parity.reason) == within
    scores += np.random.default_rng(1).normal(0, 0.5, logits.shape)  # 18 dB: more than any rounding
    assert compare(logits, scores, "float16", "logits", "images").verdict == "failed"


def test_float16_behind_a_softmax_may_differ_by_what_the_softmax_makes_of_the_rounding(logits):
    noise = np.random.default_rng(1).uniform(-1, 1, logits.shape) * 5e-3 * np.abs(logits).max() / 2
    parity = compare(softmax(logits), softmax(logits + noise), "float16", "softmax", "images")
    assert parity.verdict == "passed"
    assert compare(softmax(logits), softmax(logits * 0.7), "float16", "softmax", "images").verdict == "failed"


def test_float16_of_a_network_that_amplifies_rounding_passes_on_its_noise_and_says_so():
    """Two classes a little apart: the logits cancel, so that rounding is large beside their difference."""
    logits = np.random.default_rng(0).normal(0, 0.5, (64, 2)).astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 0.02, logits.shape)
    parity = compare(softmax(logits), softmax(logits + noise), "float16", "softmax", "images")
    assert parity.verdict == "passed"
    assert "amplifies" in parity.reason
    assert parity.snr_db is not None and parity.snr_db > 25
    assert compare(softmax(logits), softmax(logits + 20 * noise), "float16", "softmax", "images").verdict == "failed"


def test_a_quantized_artifact_with_noise_passes_and_a_wrong_one_does_not(logits):
    rng = np.random.default_rng(2)
    noisy = logits + rng.normal(0, 0.3, logits.shape)
    assert compare(logits, noisy, "int8", "logits", "images").verdict == "passed"
    for wrong in (rng.permutation(logits), np.zeros_like(logits), logits[:, ::-1], -logits):
        parity = compare(logits, np.ascontiguousarray(wrong), "int8", "logits", "images")
        assert parity.verdict == "failed", parity
        assert parity.reason


@pytest.mark.parametrize("scheme", ["float32", "float16", "int8", "palette4"])
def test_less_than_half_of_the_winners_never_passes_however_close_the_scores_are(scheme):
    """Every score is 1 but for rounding, so that no image is decided and the noise is 100 dB below the signal."""
    source = 1 + np.random.default_rng(0).normal(0, 1e-5, (64, 10))
    parity = compare(source, 2 - source, scheme, "logits", "images")
    assert parity.verdict == "failed"
    assert parity.snr_db is not None and parity.snr_db > 90
    assert parity.top1_agreement is not None and parity.top1_agreement < 0.5
    assert "same winner as the source model on 0% of 64 inputs, needed 50%" in parity.reason
    half = np.concatenate([source[:32], 2 - source[32:]])
    assert compare(source, half, scheme, "logits", "images").verdict == "passed"


class TestSyntheticImages:
    """What they cannot tell is not judged; what is wrong whatever the images is rejected all the same."""

    @pytest.fixture
    def hurt(self, logits: np.ndarray) -> np.ndarray:
        """Of 0.6 times the signal's deviation in all: 4.4 dB, so that a third of the winners is kept; scaled to 2.7 dB."""
        return logits + np.random.default_rng(3).normal(0, 0.73 * logits.std(), logits.shape)

    @pytest.mark.parametrize("scheme", ["dynamic", "weight8", "palette4", "int8"])
    def test_a_quantized_artifact_short_of_the_limits_is_not_judged(self, logits, hurt, scheme):
        assert compare(logits, hurt, scheme, "logits", "images").verdict == "failed"
        parity = compare(logits, hurt, scheme, "logits", "synthetic")
        assert parity.verdict == "not judged"
        assert parity.reason.endswith("but synthetic images tell too little; verify with --data PATH")

    @pytest.mark.parametrize("scheme", ["float32", "float16", "sparse"])
    def test_float_artifacts_are_judged_on_any_images(self, logits, hurt, scheme):
        assert compare(logits, hurt, scheme, "logits", "synthetic").verdict == "failed"

    def test_scores_that_have_nothing_to_do_with_the_source_fail(self, logits):
        rng = np.random.default_rng(2)
        sure = softmax(logits)
        for reference in (logits, sure, 1 + logits / 100):  # the last: 40 dB of signal that all images share
            for wrong in (rng.permutation(reference), np.zeros_like(reference), reference[:, ::-1]):
                parity = compare(reference, np.ascontiguousarray(wrong), "weight8", "logits", "synthetic")
                assert parity.verdict == "failed", parity
            same_answer = np.tile(reference.mean(axis=0), (len(reference), 1))
            assert compare(reference, same_answer, "weight8", "logits", "synthetic").verdict == "failed"


def test_each_of_the_classes_that_tie_in_the_source_is_its_winner():
    source = np.full((8, 10), 0.1, np.float32)
    parity = compare(source, source + np.float32(7e-9) * np.arange(10, dtype=np.float32), "float32", "softmax", "images")
    assert (parity.verdict, parity.top1_agreement) == ("passed", 1.0)
    single = np.full((8, 1), 0.5, np.float32)
    assert compare(single, single + np.float32(1e-7), "float32", "sigmoid", "images").top1_agreement == 1.0


def test_shapes_and_values_that_cannot_be_scores_fail(logits):
    assert "shape" in compare(logits, logits[:, :5], "float32", "logits", "images").reason
    broken = logits.copy()
    broken[0, 0] = np.nan
    assert "finite" in compare(logits, broken, "float32", "logits", "images").reason


def test_a_single_output_decides_between_two_classes():
    scores = np.array([[0.2], [0.7]], np.float32)
    assert decide(scores, "sigmoid").tolist() == [[0], [1]]
    assert decide(scores - 0.5, "logits").tolist() == [[0], [1]]


class TestSeveralSigmoids:
    """What counts is the set of classes from 0.5 on; who has the highest score does not."""

    @pytest.fixture
    def scores(self) -> np.ndarray:
        """Of 20 classes, which no network with errors below 0.05 can mistake."""
        generator = np.random.default_rng(0)
        return np.where(
            generator.random((64, 20)) < 0.15, generator.uniform(0.7, 1, (64, 20)), generator.uniform(0, 0.3, (64, 20))
        )

    def test_the_same_sets_agree_whoever_wins(self, scores: np.ndarray):
        noisy = scores + np.random.default_rng(1).uniform(-0.05, 0.05, scores.shape)
        assert (noisy.argmax(axis=1) != scores.argmax(axis=1)).any()
        parity = compare(scores, noisy, "int8", "sigmoid", "images")
        assert (parity.verdict, parity.top1_agreement) == ("passed", 1.0)

    def test_one_class_of_an_image_is_enough_to_disagree(self, scores: np.ndarray):
        changed = scores.copy()
        changed[3, scores[3].argmin()] = 0.51
        parity = compare(scores, changed, "int8", "sigmoid", "images")
        assert (parity.verdict, parity.top1_agreement) == ("passed", 63 / 64)

    def test_a_score_at_the_threshold_is_no_disagreement_of_float_files(self):
        reference = np.array([[0.5, 0.9]], np.float32)
        assert compare(reference, reference - np.float32(6e-8), "float32", "sigmoid", "images").top1_agreement == 1.0

    @pytest.mark.parametrize("wrong", ["shuffled", "nothing", "everything", "turned"])
    def test_a_wrong_artifact_fails(self, scores: np.ndarray, wrong: str):
        found = {
            "shuffled": np.random.default_rng(1).permutation(scores),
            "nothing": np.minimum(scores, 0.4),
            "everything": np.maximum(scores, 0.6),
            "turned": 1 - scores,
        }[wrong]
        parity = compare(scores, found, "int8", "sigmoid", "images")
        assert parity.verdict == "failed" and parity.reason, parity

    def test_many_classes_near_the_threshold_are_judged_by_what_they_share(self):
        """An untrained network's scores lie about 0.5, so that rounding changes one class of nearly every image."""
        scores = 0.5 + np.random.default_rng(0).normal(0, 0.02, (64, 80))
        parity = compare(scores, scores + np.random.default_rng(1).normal(0, 0.002, scores.shape), "int8", "sigmoid", "images")
        assert parity.verdict == "passed"
        assert parity.top1_agreement is not None and parity.top1_agreement < 0.5
        parity = compare(scores, 1 - scores, "int8", "sigmoid", "images")
        assert "classes shared with the source model in" in parity.reason
