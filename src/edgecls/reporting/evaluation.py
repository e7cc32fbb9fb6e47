"""What is shown of an Evaluation: its figures and classes, for a terminal, Markdown and the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from rich.console import Group
from rich.table import Table
from rich.text import Text

from edgecls.records.accuracy import ClassAccuracy, Confusion
from edgecls.records.evaluation import Evaluation, RecallThreshold
from edgecls.records.multilabel import THRESHOLD, LabelAccuracy
from edgecls.reporting.grid import Column, Grid, make_grid
from edgecls.reporting.table import to_table
from edgecls.reporting.units import format_interval, format_share

T = TypeVar("T", ClassAccuracy, LabelAccuracy)
CLASSES_SHOWN = 30  # in a terminal; the page has all
_CONFUSIONS_SHOWN = 3


def evaluation_table(evaluation: Evaluation, width: int | None = None) -> Group:
    """Figures and classes, in `width` columns of text (None: as wide as it needs); of many classes those of lowest F1."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for title, text in figures(evaluation):
        table.add_row(Text(title), Text(text))
    return Group(to_table(classes_grid(evaluation, CLASSES_SHOWN), width), table, *(Text(note) for note in evaluation.notes))


def figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Name and text of each figure of the whole, in the order of a first look."""
    found = [("images", f"{evaluation.images:,}")]
    if accuracy := evaluation.accuracy:
        interval = f" (95 %: {format_interval(accuracy.top1_interval, 100)})" if accuracy.top1_interval else ""
        found.append(("top-1", format_share(accuracy.top1) + interval))
        found += [("top-5", format_share(accuracy.top5))] if accuracy.top5 is not None else []
    if multilabel := evaluation.multilabel:
        found += [
            ("mAP", format_share(multilabel.mean_average_precision)),
            ("macro F1", format_share(multilabel.macro_f1)),
            ("micro F1", format_share(multilabel.micro_f1)),
            ("exact match", format_share(multilabel.exact_match)),
        ]
    if evaluation.balanced_accuracy is not None:
        found.append(("balanced accuracy", format_share(evaluation.balanced_accuracy)))
    if evaluation.positive is not None and evaluation.roc_auc is not None:
        found.append((f"ROC-AUC of {evaluation.labels[evaluation.positive]}", f"{evaluation.roc_auc:.4f}"))
    if evaluation.positive is not None:
        found += [(f"recall {item.wanted:.0%} of {item.label}", threshold_words(item)) for item in evaluation.thresholds]
    if evaluation.accuracy and evaluation.accuracy.calibration:
        found.append(("calibration error", format_share(evaluation.accuracy.calibration.ece)))
    if evaluation.accuracy and (most := _most_confused(evaluation.accuracy.confusion, evaluation.labels)):
        found.append(("most confused", most))
    return found


def threshold_words(found: RecallThreshold) -> str:
    """From which probability on a class is to be answered, and what that gives."""
    specificity = "" if found.specificity is None else f", specificity {format_share(found.specificity)}"
    interval = f"{format_share(found.recall)} (95 %: {format_interval(found.recall_interval, 100)})"
    words = f"from a probability of {at_least(found.threshold)} on: recall {interval}"
    return f"{words}, precision {format_share(found.precision)}{specificity}; chosen on these images"


def at_least(threshold: float) -> str:
    """A threshold in four digits that count, rounded down, so that what reaches the threshold reaches what is read too."""
    if threshold <= 0:
        return f"{threshold:g}"
    digits = 3 - math.floor(math.log10(threshold))
    return f"{math.floor(threshold * 10**digits) / 10**digits:.{max(digits, 0)}g}"


def classes_grid(evaluation: Evaluation, most: int | None = None) -> Grid:
    """Precision, recall, F1 and support of each class; of more than `most` those of lowest F1, and a note on it."""
    return _labels_grid(evaluation, most) if evaluation.multilabel else _winners_grid(evaluation, most)


def _winners_grid(evaluation: Evaluation, most: int | None) -> Grid:
    columns = [
        Column[ClassAccuracy]("class", lambda row: row.label),
        Column[ClassAccuracy]("images", lambda row: f"{row.support:,}", numeric=True),
        Column[ClassAccuracy]("precision", lambda row: format_share(row.precision), numeric=True),
        Column[ClassAccuracy]("recall", lambda row: format_share(row.recall) if row.support else "", numeric=True),
        Column[ClassAccuracy](
            "95 %", lambda row: format_interval(row.recall_interval, 100) if row.recall_interval else "", numeric=True, rank=1
        ),
        Column[ClassAccuracy]("F1", lambda row: format_share(row.f1) if row.support else "", numeric=True),
    ]
    rows = evaluation.accuracy.classes if evaluation.accuracy else []
    kept, notes = _lowest(rows, most)
    return make_grid(columns, kept, lambda row: not row.support or row.recall > 0, notes)


def _labels_grid(evaluation: Evaluation, most: int | None) -> Grid:
    thresholds = {found.index: found for found in evaluation.thresholds}
    wanted = f"{evaluation.thresholds[0].wanted:.0%}" if evaluation.thresholds else ""
    columns = [
        Column[LabelAccuracy]("class", lambda row: row.label),
        Column[LabelAccuracy]("images", lambda row: f"{row.support:,}", numeric=True),
        Column[LabelAccuracy]("AP", lambda row: format_share(row.average_precision), numeric=True),
        Column[LabelAccuracy]("precision", lambda row: format_share(row.precision), numeric=True),
        Column[LabelAccuracy]("recall", lambda row: format_share(row.recall) if row.support else "", numeric=True),
        Column[LabelAccuracy]("F1", lambda row: format_share(row.f1) if row.support else "", numeric=True),
        Column[LabelAccuracy](
            f"recall {wanted} from",
            lambda row: at_least(thresholds[row.index].threshold) if row.index in thresholds else "",
            numeric=True,
            rank=1,
        ),
        Column[LabelAccuracy](
            "precision there",
            lambda row: format_share(thresholds[row.index].precision) if row.index in thresholds else "",
            numeric=True,
            rank=2,
        ),
    ]
    rows = evaluation.multilabel.classes if evaluation.multilabel else []
    kept, notes = _lowest(rows, most)
    notes.append(f"precision, recall and F1 where a class is predicted from a score of {THRESHOLD:g} on")
    return make_grid(columns, kept, lambda row: not row.support or row.recall > 0, notes)


def _lowest(rows: Sequence[T], most: int | None) -> tuple[list[T], list[str]]:
    """All rows, or where they are too many those of lowest F1 that have images, in their order."""
    if most is None or len(rows) <= most:
        return list(rows), []
    worst = sorted((row for row in rows if row.support), key=lambda row: row.f1)[:most]
    note = f"the {len(worst)} of {len(rows):,} classes with the lowest F1; the page and --json have all"
    return worst, [note]


def _most_confused(confusion: Confusion | None, labels: Sequence[str]) -> str:
    wrong = [entry for entry in confusion.entries if entry[0] != entry[1]] if confusion else []
    wrong.sort(key=lambda entry: -entry[2])
    return ", ".join(
        f"{labels[label]} taken for {labels[winner]} ({images})" for label, winner, images in wrong[:_CONFUSIONS_SHOWN]
    )
