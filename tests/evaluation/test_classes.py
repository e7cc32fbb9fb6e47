"""The table of classes, worked by hand and beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from edgecls.evaluation.answers import Answers, accuracy_of, judge_scores
from edgecls.evaluation.classes import with_classes
from edgecls.records.accuracy import Accuracy

LABELS = np.array([0, 0, 0, 0, 1, 1, 2])


def answers(winners: list[int]) -> Answers:
    return judge_scores(np.eye(4, dtype=np.float32)[winners], LABELS, "softmax")


def table(winners: list[int], reference: list[int] | None = None) -> Accuracy:
    found = answers(winners)
    accuracy = accuracy_of(found)
    assert accuracy is not None
    return with_classes(accuracy, found, LABELS, ["cat", "dog", "owl"], answers(reference) if reference else None)


def test_each_class_by_hand() -> None:
    accuracy = table([0, 0, 0, 1, 1, 0, 1])
    cat, dog, owl, unseen = accuracy.classes
    assert (cat.label, cat.support, cat.recall, cat.precision) == ("cat", 4, 0.75, 0.75)
    assert (dog.label, dog.support, dog.recall) == ("dog", 2, 0.5)
    assert dog.precision == pytest.approx(1 / 3)
    assert dog.f1 == pytest.approx(2 * (1 / 3) * 0.5 / (1 / 3 + 0.5))
    assert (owl.recall, owl.precision, owl.f1) == (0, 0, 0)
    assert (unseen.label, unseen.support, unseen.recall_interval) == ("class_3", 0, None)
    assert cat.recall_interval is not None
    assert cat.recall_interval.low < 0.75 < cat.recall_interval.high
    assert cat.recall_delta is None
    assert accuracy.confusion is not None
    assert accuracy.confusion.dense() == [[3, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_what_each_class_lost_against_the_reference() -> None:
    accuracy = table([0, 0, 0, 1, 1, 0, 2], reference=[0, 0, 0, 0, 1, 0, 1])
    assert [row.recall_delta for row in accuracy.classes] == [-0.25, 0.0, 1.0, 0.0]
    assert accuracy.classes[2].f1_delta == 1.0


@given(some.lists(some.tuples(some.integers(0, 4), some.integers(-1, 4)), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_as_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    """A winner of -1 stands for scores that are not numbers."""
    labels, winners = np.array(pairs).T
    scores = np.where((winners < 0)[:, None], np.nan, np.eye(5)[winners]).astype(np.float32)
    found = judge_scores(scores, labels, "softmax")
    accuracy = accuracy_of(found)
    assert accuracy is not None
    accuracy = with_classes(accuracy, found, labels, [], None)
    expected = precision_recall_fscore_support(labels, winners, labels=np.arange(5), zero_division=0)  # pyright: ignore[reportArgumentType]
    rows = [(row.precision, row.recall, row.f1, row.support) for row in accuracy.classes]
    np.testing.assert_allclose(rows, np.transpose(np.asarray(expected, np.float64)), rtol=1e-12)
    assert accuracy.confusion is not None
    assert accuracy.confusion.dense() == confusion_matrix(labels, winners, labels=np.arange(5)).tolist()
