"""Figures of multi-label artifacts, against scikit-learn and against examples counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from edgecls.errors import DataError
from edgecls.evaluation.answers import flips_of, join, judge_scores
from edgecls.evaluation.label_sets import multilabel_accuracy
from edgecls.records.accuracy import Flips
from edgecls.records.average_precision import average_precision, mean_average_precision


@pytest.fixture
def truth() -> np.ndarray:
    """200 images of six classes: one that all have, one that none has."""
    shares = np.array([1, 0.5, 0.2, 0.1, 0.02, 0])
    return (np.random.default_rng(0).random((200, 6)) < shares).astype(np.uint8)


NOTHING: Any = 0  # what scikit-learn calls a share of nothing; its stubs know texts alone


def scores_for(truth: np.ndarray, steps: int) -> np.ndarray:
    """Scores that tell something of the classes, rounded so that many are equal, as those of int8 files are."""
    raw = 0.3 * truth + np.random.default_rng(1).random(truth.shape) * 0.7
    return (np.round(raw * steps) / steps).astype(np.float32)


def judge(rows: list, labels: list | None = None):
    return judge_scores(np.array(rows, np.float32), None if labels is None else np.array(labels, np.uint8), "sigmoid")


@pytest.mark.parametrize("steps", [256, 8, 1])
def test_every_figure_is_scikit_learns(truth: np.ndarray, steps: int):
    """The same sums of the same fractions in another order: 1e-12 is a thousand roundings of float64."""
    scores = scores_for(truth, steps)
    found = multilabel_accuracy(scores, truth, ["a", "b"])
    assert found is not None
    predicted, there = scores >= 0.5, truth.any(axis=0)
    expected = average_precision_score(truth[:, there], scores[:, there], average="macro")
    assert found.mean_average_precision == pytest.approx(expected, abs=1e-12)
    assert mean_average_precision(truth, scores) == found.mean_average_precision
    for row in found.classes:
        mine = truth[:, row.index], predicted[:, row.index]
        assert row.precision == pytest.approx(precision_score(*mine, zero_division=NOTHING), abs=1e-12)
        assert row.recall == pytest.approx(recall_score(*mine, zero_division=NOTHING), abs=1e-12)
        assert row.f1 == pytest.approx(f1_score(*mine, zero_division=NOTHING), abs=1e-12)
        if row.support:
            assert row.average_precision == pytest.approx(average_precision_score(mine[0], scores[:, row.index]), abs=1e-12)
    assert found.macro_f1 == pytest.approx(f1_score(truth[:, there], predicted[:, there], average="macro"), abs=1e-12)
    assert found.micro_f1 == pytest.approx(f1_score(truth, predicted, average="micro", zero_division=NOTHING), abs=1e-12)
    assert found.exact_match == (predicted == truth).all(axis=1).mean()
    assert [row.label for row in found.classes] == ["a", "b", "class_2", "class_3", "class_4", "class_5"]


def test_a_class_that_no_image_has_counts_for_nothing(truth: np.ndarray):
    found = multilabel_accuracy(scores_for(truth, 256), truth, [])
    assert found is not None
    empty = found.classes[5]
    assert (empty.support, empty.average_precision, empty.best_threshold) == (0, None, None)
    assert multilabel_accuracy(scores_for(truth, 256), 0 * truth, []) is None


def test_the_best_threshold_is_chosen_on_one_half_and_judged_on_the_other(truth: np.ndarray):
    scores = scores_for(truth, 64)
    found = multilabel_accuracy(scores, truth, [])
    assert found is not None
    for row in found.classes[:5]:
        mine, ranked = truth[:, row.index], scores[:, row.index]
        if row.best_threshold is None:
            assert not (mine[::2].any() and mine[1::2].any())
            continue
        best = max(f1_score(mine[::2], ranked[::2] >= value) for value in np.unique(ranked[::2]))
        assert f1_score(mine[::2], ranked[::2] >= row.best_threshold) == pytest.approx(best, abs=1e-12)
        assert row.best_f1 == pytest.approx(
            f1_score(mine[1::2], ranked[1::2] >= row.best_threshold, zero_division=NOTHING), abs=1e-12
        )
    assert sum(row.best_threshold is not None for row in found.classes) >= 4


def test_changes_are_against_the_reference(truth: np.ndarray):
    scores, reference = scores_for(truth, 8), scores_for(truth, 256)
    found = multilabel_accuracy(scores, truth, [], reference)
    theirs = multilabel_accuracy(reference, truth, [])
    assert found is not None and theirs is not None
    for row, other in zip(found.classes[:5], theirs.classes, strict=False):
        assert row.average_precision is not None and other.average_precision is not None
        assert row.average_precision_delta == pytest.approx(row.average_precision - other.average_precision)
        assert row.f1_delta == pytest.approx(row.f1 - other.f1)
    assert found.classes[5].average_precision_delta is None


def test_average_precision_by_hand():
    # the two images that have the class stand in places 1 and 3: (1/1 + 2/3) / 2
    assert average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7])) == pytest.approx(5 / 6)
    assert average_precision(np.array([True, False]), np.array([0.5, 0.5])) == 0.5
    assert average_precision(np.zeros(3, bool), np.zeros(3)) is None


def test_an_image_flips_as_soon_as_one_of_its_classes_does():
    ours = judge(
        [[0.9, 0.5, 0.1], [0.9, 0.49, 0.1], [0.2, 0.2, 0.2], [0.1, 0.6, 0.7]],
        labels := [[1, 1, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]],
    )
    theirs = judge([[0.6, 0.8, 0.4], [0.9, 0.50, 0.1], [0.9, 0.2, 0.2], [0.1, 0.6, 0.7]], labels)
    found = flips_of(ours, theirs, "float", np.array(labels), lambda index: f"{index}.png")
    assert (found.images, found.count, found.lost, found.gained, found.mcnemar_p) == (4, 2, 1, 1, 1.0)
    assert [(flip.image, flip.labels, flip.appeared, flip.vanished) for flip in found.sets_listed] == [
        ("1.png", [0, 1], [], [1]),
        ("2.png", [], [], [0]),
    ]
    assert found.images_listed == []
    assert Flips.model_validate_json(found.model_dump_json()) == found


def test_sigmoids_without_labels_are_compared_by_their_sets_and_with_one_label_each_by_the_winner():
    rows, others = [[0.9, 0.6], [0.1, 0.2]], [[0.9, 0.4], [0.1, 0.2]]
    assert flips_of(judge(rows), judge(others), "float").count == 1
    single = [judge_scores(np.array(scores, np.float32), np.array([0, 1]), "sigmoid") for scores in (rows, others)]
    assert flips_of(single[0], single[1], "float").count == 0
    assert single[0].top1 is not None and single[0].top1.tolist() == [1, 1]


def test_shares_come_together_and_what_is_no_number_is_none():
    whole, parts = judge([[0.9, 0.1], [0.2, 0.8], [0.3, 0.4]]), [judge([[0.9, 0.1]]), judge([[0.2, 0.8], [0.3, 0.4]])]
    joined = join(parts).scores
    assert joined is not None and whole.scores is not None
    np.testing.assert_array_equal(joined, whole.scores)
    assert judge([[0.9, np.nan]], [[1, 0]]).not_numbers == 1


def test_scores_that_exclude_each_other_have_no_multi_hot_labels():
    for kind, scores in (("softmax", [[0.5, 0.5]]), ("logits", [[1, 2]]), ("sigmoid", [[0.5]])):
        with pytest.raises(DataError, match="one label for each image"):
            judge_scores(np.array(scores, np.float32), np.ones((1, 2), np.uint8), kind)  # pyright: ignore[reportArgumentType]
