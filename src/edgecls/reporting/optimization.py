"""The table of a search, and its trials in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from edgecls.records.counted import counted
from edgecls.records.latency import Latency
from edgecls.records.measurement import Measurement
from edgecls.records.optimization import Optimization
from edgecls.records.trial import Candidate, Goal, Minimize, Trial
from edgecls.reporting.findings import DOUBTFUL
from edgecls.reporting.grid import Column, Grid, make_grid
from edgecls.reporting.summary import doubt_notes
from edgecls.reporting.units import format_bytes, format_ms


def optimization_grid(found: Optimization) -> Grid:
    """All trials, the smallest first; those without figures at the end. What is to be small has a place in any window."""
    points, minimize = found.goal.within_points, found.goal.minimize
    rows = sorted(found.trials, key=lambda trial: (trial.value is None, trial.value or 0.0))
    figures: dict[Minimize, Column[Trial]] = {
        "download": Column("download", _sum(lambda row: row.compressed_bytes), numeric=True, rank=1),
        "size": Column("size", _sum(lambda row: row.size_bytes), numeric=True, rank=2),
        "latency": Column("of float's", _of_float, numeric=True),
    }
    sizes = [column for name, column in figures.items() if name not in (minimize, "latency")]
    columns = [
        Column[Trial]("candidate", lambda trial: trial.candidate.name),
        replace(figures[minimize], rank=0),
        Column[Trial]("verdict", lambda trial: verdict(trial, points, found.pick)),
        Column[Trial]("choosing", lambda trial: _points(trial.choosing_drop), numeric=True),
        Column[Trial]("judging", lambda trial: _points(trial.judging_drop), numeric=True),
        *sizes,
        Column[Trial]("p50 ms", _p50, numeric=True, rank=1),
        Column[Trial]("seconds", lambda trial: f"{trial.seconds:.0f}", numeric=True, rank=3),
    ]
    return make_grid(columns, rows, lambda trial: trial.status == "measured", _notes(found))


def verdict(trial: Trial, points: float, pick: str | None) -> str:
    """What became of a trial, in a few words."""
    if trial.candidate.name == pick:
        return "the pick"
    if trial.status != "measured":
        return trial.status
    if trial.holds(points):
        return "within"
    if not trial.is_chosen(points):
        return "loses too much"
    return "too much in judging" if trial.judging_drop is not None else "within, not smaller"


def describe_trial(trial: Trial, goal: Goal, number: int, *, is_best: bool) -> str:
    """A finished trial in a line."""
    start = f"trial {number}: {trial.candidate.name}"
    if trial.status != "measured":
        return f"{start}: {trial.status}: {trial.reason}"
    lost = f"loses {_points(trial.choosing_drop)} points"
    if trial.judging_drop is not None:
        lost = f"{lost}, {_points(trial.judging_drop)} on the judging half"
    best = "; the best so far" if is_best else ""
    return f"{start}: {format_value(trial.value, goal.minimize)}, {lost}{best} ({trial.seconds:.0f} s)"


def describe_progress(names: Sequence[str], number: int, best: Trial | None, goal: Goal, seconds_left: float) -> str:
    """What is at work, the best so far and the time left."""
    so_far = f"best {best.candidate.name}, {format_value(best.value, goal.minimize)}" if best else "none within the limit yet"
    return f"trial {number}: {', '.join(names) or 'choosing'} · {so_far} · {format_time(seconds_left)} left"


def format_value(value: float | None, minimize: Minimize) -> str:
    """`38.1 KiB`, or `0.42 of the float model's latency`."""
    if value is None:
        return "unknown"
    return f"{value:.2f} of the float model's latency" if minimize == "latency" else format_bytes(round(value))


def format_time(seconds: float) -> str:
    """`12:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _note_on_few(found: Optimization) -> list[str]:
    """That a limit is finer than what the images can tell."""
    points, limit = 100 / min(found.halves), found.goal.within_points
    if found.reference.accuracy is None or not 0 < limit < points:
        return []
    return [
        f"one image of {min(found.halves)} is {points:.2f} points: a limit of {limit:g} lets none go that another does not make up for"
    ]


def _notes(found: Optimization) -> list[str]:
    model = "the model" if found.against == "base" else "a control that was trained as long without compression"
    halves = f"{found.halves[0]} held-out images choose, {found.halves[1]} others judge"
    notes = [f"points of accuracy lost against {model}; {halves}", *_note_on_few(found)]
    reasons = [f"{trial.candidate.name} {trial.status}: {trial.reason}" for trial in found.trials if trial.status != "measured"]
    rows = [found.reference, *(row for trial in found.trials for row in trial.choosing)]
    doubts = doubt_notes(rows) if found.goal.minimize == "latency" else []  # elsewhere it is only shown
    return [*notes, *doubts, *reasons, f"ended: {found.ended}", *found.notes]


def _points(drop: float | None) -> str:
    return "" if drop is None else f"{drop + 0.0:.2f}"


def _sum(of: Callable[[Measurement], int]) -> Callable[[Trial], str]:
    return lambda trial: format_bytes(sum(of(row) for row in trial.choosing))


def _p50(trial: Trial) -> str:
    found: list[Latency] = [row.latency for row in trial.choosing if row.latency is not None]
    return " + ".join(format_ms(latency.p50_ms) for latency in found)


def _of_float(trial: Trial) -> str:
    """The latency beside the float model's, marked where it is no fair comparison."""
    if not trial.value:
        return ""
    doubtful = any(row.latency and row.latency.validity and row.latency.validity.reasons for row in trial.choosing)
    return f"{trial.value:.2f}" + (DOUBTFUL if doubtful else "")


def sentence_of(
    pick: Trial | None,
    others: Sequence[Trial],
    plain: Trial | None,
    goal: Goal,
    against: str,
    rows: Mapping[str, Measurement],
) -> str:
    """What to ship and why, or why nothing.

    Args:
        others: smaller ones that the judging half did not find within the limit; without a pick, the nearest ones.
        plain: post-training int8.
        rows: of a run that had both side by side, by their names.
    """
    limit = f"{goal.within_points:g} points"
    model = "the model" if against == "base" else "the control"
    if pick is None:
        if not others:
            return "nothing to ship: no candidate could be measured"
        nearest = others[0]
        lost = _both(nearest)
        return f"nothing to ship: no candidate is within {limit} of {model}; {nearest.candidate.name} comes nearest ({lost})"
    compared = _compared(pick, plain, goal.minimize, rows)
    passed = f"; {counted(len(others), 'smaller one')} did not hold on the judging half" if others else ""
    return f"ship {pick.candidate.name}: {compared}; against {model} it loses {_both(pick)}, of {limit}{passed}"


def _both(trial: Trial) -> str:
    """What a trial loses, on either half."""
    judged = (
        "the judging half was not asked" if trial.judging_drop is None else f"{_points(trial.judging_drop)} on the judging half"
    )
    return f"{_points(trial.choosing_drop)} points on the choosing half and {judged}"


def _compared(pick: Trial, plain: Trial | None, minimize: Minimize, rows: Mapping[str, Measurement]) -> str:
    """How small the pick is beside post-training int8, by the run that had both side by side."""
    if minimize == "latency":
        own, theirs = (_medians(trial, rows) for trial in (pick, plain))
        value = " + ".join(f"{format_ms(median)} ms" for median in own)
        ratio = math.prod(own) / math.prod(theirs) if own and len(own) == len(theirs) else None
        ratio = ratio ** (1 / len(own)) if ratio else None
        what = f"a median latency of {value}"
    else:
        ratio = pick.value / plain.value if pick.value and plain and plain.value else None
        what = f"{'a download' if minimize == 'download' else 'a size'} of {format_value(pick.value, minimize)}"
    if ratio is None or (plain and plain.candidate == pick.candidate):
        return what
    return f"{what}, {ratio:.2f} of post-training int8's"


def _medians(trial: Trial | None, rows: Mapping[str, Measurement]) -> list[float]:
    found = [rows[row.artifact].latency for row in trial.choosing if row.artifact in rows] if trial else []
    return [latency.p50_ms for latency in found if latency is not None]


def advice_of(
    trials: Sequence[Trial], goal: Goal, against: str, refusal: str, *, time_is_over: bool, set_apart: bool = False
) -> list[str]:
    """What would help where nothing that is smaller than post-training int8 is within the limit.

    Args:
        refusal: why the model cannot be trained; empty where it can.
        set_apart: whether the held-out images are a part of their own, and no share of those that the model may know.
    """
    points = goal.within_points
    lost = [trial for trial in trials if _worst_drop(trial) > points]
    if any(trial.holds(points) for trial in trials):  # only what is smaller than int8 would be better than that
        plain = next((trial.value for trial in trials if trial.candidate == Candidate() and trial.value), math.inf)
        lost = [trial for trial in lost if trial.value is not None and trial.value < plain]
    advice = []
    if lost:
        advice.append(f"a wider limit: --within 'drop<={math.ceil(10 * min(map(_worst_drop, lost))) / 10:g}'")
    trained = [trial for trial in trials if trial.candidate.stages and trial.status == "measured"]
    if refusal:
        advice.append(f"a model that can be trained: {refusal}")
    elif trained or lost:
        advice.append("longer training, with --epochs, or more images")
    if against == "base" and not set_apart and trained and not any(trial.holds(points) for trial in trained):
        advice.append(
            "images that the model has not been trained on, as the val part of --data: it knows its own, the held-out ones too, which "
            "training without them forgets; or --against control, which has forgotten as much"
        )
    if time_is_over:
        advice.append("more time: the same command goes on where this one ended")
    return advice


def _worst_drop(trial: Trial) -> float:
    """Points that a trial loses on the worse half; none where it was not asked."""
    return max((drop for drop in (trial.choosing_drop, trial.judging_drop) if drop is not None), default=0.0)
