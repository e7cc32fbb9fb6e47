"""The page and the table of an evaluation, read back by a parser."""

from __future__ import annotations

import base64
import io
import math
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from edgecls.evaluation.judged import judge
from edgecls.records.evaluation import Evaluation
from edgecls.reporting import evaluation_page, evaluation_table
from edgecls.reporting.curves import curves_of, history_series
from edgecls.reporting.evaluation import at_least

NASTY = "<script>alert(1)</script>"
SCORES = np.array([[0.9, 0.05, 0.05], [0.3, 0.6, 0.1], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]], np.float32)
TARGETS = np.array([0, 0, 2, 2])


@pytest.fixture
def evaluation() -> Evaluation:
    return judge(SCORES, TARGETS, ["cat", NASTY, "dog"], ["0.png", "1.png", "2.png", "3.png"])


class Found(HTMLParser):
    """Texts and pictures of a page, and what it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.sources, self.paths = "", [], []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.sources += [value for name, value in attrs if name in ("src", "href") and value]
        self.paths += [(found.get("class", ""), found["d"])] if tag == "path" else []

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_figures_classes_and_mistakes_as_the_model_saw_them(evaluation: Evaluation) -> None:
    pictures = {index: np.full((8, 8, 3), 40 * index, np.uint8) for index in range(4)}
    found = Found(evaluation_page(evaluation, title="Cats", pictures=pictures))
    assert "50.00%" in found.text and NASTY in found.text
    shown = [source for source in found.sources if source != "data:,"]
    assert all(source.startswith("data:image/png;base64,") for source in shown)
    colours = [np.array(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))[0, 0, 0] for source in shown]
    assert colours == [120, 40]  # image 3 was wrong with 0.8, image 1 with 0.6
    assert found.text.index("3.png") < found.text.index("1.png")
    assert "Training" not in found.text


def test_the_same_evaluation_gives_the_same_page(evaluation: Evaluation) -> None:
    pages = [evaluation_page(evaluation, title="Cats", pictures={}) for _ in range(2)]
    assert pages[0] == pages[1]
    assert NASTY not in pages[0]  # but escaped


def test_history_is_drawn_and_broken_where_a_value_is_no_number(evaluation: Evaluation) -> None:
    history = [
        {"epoch": 1, "loss": 2.0, "val_loss": 2.5},
        {"epoch": 2, "loss": math.nan},
        {"epoch": 3, "loss": 0.5, "val_loss": 1.0},
    ]
    series = history_series(history)
    assert list(series) == ["loss"]
    assert series["loss"]["held-out"] == [2.5, pytest.approx(math.nan, nan_ok=True), 1.0]
    (chart,) = curves_of(history)
    assert [name for name, _ in chart.lines] == ["training", "held-out"]
    assert all(path.count("M") == 2 and "nan" not in path for _, path in chart.lines)
    text = Found(evaluation_page(evaluation, title="Cats", pictures={}, history=history)).text
    assert "training: 2 at first, 0.5 at last" in text
    assert curves_of(history[:1]) == []


def test_inputs_that_are_no_pixels_are_stretched_into_them(evaluation: Evaluation) -> None:
    pictures = {3: np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8, 1)}
    (source,) = [item for item in Found(evaluation_page(evaluation, title="Cats", pictures=pictures)).sources if "png" in item]
    values = np.array(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))
    assert (values.min(), values.max()) == (0, 255)


@pytest.mark.parametrize(
    ("threshold", "text"), [(0.33469, "0.3346"), (0.99999, "0.9999"), (1.0, "1"), (0.000123456, "0.0001234"), (0.0, "0")]
)
def test_a_threshold_is_never_rounded_up(threshold: float, text: str) -> None:
    assert at_least(threshold) == text


def rendered(evaluation: Evaluation) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(evaluation_table(evaluation, 200))
    return console.export_text()


def test_the_table_tells_what_a_hospital_looks_at() -> None:
    targets = np.array([0] * 10 + [1] * 10)
    scores = np.concatenate([np.linspace(0, 0.6, 10), np.linspace(0.4, 1, 10)]).astype(np.float32)[:, None]
    text = rendered(judge(scores, targets, ["well", "ill"], recall=0.9))
    assert "recall 90% of ill" in text
    assert "from a probability of 0.4666 on: recall 90.00%" in text  # the ninth of ten: 0.4 + 0.6 / 9, rounded down
    assert "ROC-AUC of ill" in text and "balanced accuracy" in text


def test_of_many_classes_the_table_shows_the_worst_and_says_so() -> None:
    scores = np.eye(100, dtype=np.float32)
    targets = np.arange(100)
    targets[7] = 8
    text = rendered(judge(scores, targets, [f"class {index}" for index in range(100)]))
    assert "the 30 of 100 classes with the lowest F1" in text
    assert "class 8" in text and "class 99" not in text
