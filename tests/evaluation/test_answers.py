"""Statistics against examples counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgecls.errors import DataError
from edgecls.evaluation.answers import Answers, accuracy_of, flips_of, join, judge_scores
from edgecls.records.artifact import OutputKind


def judge(rows: list, labels: list[int] | None = None, kind: OutputKind = "softmax"):
    return judge_scores(np.array(rows, np.float32), None if labels is None else np.array(labels), kind)


def winners(answers: Answers, row: int) -> set[int]:
    return set(np.flatnonzero(np.unpackbits(answers.mask(row))).tolist())


def test_top1_and_top5_without_ties():
    rows = [[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]] * 4
    accuracy = accuracy_of(judge(rows, [0, 1, 4, 5]))
    assert accuracy is not None
    assert (accuracy.images, accuracy.top1, accuracy.top5) == (4, 1 / 4, 3 / 4)


def test_ties_count_as_shares():
    # three classes share the first place: a third of a hit for each of them
    found = judge([[5, 5, 5, 1, 1, 1, 0]] * 3, [0, 2, 3])
    assert found.top1 == pytest.approx([1 / 3, 1 / 3, 0])
    # two places of five are left for the three classes that share the fourth place
    assert found.top5 == pytest.approx([1, 1, 2 / 3])
    assert [winners(found, row) for row in found.ties] == [{0, 1, 2}] * 3


def test_equal_scores_everywhere_are_worth_a_guess():
    accuracy = accuracy_of(judge([[1.0] * 10] * 4, [0, 3, 5, 9]))
    assert accuracy is not None
    assert (accuracy.top1, accuracy.top5) == pytest.approx((0.1, 0.5))


def test_five_classes_have_no_top5():
    accuracy = accuracy_of(judge([[0, 1, 2, 3, 4]], [4]))
    assert accuracy is not None
    assert accuracy.top5 is None


@pytest.mark.parametrize(
    ("kind", "scores", "winners"), [("sigmoid", [0.2, 0.5, 0.51], [0, 0, 1]), ("logits", [-1.0, 0.0, 0.1], [0, 0, 1])]
)
def test_single_output_decides_between_two(kind: OutputKind, scores: list[float], winners: list[int]):
    found = judge([[score] for score in scores], [0, 1, 1], kind)
    assert found.winners.tolist() == winners
    assert found.ties == {}
    assert found.top1 is not None
    assert found.top1.tolist() == [1, 0, 1]


def test_nan_is_no_answer():
    found = judge([[0.1, np.nan, 0.3], [0.1, 0.2, 0.3]], [2, 2])
    assert found.not_numbers == 1
    assert found.top1 is not None
    assert found.top1.tolist() == [0, 1]


def test_label_beyond_the_classes():
    with pytest.raises(DataError, match="label 3"):
        judge([[0, 1, 2]], [3])
    assert judge([[0.7]], [1]).top1 is not None  # a single output has two classes


def test_flips():
    ours = judge([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]])
    theirs = judge([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert (flips_of(ours, theirs, "float").count, flips_of(ours, theirs, "float").images) == (1, 4)
    assert flips_of(ours, ours, "float").count == 0


def test_flips_with_ties():
    one, pair, same_pair, all_three = (
        judge([[1, 0, 0]] * 6),
        judge([[1, 1, 0]] * 6),
        judge([[2, 2, 1]] * 6),
        judge([[1, 1, 1]] * 6),
    )
    assert flips_of(pair, same_pair, "r").count == 0
    assert flips_of(pair, one, "r").count == 3  # half an image each
    assert flips_of(all_three, one, "r").count == 4  # two thirds each: a constant model does not agree with everything
    assert flips_of(all_three, pair, "r").count == 2  # one third each


def test_join_keeps_order_and_ties():
    parts = [judge([[1, 0, 0], [1, 1, 0]], [0, 0]), judge([[0, 1, 1]], [2])]
    joined = join(parts)
    whole = judge([[1, 0, 0], [1, 1, 0], [0, 1, 1]], [0, 0, 2])
    assert joined.winners.tolist() == whole.winners.tolist()
    assert joined.ties.keys() == whole.ties.keys() == {1, 2}
    assert [winners(joined, row) for row in range(3)] == [{0}, {0, 1}, {1, 2}]
    assert joined.top1 is not None
    assert joined.top1.tolist() == [1, 0.5, 0.5]
    assert join([judge([[1, 0]]), judge([[0, 1]])]).top1 is None


def test_ties_bound_the_accuracy():
    # right outright; a tie of two that holds the label; a tie that does not; wrong
    accuracy = accuracy_of(judge([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 1, 0]], [0, 1, 0, 2]))
    assert accuracy is not None
    assert (accuracy.top1, accuracy.tied_images) == (1.5 / 4, 2)
    assert (accuracy.top1_lowest, accuracy.top1_highest) == (1 / 4, 2 / 4)
    assert accuracy.top1_interval is not None
    assert accuracy.top1_interval.low < accuracy.top1 < accuracy.top1_interval.high


@pytest.mark.parametrize(
    ("kind", "scores", "expected"),
    [
        ("softmax", [[0.7, 0.2, 0.1]], 0.7),
        ("softmax", [[1.004, 0.0, 0.0]], 1.0),  # an int8 output of scale 1/255 may step past 1
        ("softmax", [[3.0, -1.0, 0.5]], None),  # no probabilities, whatever was assumed
        ("logits", [[2.0, 1.0, 0.0]], 0.66524),  # softmax: 1 / (1 + e^-1 + e^-2)
        ("logits", [[-2.0]], 0.88080),  # the logistic function of 2: class 0 wins
        ("sigmoid", [[0.25]], 0.75),
    ],
)
def test_confidence_is_the_probability_of_the_winner(kind: str, scores: list[list[float]], expected: float | None):
    accuracy = accuracy_of(judge_scores(np.asarray(scores, np.float32), np.array([0]), kind))  # type: ignore[arg-type]
    assert accuracy is not None
    if expected is None:
        assert accuracy.calibration is None
    else:
        assert accuracy.calibration is not None
        (filled,) = [row for row in accuracy.calibration.bins if row.images]
        assert filled.confidence == pytest.approx(expected, abs=1e-5)


def test_flips_one_by_one_with_the_paired_test():
    labels = np.array([0, 0, 1, 1, 2, 2])
    reference = judge_scores(np.eye(3, dtype=np.float32)[[0, 0, 1, 0, 2, 0]], labels, "softmax")  # right: 0, 1, 2, 4
    ours = judge_scores(np.eye(3, dtype=np.float32)[[0, 1, 2, 1, 2, 1]], labels, "softmax")  # right: 0, 3, 4
    flips = flips_of(ours, reference, "float", labels, "image {}".format)
    assert (flips.count, flips.lost, flips.gained) == (4, 2, 1)
    assert flips.mcnemar_p == 1.0  # 2 against 1 of 3: as even as can be
    assert [(flip.index, flip.image, flip.label, flip.reference_winner, flip.winner) for flip in flips.images_listed] == [
        (1, "image 1", 0, 0, 1),  # the lost ones first
        (2, "image 2", 1, 1, 2),
        (3, "image 3", 1, 0, 1),
        (5, "image 5", 2, 0, 1),
    ]
    unlabelled = flips_of(ours, reference, "float")
    assert (unlabelled.count, unlabelled.lost, unlabelled.mcnemar_p) == (4, None, None)
    assert unlabelled.images_listed[0].label is None


def test_the_list_of_flips_ends_somewhere():
    ours = judge_scores(np.tile(np.array([[1, 0]], np.float32), (1500, 1)), None, "softmax")
    reference = judge_scores(np.tile(np.array([[0, 1]], np.float32), (1500, 1)), None, "softmax")
    flips = flips_of(ours, reference, "float")
    assert (flips.count, len(flips.images_listed)) == (1500, 1000)
