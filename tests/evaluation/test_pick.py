"""Which artifact of a format to ship: worked out by hand for each kind of run."""

from __future__ import annotations

from typing import Any

import pytest

from edgecls.evaluation.pick import pick_artifacts
from edgecls.evaluation.statistics import mcnemar_p
from edgecls.records.accuracy import Accuracy, Flips
from edgecls.records.latency import Latency, Reason, Validity
from edgecls.records.measurement import Measurement
from edgecls.records.multilabel import MultiLabelAccuracy

FLOAT, DYNAMIC, INT8, ONNX = "base-tflite-float32", "base-tflite-dynamic", "base-tflite-int8", "base-onnx-int8"
IMAGES = 1000


def row(name: str, download: int, *, lost: int = 0, gained: int = 0, p50_ms: float | None = 1.0, **more: Any) -> Measurement:
    """An artifact that was asked 1,000 images, of which the float one has 900 right."""
    values: dict[str, Any] = {
        "artifact": name,
        "target": name.split("-")[1],
        "scheme": name.split("-")[2],
        "size_bytes": 2 * download,
        "compressed_bytes": download,
        "accuracy": Accuracy(images=IMAGES, top1=(900 - lost + gained) / IMAGES),
        "flips": None if name == FLOAT else flips(lost, gained),
        "latency": p50_ms and Latency(runs=50, p50_ms=p50_ms, p90_ms=p50_ms, p99_ms=p50_ms, min_ms=p50_ms, max_ms=p50_ms),
    }
    return Measurement(**{**values, **more})


def flips(lost: int, gained: int) -> Flips:
    count = lost + gained
    return Flips(reference=FLOAT, images=IMAGES, count=count, lost=lost, gained=gained, mcnemar_p=mcnemar_p(lost, gained))


def unlabelled(name: str, download: int, count: int) -> Measurement:
    found = None if name == FLOAT else Flips(reference=FLOAT, images=IMAGES, count=count)
    return row(name, download, accuracy=None, flips=found)


def several_labels(name: str, download: int, precision: float, lost: int) -> Measurement:
    found = MultiLabelAccuracy(
        images=IMAGES, mean_average_precision=precision, macro_f1=0.5, micro_f1=0.5, exact_match=0.6 - lost / IMAGES
    )
    return row(name, download, lost=lost, accuracy=None, multilabel=found)


def only(rows: list[Measurement], within: float | None = None) -> tuple[str | None, str]:
    (pick,) = pick_artifacts(rows, within)
    assert pick.within_points == within
    return pick.artifact, pick.sentence


def test_the_smallest_download_of_those_not_distinguishable_from_float() -> None:
    rows = [row(FLOAT, 300), row(DYNAMIC, 90, lost=6), row(INT8, 100, lost=7, gained=3)]
    # 6 lost and none gained has p = 2 / 2**6 = 0.031, below 0.05; 7 and 3 have p = 0.34
    artifact, sentence = only(rows)
    assert artifact == INT8
    assert sentence.startswith(
        f"TFLite: ship {INT8}: the smallest download of the 2 not distinguishable from {FLOAT} in top-1 at 95 % (-0.40 points, at worst"
    )
    assert f"{DYNAMIC} is smaller, but -0.60 points, at worst" in sentence


def test_a_limit_on_the_drop_moves_it_to_the_point() -> None:
    rows = [row(FLOAT, 300), row(DYNAMIC, 90, lost=10), row(INT8, 100)]
    assert only(rows)[0] == INT8
    assert only(rows, 1.0)[0] == DYNAMIC  # 0.90 - 0.89 is a little above 0.01 in floating point
    assert only(rows, 0.99)[0] == INT8
    assert f"of the 3 within 1 point of {FLOAT} in top-1" in only(rows, 1.0)[1]


def test_more_right_than_float_beyond_chance_is_no_loss() -> None:
    assert only([row(FLOAT, 300), row(INT8, 100, gained=50)])[0] == INT8
    assert "(+0.00 points, at worst" in only([row(FLOAT, 300), row(INT8, 100)])[1]


def test_downloads_that_hardly_differ_are_told_apart_by_accuracy_where_times_are_in_doubt() -> None:
    rows = [row(FLOAT, 3000), row(DYNAMIC, 1000, lost=2, gained=1, p50_ms=0.3), row(INT8, 1010, lost=1, gained=1, p50_ms=3.0)]
    assert only(rows)[0] == DYNAMIC
    for found in rows[1:]:
        assert found.latency
        found.latency.validity = Validity(verdict="invalid", reasons=[Reason(code="too_noisy", text="too noisy")])
    artifact, sentence = only(rows)
    assert artifact == INT8
    assert "the most accurate within 2 % of the smallest download" in sentence


