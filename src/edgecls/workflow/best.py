"""How a search ends: the finalists measured once more side by side, and what is written of the pick."""

from __future__ import annotations

import datetime
import math
import shutil
from pathlib import Path
from typing import Any

from edgecls.data.imagenet import IMAGENET, are_imagenet
from edgecls.data.parts import has_images_for
from edgecls.records.artifact import Manifest
from edgecls.records.event import Event, OnEvent
from edgecls.records.measurement import Measurement
from edgecls.records.optimization import OPTIMIZATION_NAME, Optimization
from edgecls.records.pick import Pick
from edgecls.records.report import DataUsed, Report
from edgecls.records.toml_text import to_toml
from edgecls.records.trial import Trial
from edgecls.reporting import Run, report_html
from edgecls.reporting.optimization import advice_of, sentence_of
from edgecls.search import Choice, choose
from edgecls.system.store import staging, write_text
from edgecls.version import __version__
from edgecls.workflow.content import remembered
from edgecls.workflow.results import RESULTS_NAME
from edgecls.workflow.trial_bench import value_of
from edgecls.workflow.trial_search import TrialSearch

BEST, RECIPE_NAME, PAGE_NAME = "best", "best.toml", "report.html"
_FINALISTS = 3  # of latency, which one run after another tells less well than side by side


def conclude(search: TrialSearch, seconds: float, on_event: OnEvent) -> Optimization:
    """Choose, measure the choice beside post-training int8, and write page, record and what makes the pick again."""
    request, goal = search.request, search.request.goal
    on_event(Event("measuring the best once more"))
    choice, final = _decide(search, choose(search.trials, goal))
    plain = next((trial for trial in search.trials if trial.candidate == search.space.untrained[0]), None)
    rows = {row.artifact: row for row in final.measurements}
    others = choice.passed_over if choice.pick else choice.nearest
    sentence = sentence_of(choice.pick, others, plain, goal, request.against, rows)
    found = Optimization(
        created=datetime.datetime.now(datetime.UTC),
        edgecls_version=__version__,
        source_sha256=search.prepared.source_sha256,
        goal=goal,
        against=request.against,
        halves=search.prepared.halves,
        reference=search.reference,
        trials=search.trials,
        pick=choice.pick.candidate.name if choice.pick else None,
        sentence=sentence,
        advice=[] if _is_smaller(choice.pick, plain) else _advice(search),
        ended=search.ended,
        seconds=round(seconds, 1),
        notes=search.prepared.notes,
    )
    _write_page(search, found, final)
    if choice.pick:
        _write_best(search, choice.pick, final, sentence)
    else:
        _withdraw_best(request.folder, on_event)
    write_text(request.folder / OPTIMIZATION_NAME, found.to_json())
    return found


def _is_smaller(pick: Trial | None, plain: Trial | None) -> bool:
    """Whether the search has found more than post-training int8 gives."""
    if pick is None or (plain is not None and pick.candidate == plain.candidate):
        return False
    return plain is None or (pick.value or math.inf) < (plain.value or math.inf)


def _advice(search: TrialSearch) -> list[str]:
    request, prepared = search.request, search.prepared
    return advice_of(
        search.trials,
        request.goal,
        request.against,
        prepared.refusal,
        time_is_over=search.lacks_time,
        set_apart=prepared.set_apart,
    )


def _decide(search: TrialSearch, choice: Choice) -> tuple[Choice, Report]:
    """The choice, and a run of all that it is about, side by side; of latency, that run decides."""
    goal = search.request.goal
    finalists = [choice.pick] if choice.pick else choice.nearest[:1]
    if choice.pick and goal.minimize == "latency":
        held = [trial for trial in search.trials if trial.holds(goal.within_points)]
        finalists = sorted(held, key=lambda trial: trial.value or 0.0)[:_FINALISTS]
    plain = [trial for trial in search.trials if trial.candidate == search.space.untrained[0] and trial.status == "measured"]
    named: dict[str, Any] = {}
    for trial in dict.fromkeys(trial.candidate for trial in (*finalists, *plain)):
        named |= search.named(trial, Manifest.read(search.artifacts(trial)))
    report = search.bench.measure(named, search.judging)
    if choice.pick is None or goal.minimize != "latency":
        return choice, report
    reference, *rows = report.measurements

    def value(trial: Trial) -> float:
        own = [row for row in rows if row.artifact in {measured.artifact for measured in trial.choosing}]
        return value_of(own, reference, "latency") or math.inf

    fastest = min(finalists, key=value)
    return Choice(fastest.model_copy(update={"value": value(fastest)}), choice.passed_over), report


