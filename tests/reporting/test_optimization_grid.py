"""The table of a search, in windows of any width."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from edgecls.records.accuracy import Accuracy
from edgecls.records.latency import Latency, Reason, Validity
from edgecls.records.measurement import Measurement
from edgecls.records.optimization import Optimization
from edgecls.records.recipe import ChannelPruning
from edgecls.records.trial import Candidate, Goal, Minimize
from edgecls.reporting import optimization_table
from edgecls.reporting.units import format_bytes
from search_landscapes import NOW, space, trial

SIZES = {"download": 81_234, "size": 98_765}


@pytest.mark.parametrize("minimize", SIZES)
def test_what_is_to_be_small_is_shown_in_a_narrow_window(minimize: Minimize) -> None:
    found = _found(minimize, Accuracy(images=10, top1=0.9))
    for width in (200, 76):
        text = _shown(found, width)
        assert format_bytes(SIZES[minimize]) in text
    assert "no room here for" in text  # the other one, which is not what was asked for
    narrow = _shown(found, 40)
    assert "…" in narrow  # where nothing fits, every column says that it was cut off
    assert all(cell_len(line) <= 40 for line in narrow.splitlines())


@pytest.mark.parametrize(("images", "accuracy", "is_told"), [(10, True, True), (10, False, False), (200, True, False)])
def test_a_limit_finer_than_one_image_is_told(images: int, accuracy: bool, is_told: bool) -> None:
    found = _found("download", Accuracy(images=images, top1=0.9) if accuracy else None)
    found = found.model_copy(update={"halves": (images, images + 1)})
    told = "one image of 10 is 10.00 points: a limit of 0.5 lets none go that another does not make up for" in _shown(found, 200)
    assert told == is_told


@pytest.mark.parametrize("minimize", ["latency", "download"])
def test_latencies_that_are_no_fair_comparison_are_marked_where_they_decide(minimize: Minimize) -> None:
    doubt = Validity(verdict="invalid", reasons=[Reason(code="machine_loaded", text="others took 81%")])
    latency = Latency(runs=50, p50_ms=1.0, p90_ms=1.0, p99_ms=1.0, min_ms=1.0, max_ms=1.0, validity=doubt)
    slow = Measurement(artifact="", target="tflite", scheme="int8", latency=latency)
    found = _found("download", None)
    found = found.model_copy(
        update={
            "goal": Goal(within_points=0.5, minimize=minimize, targets=("tflite",)),
            "trials": [trial(Candidate(), 0.0, 0.87, 0.0, choosing=[slow])],
        }
    )
    text = _shown(found, 200)
    assert ("0.87 ?" in text) == (minimize == "latency")
    assert ("? no fair comparison of latencies: other programs at work" in text) == (minimize == "latency")


def _found(minimize: Minimize, accuracy: Accuracy | None) -> Optimization:
    row = Measurement(artifact="", target="tflite", scheme="int8", size_bytes=SIZES["size"], compressed_bytes=SIZES["download"])
    smaller = space(minimize).candidate((ChannelPruning(share=0.3),))
    return Optimization(
        created=NOW,
        edgecls_version="0",
        source_sha256="",
        goal=Goal(within_points=0.5, minimize=minimize, targets=("tflite",)),
        against="base",
        halves=(10, 10),
        reference=row.model_copy(update={"accuracy": accuracy}),
        trials=[trial(one, 0.0, float(SIZES[minimize]), 0.0, choosing=[row]) for one in (Candidate(), smaller)],
        sentence="",
        ended="",
        seconds=1.0,
    )


def _shown(found: Optimization, width: int) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(optimization_table(found, width))
    return text.getvalue()
