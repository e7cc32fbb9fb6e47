"""Evaluation of scores, held against scikit-learn's figures, and by hand where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support, roc_auc_score

from edgecls.errors import DataError, InputError
from edgecls.evaluation.judged import judge
from edgecls.evaluation.ranking import recall_threshold, roc_auc
from edgecls.records.evaluation import Evaluation

RNG = np.random.default_rng(0)
EXACT = pytest.approx  # both sides divide the same whole numbers: 1e-6 is far above what float64 loses in a mean of some hundred


def scores_of(targets: np.ndarray, classes: int, *, steps: int = 20) -> np.ndarray:
    """Probabilities that lean to the truth; rounded, so that some tie."""
    scores = RNG.random((len(targets), classes))
    scores[np.arange(len(targets)), targets] += 0.5
    return (np.round(scores / scores.sum(axis=1, keepdims=True) * steps) / steps).astype(np.float32)


@pytest.mark.filterwarnings("ignore::UserWarning")  # scikit-learn says that a class has no image, which is what is tested
def test_classes_are_judged_as_scikit_learn_does() -> None:
    targets = RNG.integers(0, 4, 300)
    scores = scores_of(targets, 5, steps=10**6)  # nobody ties, and the last class has no image
    found = judge(scores, targets, list("abcde"))
    winners = scores.argmax(axis=1)
    expected = np.array(precision_recall_fscore_support(targets, winners, labels=range(5)), np.float64)
    assert found.accuracy is not None
    for row, values in zip(found.accuracy.classes, expected.T, strict=True):
        assert [row.precision, row.recall, row.f1, row.support] == EXACT(values.tolist())
    assert found.balanced_accuracy == EXACT(balanced_accuracy_score(targets, winners))
    assert found.accuracy.top1 == EXACT((winners == targets).mean())
    assert any("1 class without an image here (e)" in note for note in found.notes)
    assert found.roc_auc is None and not found.thresholds  # of four classes none was named


@pytest.mark.parametrize("outputs", [1, 2])
def test_of_two_classes_the_second_is_ranked(outputs: int) -> None:
    targets = RNG.integers(0, 2, 200)
    scores = scores_of(targets, 2)
    found = judge(scores[:, 1:] if outputs == 1 else scores, targets, ["well", "ill"])
    assert found.positive == 1
    assert found.roc_auc == EXACT(roc_auc_score(targets, scores[:, 1]))
    (threshold,) = found.thresholds
    reached = scores[:, 1] >= np.float32(threshold.threshold)
    assert threshold.recall == EXACT(reached[targets == 1].mean())
    assert threshold.recall >= 0.95
    assert threshold.precision == EXACT(targets[reached].mean())
    assert threshold.specificity == EXACT(1 - reached[targets == 0].mean())
    above = scores[:, 1] > np.float32(threshold.threshold)
    assert above[targets == 1].mean() < 0.95  # the next higher score finds too few


def test_logits_are_ranked_by_the_probabilities_they_stand_for() -> None:
    targets = RNG.integers(0, 2, 200)
    logits = (RNG.normal(size=200) + 2 * targets).astype(np.float32)[:, None]
    one = judge(logits, targets, ["a", "b"], kind="logits")
    two = judge(np.concatenate([np.zeros_like(logits), logits], axis=1), targets, ["a", "b"], kind="logits")
    assert one.roc_auc == EXACT(roc_auc_score(targets, logits[:, 0]))
    assert two.roc_auc == EXACT(one.roc_auc or 0)
    assert two.thresholds[0].threshold == EXACT(one.thresholds[0].threshold)
    assert one.accuracy is not None and two.accuracy is not None
    assert one.accuracy.top1 == two.accuracy.top1


def test_another_class_than_the_second_can_be_of_interest() -> None:
    targets = RNG.integers(0, 3, 200)
    scores = scores_of(targets, 3)
    found = judge(scores, targets, list("abc"), positive="a")
    assert found.positive == 0
    assert found.roc_auc == EXACT(roc_auc_score(targets == 0, scores[:, 0]))
    assert [row.label for row in found.thresholds] == ["a"]
    with pytest.raises(InputError, match="--positive among the labels"):
        judge(scores, targets, list("abc"), positive="d")


def test_the_threshold_finds_as_many_as_wanted_and_no_fewer_for_rounding() -> None:
    truth, scores = np.ones(20, bool), np.arange(20, 0, -1) / 20
    found = recall_threshold(truth, scores, 0.95, 0, "a")  # a product that need not be whole in binary
    assert found is not None and found.threshold == scores[18]
    assert recall_threshold(~truth, scores, 0.95, 0, "a") is None
    assert roc_auc(truth, scores) is None


def test_the_worst_mistakes_come_first_with_their_names() -> None:
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.99, 0.01]], np.float32)
    found = judge(scores, np.array([1, 1, 1, 0]), ["a", "b"], ["one", "two", "three", "four"], worst=1)
    assert found.mistakes_total == 2
    (mistake,) = found.mistakes
    assert (mistake.image, mistake.truth, mistake.answer) == ("one", [1], [0])
    assert mistake.confidence == pytest.approx(0.9)


def test_sets_of_classes_have_average_precision_and_a_threshold_each() -> None:
    truth = (RNG.random((200, 3)) < 0.4).astype(np.uint8)
    scores = np.clip(0.3 * truth + 0.7 * RNG.random((200, 3)), 0, 1).astype(np.float32)
    found = judge(scores, truth, list("abc"))
    assert found.multilabel is not None and found.accuracy is None
    assert [row.label for row in found.thresholds] == list("abc")
    for row in found.thresholds:
        assert (scores[truth[:, row.index] == 1, row.index] >= np.float32(row.threshold)).mean() == EXACT(row.recall)
    worst = found.mistakes[0]
    wrong = (scores[worst.index] >= 0.5) != (truth[worst.index] == 1)
    assert worst.confidence == EXACT(np.abs(scores[worst.index] - truth[worst.index])[wrong].max())
    with pytest.raises(DataError, match="multi-hot rows for as many sigmoids"):
        judge(scores, truth, list("abc"), kind="softmax")


def test_what_is_no_number_is_no_answer() -> None:
    scores = np.array([[np.nan, 0.5], [0.2, 0.8], [0.9, 0.1]], np.float32)
    found = judge(scores, np.array([1, 1, 0]), ["a", "b"], recall=1.0)
    assert found.accuracy is not None and found.accuracy.top1 == pytest.approx(2 / 3)
    assert found.mistakes[0].answer == []
    assert "1 image without an answer, since scores are not numbers" in found.notes
    assert found.thresholds[0].threshold == pytest.approx(0.5)


@pytest.mark.parametrize("recall", [0.0, -1.0, 1.01, float("nan")])
def test_a_recall_that_is_none_is_refused(recall: float) -> None:
    with pytest.raises(InputError, match="--recall above 0"):
        judge(np.ones((1, 2), np.float32), np.array([0]), ["a", "b"], recall=recall)


def test_an_evaluation_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    targets = RNG.integers(0, 2, 50)
    found = judge(scores_of(targets, 2), targets, ["a", "b"])
    path = tmp_path / "evaluation.json"
    path.write_text(found.model_dump_json())
    assert Evaluation.read_file(path) == found