def _write_page(search: TrialSearch, found: Optimization, final: Report) -> None:
    """The Pareto page: every trial on the choosing half, and the pick."""
    rows = [search.reference, *(row for trial in search.trials for row in trial.choosing)]
    used = DataUsed(path=str(search.choosing), images=search.prepared.halves[0], labelled=True, note="the half that chooses")
    picks = _picks(found.pick, found.sentence, search)
    update = {"measurements": rows, "data": used, "picks": picks, "source_sha256": found.source_sha256, "created": found.created}
    report = final.model_copy(
        update={**update, "notes": [*final.notes, "trials were measured one after another; `ratio` compares"]}
    )
    write_text(search.request.folder / RESULTS_NAME, report.to_json())
    write_text(search.request.folder / PAGE_NAME, report_html([Run(f"trials of {search.request.model.name}", report)]))


def _picks(pick: str | None, sentence: str, search: TrialSearch) -> list[Pick]:
    goal = search.request.goal
    several = len(goal.targets) > 1
    names = {
        target: f"{pick}-{target}" if several and pick else pick for target in goal.targets
    }  # as `TrialSearch.named` calls them
    return [
        Pick(target=target, artifact=name, within_points=goal.within_points, sentence=sentence) for target, name in names.items()
    ]


def _write_best(search: TrialSearch, pick: Trial, final: Report, sentence: str) -> None:
    """The artifacts folder of the pick with its measurements, which `embed` takes, and the recipe that makes it again."""
    folder = search.request.folder
    source = search.artifacts(pick.candidate)
    manifest = Manifest.read(source)
    names = {name: row.name for name, (_, row) in search.named(pick.candidate, manifest).items()}
    rows = [_renamed(row, names) for row in final.measurements if row.artifact in names or row is final.measurements[0]]
    picks = [
        Pick(target=row.target, artifact=row.name, within_points=search.request.goal.within_points, sentence=sentence)
        for row in manifest.artifacts
    ]
    report = final.model_copy(update={"measurements": rows, "picks": picks, "source_sha256": manifest.source.sha256})
    with staging(folder) as staged:
        shutil.copytree(source, staged / BEST)
        (staged / BEST / RESULTS_NAME).write_text(report.to_json(), encoding="utf-8")
        shutil.rmtree(folder / BEST, ignore_errors=True)
        (staged / BEST).rename(folder / BEST)
    write_text(folder / RECIPE_NAME, _recipe(search, pick))


def _renamed(row: Measurement, names: dict[str, str]) -> Measurement:
    return row.model_copy(update={"artifact": names.get(row.artifact, row.artifact)})


def _withdraw_best(folder: Path, on_event: OnEvent) -> None:
    """Take away the pick of an earlier search, which had another limit or other formats."""
    if not (folder / BEST).exists() and not (folder / RECIPE_NAME).exists():
        return
    (folder / RECIPE_NAME).unlink(missing_ok=True)
    shutil.rmtree(folder / BEST, ignore_errors=True)
    on_event(Event("trial", remark=f"{BEST} and {RECIPE_NAME} of an earlier search removed: this one has no pick"))


def _placed(path: Path) -> str:
    """A path from the root, for a recipe that lies elsewhere; the labels that come with the package have none."""
    return IMAGENET if are_imagenet(path) else str(path.absolute())


def _recipe(search: TrialSearch, pick: Trial) -> str:
    """What `edgecls run` makes the same files of."""
    request, candidate = search.request, pick.candidate
    opening = ("labels", "weights", "preprocess", "fit", "filter", "model_output", "signature", "input_size", "custom_objects")
    given = {name: getattr(request, name) for name in opening}
    recipe = candidate.recipe.model_dump(mode="json", exclude_none=True) if candidate.recipe else {}
    convert = {
        "targets": list(request.goal.targets),
        "schemes": f"float32,{candidate.scheme}",
        "calibration_images": request.calibration_images,
        "estimator": candidate.estimator,
        "keep_float": pick.keep_float or None,
    }
    content = {
        "model": str(request.model.absolute()),
        "data": remembered(request.data),
        "out": "again",
        **{name: _placed(value) if isinstance(value, Path) else value for name, value in given.items()},
        **recipe,
        "convert": convert,
    }
    if not has_images_for(request.data, "data"):
        content["bench"] = {"data": str(search.judging.absolute())}
    return f"# {candidate.name}, as `edgecls optimize` found it; `edgecls run {RECIPE_NAME}` makes the same files.\n\n{to_toml(content)}"
