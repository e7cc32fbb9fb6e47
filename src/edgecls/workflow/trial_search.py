"""The search itself: candidates are proposed, made elsewhere, measured here, and kept by their content."""

from __future__ import annotations

import concurrent.futures
import datetime
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecls.crew import BenchOptions
from edgecls.errors import EdgeclsError, InputError, MachineError, OutputError, RemoteError, StageError, WorkerError
from edgecls.formats import change_since_conversion
from edgecls.records.artifact import Artifact, Manifest
from edgecls.records.counted import counted
from edgecls.records.event import Event, OnEvent
from edgecls.records.measurement import Measurement
from edgecls.records.recipe import Recipe, fingerprint, variant_name
from edgecls.records.trial import TRIAL_NAME, Candidate, Trial
from edgecls.reporting.optimization import describe_progress, describe_trial
from edgecls.search import Allowance, LossBar, Space, Strategy, best_of
from edgecls.search.stopping import loss_bar
from edgecls.system.store import write_text
from edgecls.version import __version__
from edgecls.workflow.held_out import CHOOSING_NAME, JUDGING_NAME
from edgecls.workflow.opening import ModelOptions
from edgecls.workflow.optimize_options import OptimizeRequest, common_schemes
from edgecls.workflow.trial_bench import TrialBench, drop_of, value_of
from edgecls.workflow.trial_making import ARTIFACTS, VARIANTS, MadeTrial, Prepared, TrialJob, make_trial, prepare
from edgecls.workflow.trial_places import TrialPlace

_TICK_S = 1.0
_QUICK = BenchOptions(min_seconds=0.2, min_runs=20)  # where latency is only shown


@dataclass(frozen=True)
class _UnderWay:
    """A trial that is being made."""

    candidate: Candidate
    folder: Path


