"""The best classes of one image."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from edgecls.errors import DataError
from edgecls.evaluation.top_predictions import top_predictions
from edgecls.reporting import prediction_bars


def test_best_first_and_the_lower_index_first_of_equal_ones() -> None:
    found = top_predictions(np.array([0.1, 0.4, 0.4, 0.1]), "softmax", list("abcd"), 3)
    assert [(entry.index, entry.label) for entry in found] == [(1, "b"), (2, "c"), (0, "a")]
    assert found[0].probability == found[0].score == 0.4


def test_logits_become_probabilities_and_keep_their_score() -> None:
    found = top_predictions(np.array([1000.0, 1000.0 - np.log(3)]), "logits", ["a", "b"], 5)
    assert [entry.score for entry in found] == [1000.0, 1000.0 - np.log(3)]
    assert [entry.probability for entry in found] == pytest.approx([0.75, 0.25])  # exp(log 3) = 3 : 1


@pytest.mark.parametrize(
    ("kind", "score", "winner", "probability"),
    [("sigmoid", 0.2, "low", 0.8), ("logits", np.log(3), "high", 0.75), ("logits", -1000.0, "low", 1.0)],
)
@pytest.mark.filterwarnings("error")
def test_one_output_means_two_classes(kind: str, score: float, winner: str, probability: float) -> None:
    found = top_predictions(np.array([score]), kind, ["low", "high"], 5)  # type: ignore[arg-type]
    assert len(found) == 2
    assert found[0].label == winner
    assert found[0].probability == pytest.approx(probability)


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="expected 3 labels"):
        top_predictions(np.zeros(3), "softmax", ["a", "b"], 5)


def test_bars_are_as_long_as_their_probability() -> None:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(
        prediction_bars("[i]cat[/i].jpg", top_predictions(np.array([0.5, 0.1, 0.4]), "softmax", ["cat", "[b]dog[/b]", "cow"], 3))
    )
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0].startswith("[i]cat[/i].jpg")
    assert [line.split()[0] for line in lines[1:]] == ["cat", "cow", "[b]dog[/b]"]
    assert [line.count("█") for line in lines[1:]] == [15, 12, 3]  # of 30
    assert lines[1].endswith("50.0%")


def test_bars_get_shorter_in_a_narrow_window_and_figures_stay() -> None:
    console = Console(file=io.StringIO(), width=24, color_system=None)
    console.print(prediction_bars("3.png", top_predictions(np.array([1.0, 0.0]), "softmax", ["3", "5"], 2)))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[1].endswith("100.0%") and lines[1].count("█") >= 8


def test_of_classes_that_do_not_exclude_each_other_those_predicted_are_told() -> None:
    found = top_predictions(np.array([0.2, 0.9, 0.5]), "sigmoid", ["cat", "dog", "emu"], 3)
    assert [(item.label, item.predicted) for item in found] == [("dog", True), ("emu", True), ("cat", False)]
    console = Console(width=80, file=io.StringIO())
    console.print(prediction_bars("image.png", found))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert [line.split()[0] for line in lines if line.rstrip().endswith("predicted")] == ["dog", "emu"]
    assert top_predictions(np.array([0.2, 0.8]), "softmax", ["cat", "dog"], 1)[0].predicted is None
