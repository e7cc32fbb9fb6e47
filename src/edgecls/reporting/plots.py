"""The charts of an Evaluation as PNG files, drawn by matplotlib, which the extra `plots` brings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import OutputError
from edgecls.records.evaluation import Evaluation
from edgecls.reporting.curves import history_series
from edgecls.system.extras import require
from edgecls.system.store import replacing

_DPI = 150
_MOST_NAMED = 40  # classes whose names still have room on an axis
_MOST_NUMBERED = 15


def require_plots(folder: Path) -> None:
    """Refuse before any work what would fail when charts are written at its end.

    Raises:
        MissingExtraError: without matplotlib.
        OutputError: a file in the place of the folder.
    """
    require("matplotlib.figure", "plots")
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise OutputError("a folder for --plots", f"{existing}, which is a file", "choose another")


def evaluation_plots(
    evaluation: Evaluation,
    folder: Path,
    *,
    pictures: Mapping[int, np.ndarray],
    history: Sequence[Mapping[str, Any]] | None = None,
) -> list[Path]:
    """Write `confusion.png`, `classes.png`, `calibration.png`, `mistakes.png` and `history.png`, as far as there is something to show.

    Args:
        folder: made where it is not there.
        pictures, history: as `evaluation_page` takes them.

    Returns:
        The files.

    Raises:
        MissingExtraError: without matplotlib.
        OutputError: the place cannot be written.
    """
    figure_class = require("matplotlib.figure", "plots").Figure  # no pyplot: it would look for a screen
    accuracy = evaluation.accuracy
    drawings: dict[str, Callable[[], Any] | None] = {
        "confusion": (lambda: _confusion(figure_class, evaluation)) if accuracy and accuracy.confusion else None,
        "classes": lambda: _classes(figure_class, evaluation),
        "calibration": (lambda: _calibration(figure_class, evaluation)) if accuracy and accuracy.calibration else None,
        "mistakes": (lambda: _mistakes(figure_class, evaluation, pictures)) if evaluation.mistakes and pictures else None,
        "history": (lambda: _history(figure_class, history))
        if history and len(history) > 1 and history_series(history)
        else None,
    }
    return [_write(folder / f"{name}.png", draw()) for name, draw in drawings.items() if draw is not None]


def _write(path: Path, figure: Any) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            figure.savefig(partial, dpi=_DPI, format="png", bbox_inches="tight", metadata={"Software": None})
    except OSError as error:
        raise OutputError("a place that can be written", f"{path}: {error.strerror}", "choose another folder") from None
    return path


def _confusion(figure_class: Any, evaluation: Evaluation) -> Any:
    """Each row is coloured by its share, so that small classes are seen as large ones are."""
    assert evaluation.accuracy and evaluation.accuracy.confusion
    counts = np.array(evaluation.accuracy.confusion.dense())
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(4 + 0.35 * len(counts), 16)
    figure = figure_class(figsize=(side, side))
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="answer", ylabel="label")
    if len(counts) <= _MOST_NAMED:
        axes.set_xticks(range(len(counts)), _plain(evaluation.labels), rotation=90)
        axes.set_yticks(range(len(counts)), _plain(evaluation.labels))
    if len(counts) <= _MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            axes.text(column, row, count, ha="center", va="center", color="white" if shares[row, column] > 0.5 else "black")
    return figure


def _classes(figure_class: Any, evaluation: Evaluation) -> Any:
    """Precision, recall and F1 of the classes that have images; of many those of lowest F1."""
    rows = evaluation.multilabel.classes if evaluation.multilabel else evaluation.accuracy.classes if evaluation.accuracy else []
    shown = sorted((row for row in rows if row.support), key=lambda row: row.f1)[:_MOST_NAMED]
    places = np.arange(len(shown))
    figure = figure_class(figsize=(7, 1.5 + 0.45 * len(shown)))
    axes = figure.subplots()
    for offset, name in enumerate(("precision", "recall", "f1")):
        axes.barh(places + 0.25 * (offset - 1), [getattr(row, name) for row in shown], 0.25, label="F1" if name == "f1" else name)
    axes.set_yticks(places, _plain([f"{row.label} ({row.support:,})" for row in shown]))
    axes.set(xlim=(0, 1))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3)
    return figure


def _calibration(figure_class: Any, evaluation: Evaluation) -> Any:
    assert evaluation.accuracy and evaluation.accuracy.calibration
    found = evaluation.accuracy.calibration
    figure = figure_class(figsize=(5, 5))
    axes = figure.subplots()
    wide = 1 / len(found.bins)
    shown = [(place * wide, item.accuracy) for place, item in enumerate(found.bins) if item.images]
    axes.bar([left for left, _ in shown], [height for _, height in shown], wide, align="edge", edgecolor="white")
    axes.plot([0, 1], [0, 1], "--", color="grey")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", title=f"calibration error {found.ece:.2%}")
    return figure


def _mistakes(figure_class: Any, evaluation: Evaluation, pictures: Mapping[int, np.ndarray]) -> Any:
    from edgecls.reporting.evaluation_page import as_pixels

    shown = [mistake for mistake in evaluation.mistakes if mistake.index in pictures]
    columns = min(6, len(shown))
    figure = figure_class(figsize=(2 * columns, 2.4 * math.ceil(len(shown) / columns)))
    grid = figure.subplots(math.ceil(len(shown) / columns), columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, mistake in zip(grid, shown, strict=False):
        axes.imshow(as_pixels(pictures[mistake.index]), cmap="gray", vmin=0, vmax=255)
        truth, answer = (", ".join(evaluation.labels[index] for index in found) for found in (mistake.truth, mistake.answer))
        sure = "" if mistake.confidence is None else f" {mistake.confidence:.0%}"
        axes.set_title(_plain([f"{truth}\nas {answer or 'nothing'}{sure}"])[0], fontsize=8)
    return figure


def _history(figure_class: Any, history: Sequence[Mapping[str, Any]] | None) -> Any:
    series = history_series(history or ())
    figure = figure_class(figsize=(6, 3.2 * len(series)))
    for axes, (title, lines) in zip(figure.subplots(len(series), 1, squeeze=False).ravel(), series.items(), strict=True):
        for name, values in lines.items():
            axes.plot(range(1, len(values) + 1), values, "-" if name == "training" else "--", marker=".", label=name)
        axes.set(xlabel="epoch", title=title.replace("_", " "))
        axes.legend()
    figure.tight_layout()
    return figure


def _plain(names: Sequence[str]) -> list[str]:
    """Text that matplotlib does not take for mathematics, which stands between dollar signs."""
    return [name.replace("$", r"\$") for name in names]