class TrialSearch:
    """All trials of one model, data and goal.

    Args:
        local: a process of ours, which prepares the images and makes the float model's artifact.
        place: makes the trials.
        allowance: how long.
        on_event: told what is at work, and of every finished trial.

    Attributes:
        trials: those that are finished, kept ones too.
        ended: why the search did, for people; `lacks_time`: whether with more time it would go on.

    Raises:
        InputError: a model or data that cannot be used.
        StageError: the float model could not be converted or measured.
    """

    def __init__(
        self, request: OptimizeRequest, local: TrialPlace, place: TrialPlace, allowance: Allowance, on_event: OnEvent
    ) -> None:
        self.request, self._place, self._allowance, self._on_event = request, place, allowance, on_event
        self._options = ModelOptions(**{name: getattr(request, name) for name in ModelOptions.__dataclass_fields__})
        request.folder.mkdir(parents=True, exist_ok=True)
        on_event(Event(f"reading {request.model.name} and its images"))
        self.prepared: Prepared = local.submit(prepare, self._options, request.data, request.training, request.folder).result()
        training = None if self.prepared.refusal else request.training
        self.space = Space(request.goal, common_schemes(request.goal), training, self.prepared.multiples)
        measured_with = (request.goal.minimize, request.machine.name if request.machine else "")
        options = (request.against, str(request.calibration_images), *request.goal.targets, *measured_with)
        self._facts = (*self.prepared.facts, __version__, request.training.model_dump_json(), *options)
        latency = BenchOptions() if request.goal.minimize == "latency" else _QUICK
        self.bench = TrialBench(self.prepared, self._reference(local), latency, request.machine)
        self.reference = self._measure({}, CHOOSING_NAME)[0]
        if self.reference.status != "ok":
            raise StageError("a float model that runs", self.reference.reason, "see what `edgecls convert` says of it")
        self.trials = self._kept()
        self.ended, self.lacks_time = "", False
        self._under_way: dict[concurrent.futures.Future[MadeTrial], _UnderWay] = {}
        self._made: list[tuple[concurrent.futures.Future[MadeTrial], _UnderWay]] = []  # and not yet measured

    @property
    def choosing(self) -> Path:
        """The images that choose."""
        return self.request.folder / CHOOSING_NAME

    @property
    def judging(self) -> Path:
        """The images that judge."""
        return self.request.folder / JUDGING_NAME

    def artifacts(self, candidate: Candidate) -> Path:
        """Where a candidate's artifacts are."""
        return self._folder(candidate) / ARTIFACTS

    def run(self, strategy: Strategy) -> None:
        """Try one candidate after another until time or trials are used up, or the strategy has no more.

        Raises:
            OutputError: a full disk. Finished trials stay.
            MachineError: the scheduler of a cluster has gone, or a worker's machine has no room. They stay too.
        """
        self._judge_kept()
        while True:
            self._begin_more(strategy)
            if not self._under_way:
                break
            done, _ = concurrent.futures.wait(self._under_way, _TICK_S, concurrent.futures.FIRST_COMPLETED)
            self._made = [(future, self._under_way.pop(future)) for future in done]
            if self._made and self._place.is_elsewhere:  # no worker is to wait while files are measured here
                self._begin_more(strategy)
            while self._made:
                self._finish(*self._made.pop(0))
            self._tell_progress()
            if not done and not self._allowance.seconds_left:
                names = ", ".join(item.candidate.name for item in self._under_way.values())
                self.ended = f"the time is over; {names} was not finished and goes on where it stopped in another run"
                self.lacks_time = True
                return

    def _begin_more(self, strategy: Strategy) -> None:
        while len(self._under_way) < self._place.slots:
            unknown = [*self._under_way.values(), *(item for _, item in self._made)]
            known = [*self.trials, *(self._trial(item.candidate, "failed") for item in unknown)]
            if not self._allowance.allows(known):
                if not self.ended:
                    self.lacks_time = not self._allowance.seconds_left
                    self.ended = "the time is over" if self.lacks_time else "the trials are used up"
                return
            candidate = strategy(self.space, known, self._allowance.seconds_left)
            if candidate is None:
                self.lacks_time = strategy(self.space, known, math.inf) is not None
                why = "the time left is too short for another trial", "nothing that is left promises to be better"
                self.ended = why[0] if self.lacks_time else why[1]
                return
            self.ended, self.lacks_time = "", False
            item = _UnderWay(candidate, self._folder(candidate))
            self._under_way[self._place.submit(make_trial, self._job(candidate))] = item
            self._tell_progress()

    def _finish(self, future: concurrent.futures.Future[MadeTrial], item: _UnderWay) -> None:
        """Measure what was made, and keep the trial."""
        says_nothing = False  # of the candidate, which another run tries again
        try:
            made = future.result()
        except (OutputError, MachineError):
            raise
        except (EdgeclsError, RemoteError) as error:
            trial = self._trial(item.candidate, "failed", reason=str(error)[:300])
            says_nothing = isinstance(error, WorkerError)  # its process died, for want of memory say
        else:
            trial = self._measured(item, made)
        if not says_nothing:
            write_text(item.folder / TRIAL_NAME, trial.to_json())
        before = best_of(self.trials, self.request.goal.within_points)
        self.trials.append(trial)
        is_best = best_of(self.trials, self.request.goal.within_points) is trial and trial is not before
        self._on_event(Event("trial", remark=describe_trial(trial, self.request.goal, len(self.trials), is_best=is_best)))

    def _measured(self, item: _UnderWay, made: MadeTrial) -> Trial:
        facts: dict[str, Any] = {"held_out_loss": made.held_out_loss, "trained": made.trained, "seconds": round(made.seconds, 1)}
        if made.manifest is None:
            return self._trial(item.candidate, "given up", reason=made.reason, **facts)
        wrong = [row for row in made.manifest.artifacts if row.status != "ok"]
        if wrong:
            reason = "; ".join(
                f"{row.name} {row.status}: {row.reason or (row.parity.reason if row.parity else '')}" for row in wrong
            )
            return self._trial(item.candidate, "failed", reason=reason[:300], **facts)
        named = self.named(item.candidate, made.manifest)
        started = time.monotonic()
        reference, *rows = self._measure(named, CHOOSING_NAME)
        broken = [row for row in rows if row.status != "ok"]
        if broken:
            return self._trial(item.candidate, "failed", reason=broken[0].reason, choosing=rows, **facts)
        goal = self.request.goal
        facts |= {"choosing": rows, "choosing_drop": drop_of(rows, reference), "value": value_of(rows, reference, goal.minimize)}
        facts["keep_float"] = list(dict.fromkeys(name for row in made.manifest.artifacts for name in row.requested.keep_float))
        trial = self._trial(item.candidate, "measured", **facts)
        if trial.is_chosen(goal.within_points) and self._is_better(trial):
            trial = self._judged(trial, made.manifest)
        return trial.model_copy(update={"seconds": round(trial.seconds + time.monotonic() - started, 1)})

    def _judged(self, trial: Trial, manifest: Manifest) -> Trial:
        """A trial with what the judging half says."""
        reference, *rows = self._measure(self.named(trial.candidate, manifest), JUDGING_NAME)
        return trial.model_copy(update={"judging": rows, "judging_drop": drop_of(rows, reference)})

    def _judge_kept(self) -> None:
        """Of an earlier run with another limit, those that it did not judge and that are now in question."""
        points = self.request.goal.within_points
        for trial in sorted(self.trials, key=lambda trial: trial.value or 0.0):
            if trial.is_chosen(points) and trial.judging_drop is None and self._is_better(trial):
                judged = self._judged(trial, Manifest.read(self.artifacts(trial.candidate)))
                self.trials[self.trials.index(trial)] = judged
                write_text(self._folder(trial.candidate) / TRIAL_NAME, judged.to_json())

    def named(self, candidate: Candidate, manifest: Manifest) -> dict[str, tuple[Path, Artifact]]:
        """A candidate's artifacts by the names that their rows have."""
        rows = manifest.artifacts
        names = [candidate.name if len(rows) == 1 else f"{candidate.name}-{row.target}" for row in rows]
        return {name: (self.artifacts(candidate), row) for name, row in zip(names, rows, strict=True)}

    def _is_better(self, trial: Trial) -> bool:
        best = best_of(self.trials, self.request.goal.within_points)
        return best is None or (trial.value or 0.0) < (best.value or 0.0)

    def _measure(self, named: dict[str, tuple[Path, Artifact]], images: str) -> list[Measurement]:
        return self.bench.measure(named, self.request.folder / images).measurements

    def _trial(self, candidate: Candidate, status: Any, **facts: Any) -> Trial:
        now = datetime.datetime.now(datetime.UTC)
        return Trial(created=now, candidate=candidate, fingerprint=self._fingerprint(candidate), status=status, **facts)

    def _fingerprint(self, candidate: Candidate) -> str:
        return fingerprint(candidate, *self._facts)

    def _folder(self, candidate: Candidate) -> Path:
        plain = candidate.name.replace("(", "-").replace(")", "")
        return self.request.folder / "trials" / f"{plain}-{self._fingerprint(candidate)[:8]}"

    def _kept(self) -> list[Trial]:
        """What an earlier run has finished with the same model, data and options."""
        found = []
        for path in sorted((self.request.folder / "trials").glob(f"*/{TRIAL_NAME}")):
            try:
                trial = Trial.read(path.parent)
            except EdgeclsError:
                continue  # damaged: made anew
            is_same = trial.fingerprint == self._fingerprint(trial.candidate) and path.parent == self._folder(trial.candidate)
            if is_same and (trial.status != "measured" or _are_whole(path.parent / ARTIFACTS)):
                found.append(trial)
        bar = loss_bar(found, self.request.goal.within_points)
        kept = [trial for trial in found if not _is_no_longer_hopeless(trial, bar)]
        if kept:
            self._on_event(Event("trial", remark=f"{counted(len(kept), 'trial')} of an earlier run kept"))
        return sorted(kept, key=lambda trial: trial.created)

    def _job(self, candidate: Candidate) -> TrialJob:
        return TrialJob(
            model=self._options,
            data=self.request.data,
            calibration_images=self.request.calibration_images,
            candidate=candidate,
            targets=self.request.goal.targets,
            folder=self._folder(candidate),
            choosing=self.choosing,
            bar=loss_bar(self.trials, self.request.goal.within_points),
            finished=tuple(self._finished(candidate)),
        )

    def _finished(self, candidate: Candidate) -> Iterator[Path]:
        """Variants that a candidate starts from and that another trial has trained."""
        for length in range(1, len(candidate.stages) + 1):
            start = candidate.start(length)
            made = [*(trial.candidate for trial in self.trials), *(item.candidate for _, item in self._made)]
            makers = (one for one in made if one.start(length) == start)
            paths = (self._folder(one) / VARIANTS / variant_name(start[0]) for one in makers)
            yield from [path for path in paths if path.is_dir()][:1]

    def _reference(self, local: TrialPlace) -> Path:
        """The folder of the float32 artifact that all are held against; made where it is not there."""
        request = self.request
        recipe = Recipe(control=True, training=request.training) if request.against == "control" else None
        candidate = Candidate(scheme="float32", recipe=recipe)
        folder = self._folder(candidate)
        if not _are_whole(folder / ARTIFACTS):
            if recipe and self.prepared.refusal:
                raise InputError(
                    "a model that can be trained for --against control", self.prepared.refusal, "leave --against out"
                )
            self._on_event(Event("training the control" if recipe else "converting the float model"))
            job = TrialJob(self._options, request.data, request.calibration_images, candidate, ("tflite",), folder, self.choosing)
            local.submit(make_trial, job).result()
        artifact = Manifest.read(folder / ARTIFACTS).artifacts[0]
        if artifact.status != "ok":
            reason = artifact.reason or (artifact.parity.reason if artifact.parity else "")
            raise StageError(
                "a float model that answers like its source", f"{artifact.status}: {reason}", "see `edgecls convert`"
            )
        return folder / ARTIFACTS

    def _tell_progress(self) -> None:
        names = [item.candidate.name for item in self._under_way.values()]
        best = best_of(self.trials, self.request.goal.within_points)
        words = describe_progress(names, len(self.trials) + 1, best, self.request.goal, self._allowance.seconds_left)
        self._on_event(Event(words))


def _are_whole(folder: Path) -> bool:
    """Whether artifacts are there as they were made; those that someone removed are made anew."""
    try:
        manifest = Manifest.read(folder)
    except EdgeclsError:
        return False
    return not any(change_since_conversion(folder / row.path, row) for row in manifest.artifacts)


def _is_no_longer_hopeless(trial: Trial, bar: LossBar) -> bool:
    """Whether a training that was given up, under a stricter limit say, may go on from its last epoch."""
    recipe = trial.candidate.recipe
    return trial.status == "given up" and recipe is not None and not bar.gives_up(trial.held_out_loss, recipe.training.epochs)