def test_downloads_that_hardly_differ_are_told_apart_by_speed() -> None:
    rows = [row(FLOAT, 300), row(DYNAMIC, 1000, p50_ms=3.0), row(INT8, 1010, p50_ms=0.3)]
    rows[0] = row(FLOAT, 3000)
    artifact, sentence = only(rows)
    assert artifact == INT8
    assert "the fastest within 2 % of the smallest download" in sentence
    assert only([*rows[:2], row(INT8, 1030, p50_ms=0.3)])[0] == DYNAMIC
    slower_unknown = [rows[0], row(DYNAMIC, 1000, p50_ms=None), row(INT8, 1010, p50_ms=0.3)]
    assert only(slower_unknown)[0] == INT8


def test_only_float_is_left_where_all_others_lose() -> None:
    artifact, sentence = only([row(FLOAT, 300), row(INT8, 100, lost=40)])
    assert artifact == FLOAT
    assert "the only one of 2 that loses nothing" in sentence
    assert f"{INT8} is smaller, but -4.00 points" in sentence


def test_one_artifact_alone() -> None:
    assert only([row(FLOAT, 300)]) == (
        FLOAT,
        f"TFLite: ship {FLOAT}: the only one that ran; it is what the others are compared with",
    )


def test_a_format_whose_artifacts_all_lose_and_one_that_did_not_run() -> None:
    crashed = row("base-coreml-int8", 50, status="crashed")
    picks = pick_artifacts([row(FLOAT, 300), row(ONNX, 100, lost=40), crashed])
    assert [(pick.target, pick.artifact) for pick in picks] == [("tflite", FLOAT), ("onnx", None), ("coreml", None)]
    assert picks[1].sentence.startswith(f"ONNX: none to ship: all 1 measured lose top-1 against {FLOAT}, beyond chance at 95 %")
    assert f"{ONNX} comes nearest (-4.00 points, at worst" in picks[1].sentence
    assert picks[2].sentence == "Core ML: none to ship: nothing of it ran"


def test_without_labels_nothing_is_picked_unless_agreement_is_enough() -> None:
    rows = [unlabelled(FLOAT, 300, 0), unlabelled(DYNAMIC, 90, 30), unlabelled(INT8, 100, 10)]
    artifact, sentence = only(rows)
    assert artifact is None
    assert "without labelled images" in sentence
    assert "without labelled images" in only(rows[:1])[1]
    artifact, sentence = only(rows, 1.0)
    assert artifact == INT8
    assert "in agreement (-1.00 points)" in sentence


def test_several_labels_go_by_whole_sets_or_within_a_limit_by_map() -> None:
    rows = [several_labels(FLOAT, 300, 0.8, 0), several_labels(DYNAMIC, 90, 0.795, 40), several_labels(INT8, 100, 0.79, 2)]
    artifact, sentence = only(rows)
    assert artifact == INT8
    assert "in images with all classes right at 95 %" in sentence
    assert only(rows, 0.5)[0] == DYNAMIC


def test_without_a_float_artifact_there_is_nothing_to_compare_with() -> None:
    alone = row(INT8, 100, accuracy=None, flips=Flips(reference="source", images=32, count=1))
    artifact, sentence = only([alone])
    assert artifact is None
    assert f"no float artifact was measured beside {INT8}" in sentence


def test_accuracies_that_were_not_paired_are_compared_as_two_samples() -> None:
    """As a phone writes them: 900 of 1,000 right, and 880, or 800. Newcombe's interval of the first difference holds 0."""
    phone = [row(FLOAT, 300), row(INT8, 100, lost=20, flips=None)]
    assert only(phone)[0] == INT8
    assert only([phone[0], row(INT8, 100, lost=100, flips=None)])[0] == FLOAT


@pytest.mark.parametrize(("lost", "gained"), [(6, 0), (5, 0), (9, 1), (9, 2), (30, 15), (0, 30)])
def test_a_loss_counts_exactly_where_mcnemar_finds_one(lost: int, gained: int) -> None:
    chosen = only([row(FLOAT, 300), row(INT8, 100, lost=lost, gained=gained)])[0]
    assert (chosen == FLOAT) == (lost > gained and mcnemar_p(lost, gained) < 0.05)
