"""The gate: artifacts beside a baseline, and what of it breaks the budget.

Bytes are exact: any excess counts. Accuracy and flips are estimates from a sample of images: an excess counts when it is, at the
budget's confidence, more than the limit; one that might be chance is told as a warning. Mean average precision is no share of images that
could be counted, so its bare figure counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from edgecls.errors import GateError
from edgecls.evaluation.drop import paired_drop, unpaired_drop
from edgecls.gate.baseline import Baseline, BaselineAccuracy, BaselineArtifact, BaselineMultiLabel
from edgecls.gate.budget import Budget, Growth, Limits
from edgecls.records.counted import counted
from edgecls.records.finding import Finding, GateResult, Judgement, Quantity

_REMEASURE = "measure with `edgecls bench` on labelled images, or make the baseline anew with --update-baseline"


@dataclass(frozen=True)
class Current:
    """The artifacts as they are now.

    Attributes:
        state: the same as a baseline made of them would hold.
        failures: name -> why an artifact is none: it was rejected, failed, or crashed when it was run.
        doubts: name -> why its latency is not to be trusted.
        unmeasured: name -> why there is no accuracy of it.
        unsupported: those of them that cannot run on this platform.
        notes: where figures come from.
        flips_reference: the float32 artifact that the others' answers are compared with, or would be if it had not failed.
        can_compare: whether there is a float32 artifact to compare with, be it not measured yet.
        has_results: whether anything was measured.
    """

    state: Baseline
    failures: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    unsupported: Set[str] = frozenset()
    notes: tuple[str, ...] = ()
    flips_reference: str | None = None
    can_compare: bool = False
    has_results: bool = False


def compare(current: Current, baseline: Baseline, budget: Budget, *, gate_latency: bool = False) -> GateResult:
    """Hold the artifacts against the baseline.

    Args:
        gate_latency: a latency ratio beyond its limit is a violation instead of a warning.

    Raises:
        GateError: they cannot be compared: another model, a budget for unknown artifacts, or measurements that the baseline has
            and the artifacts lack.
    """
    _require_same_model(current.state, baseline)
    if gate_latency and baseline.latency_reference is None:
        raise GateError("a baseline with latencies", "none in it", "measure and make it anew, or leave --gate-latency out")
    names = sorted({*current.state.artifacts, *current.failures, *baseline.artifacts})
    budget.require_known(names)
    comparison = _Comparison(current, baseline, gate_latency)
    findings = [finding for name in names for finding in comparison.of(name, budget.limits(name))]
    return GateResult(baseline.model.name, tuple(findings), (*current.notes, *comparison.notes()))


def _require_same_model(state: Baseline, baseline: Baseline) -> None:
    now, before = state.model, baseline.model
    parts = {
        "named": (before.name, now.name),
        "of images of": tuple(f"{model.height} × {model.width} × {model.channels}" for model in (before, now)),
        "with outputs": (before.outputs, now.outputs),
        "with labels of sha256": (before.labels_sha256[:12], now.labels_sha256[:12]),
    }
    for what, (expected, found) in parts.items():
        if expected != found:
            raise GateError(
                f"artifacts of the baseline's model, {what} {expected}",
                f"{what} {found}: another model",
                "name the baseline of this model, or make one with --update-baseline",
            )


@dataclass(frozen=True)
class _Problem:
    verdict: Judgement
    text: str
    absolute: bool = False


class _Comparison:
    def __init__(self, current: Current, baseline: Baseline, gate_latency: bool) -> None:
        self._current, self._baseline, self._gate_latency = current, baseline, gate_latency
        self._unlimited: list[str] = []
        self._apart: dict[str, list[str]] = {}  # why latencies are not compared -> of which artifacts
        self._same_source = current.state.model.sha256 == baseline.model.sha256
        entries = [*current.state.artifacts.values(), *baseline.artifacts.values()]
        self._references = {entry.flips.reference for entry in entries if entry.flips} | {current.flips_reference}

    def of(self, name: str, limits: Limits) -> Iterator[Finding]:
        """All findings of one artifact."""
        before, now = self._baseline.artifacts.get(name), self._current.state.artifacts.get(name)
        failure = self._current.failures.get(name, "")
        if failure:
            verdict: Judgement = "violation" if before else "warning"
            yield Finding(name, "presence", verdict=verdict, text=failure)
        elif now is None:
            yield Finding(name, "presence", verdict="violation", text="is in the baseline and was not made")
        elif before is None:
            yield Finding(
                name, "presence", verdict="warning", text="is new: held against absolute limits only, until the baseline has it"
            )
        if now is None:
            return
        yield _bytes(name, "size", before and before.size_bytes, now.size_bytes, limits.max_size, limits.max_growth)
        yield _bytes(
            name,
            "download",
            before and before.compressed_bytes,
            now.compressed_bytes,
            limits.max_download,
            limits.max_download_growth,
        )
        if failure:
            return
        self._require_measured(name, before, now, limits)
        if now.accuracy:
            yield self._accuracy(name, before, now, now.accuracy, limits)
        if now.multilabel:
            yield _mean_average_precision(name, before and before.multilabel, now.multilabel, limits)
        if now.flips:
            yield self._flips(name, before, now, limits)
        yield from self._latency(name, before, now, limits)

    def notes(self) -> Iterator[str]:
        """What holds for all artifacts."""
        before, now = self._baseline.latency_reference, self._current.state.latency_reference
        if before and not now:
            why = "the results have none to divide by" if self._current.has_results else "nothing was measured"
            yield f"latencies are not compared: the baseline's are relative to {before}, and {why}"
        elif references := {before, now} - {None}:
            gating = "a violation" if self._gate_latency else "advice"
            processor = self._baseline.processor
            elsewhere = f"; the baseline's were measured on {processor}" if processor != self._current.state.processor else ""
            yield f"latency: relative to {' or '.join(sorted(map(str, references)))} of the same run; {gating}{elsewhere}"
        for why, names in self._apart.items():
            yield f"latency is not compared for {', '.join(names)}: {why}"
        yield from self._unlimited
        if not self._same_source:
            yield "the model was trained or saved anew since the baseline: accuracies are compared as of two samples of images"

    def _require_measured(self, name: str, before: BaselineArtifact | None, now: BaselineArtifact, limits: Limits) -> None:
        """Raise GateError where what should be compared is not there."""
        why = self._current.unmeasured.get(name, "it has none")
        accurate_before = before and (before.accuracy or before.multilabel) and limits.max_accuracy_drop is not None
        wanted = [
            ("accuracy", _of_one_kind(before, now), accurate_before, limits.min_accuracy),
            ("flips", now.flips, before and before.flips and limits.max_flips_growth is not None, limits.max_flips),
        ]
        if name in self._references:  # what the others are compared with has no flips: it never differs from itself
            wanted = wanted[:1]
        for what, found, in_baseline, absolute in wanted:
            if found is not None or not (in_baseline or absolute is not None):
                continue
            lost = self._lost_reference(before) if what == "flips" else ""
            elsewhere = why if not in_baseline and name in self._current.unsupported else ""
            if not (lost or elsewhere):
                asked = "the baseline has one" if in_baseline else "the budget limits it"
                raise GateError(f"the {what} of {name}, since {asked}", why, _REMEASURE)
            verb = "are" if what == "flips" else "is"
            self._unlimited.append(f"the {what} of {name} {verb} not limited here: {elsewhere or lost}")

    def _lost_reference(self, before: BaselineArtifact | None) -> str:
        """Why nothing can be compared: what an artifact's answers are compared with failed or has vanished, and no other can take its
        place. No new measurement would help, and it is a finding of its own."""
        if self._current.can_compare:
            return ""
        reference = before.flips.reference if before and before.flips else self._current.flips_reference
        if reference in self._current.failures:
            return f"{reference}, which they are counted against, has failed"
        vanished = reference in self._baseline.artifacts and reference not in self._current.state.artifacts
        return f"{reference}, which they are counted against, was not made" if vanished else ""

    def _accuracy(
        self, name: str, before: BaselineArtifact | None, now: BaselineArtifact, found: BaselineAccuracy, limits: Limits
    ) -> Finding:
        old = before.accuracy if before else None
        problems: list[_Problem] = []
        if limits.min_accuracy is not None and found.top1 < limits.min_accuracy:
            problems.append(
                _Problem("violation", f"top-1 is {found.top1:.2%}, and has to be {limits.min_accuracy:.2%}", absolute=True)
            )
        if before and old and limits.max_accuracy_drop is not None and _exceeds(old.top1 - found.top1, limits.max_accuracy_drop):
            drop = f"top-1 fell by {_points(old.top1 - found.top1)}, {_points(limits.max_accuracy_drop)} allowed"
            bound, how = self._drop_bound(before, now, old, found, limits.confidence)
            problems.append(_weigh(drop, bound, limits.max_accuracy_drop, limits.confidence, how))
        return _finding(name, "accuracy", old and old.top1, found.top1, problems)

    def _drop_bound(
        self, before: BaselineArtifact, now: BaselineArtifact, old: BaselineAccuracy, found: BaselineAccuracy, confidence: float
    ) -> tuple[float, str]:
        """The least drop at that confidence, and how it was found."""
        if not confidence:
            return old.top1 - found.top1, ""
        pairs = _changed_images(before, now) if self._same_source else None
        if (
            pairs
            and abs((pairs[0] - pairs[1]) - (old.top1 - found.top1) * found.images) <= 1 + old.tied_images + found.tied_images
        ):
            lost, gained = pairs
            return paired_drop(lost, gained, found.images, confidence), f"{counted(lost, 'image')} lost, {gained} gained"
        return unpaired_drop(
            old.top1, old.images, found.top1, found.images, confidence
        ), f"{counted(found.images, 'image')}, not paired"

    def _flips(self, name: str, before: BaselineArtifact | None, now: BaselineArtifact, limits: Limits) -> Finding:
        assert now.flips
        share, what = now.flips.count / now.flips.images, "sets of classes" if now.multilabel else "winners"
        old = before.flips if before else None
        old_share = old.count / old.images if old else None
        problems: list[_Problem] = []
        if limits.max_flips is not None and _exceeds(share, limits.max_flips):
            problems.append(
                _Problem(
                    "violation",
                    f"{share:.2%} of the {what} differ from {now.flips.reference}'s, {limits.max_flips:.2%} allowed",
                    absolute=True,
                )
            )
        if (
            old
            and old_share is not None
            and limits.max_flips_growth is not None
            and _exceeds(share - old_share, limits.max_flips_growth)
        ):
            growth = f"flips grew by {_points(share - old_share)}, {_points(limits.max_flips_growth)} allowed"
            bound = share - old_share
            if limits.confidence:
                bound = unpaired_drop(share, now.flips.images, old_share, old.images, limits.confidence)
            how = f"{now.flips.count} of {now.flips.images} images, {old.count} of {old.images} before"
            problems.append(_weigh(growth, bound, limits.max_flips_growth, limits.confidence, how))
        return _finding(name, "flips", old_share, share, problems)

    def _latency(self, name: str, before: BaselineArtifact | None, now: BaselineArtifact, limits: Limits) -> Iterator[Finding]:
        old = before.latency_ratio if before else None
        same_reference = self._baseline.latency_reference == self._current.state.latency_reference
        apart = self._measured_apart(name) if old and now.latency_ratio else ""
        if self._gate_latency and old is not None:
            self._require_latency(name, now, same_reference, apart)
        if now.latency_ratio is None:
            return
        if apart:
            self._apart.setdefault(apart, []).append(name)
        problems: list[_Problem] = []
        limit = limits.max_latency_growth
        if old and not apart and limit is not None and _exceeds(now.latency_ratio / old - 1, limit):
            text = (
                f"latency is {_times(now.latency_ratio)} times {self._current.state.latency_reference}'s, {_times(old)} times before "
                f"({_change_text(old, now.latency_ratio)}, {limit:+.1%} allowed)"
            )
            doubt = self._current.doubts.get(name)
            problems.append(
                _Problem(
                    "violation" if self._gate_latency else "warning", text + (f"; not to be trusted: {doubt}" if doubt else "")
                )
            )
        yield _finding(name, "latency", None if apart else old, now.latency_ratio, problems)

    def _measured_apart(self, name: str) -> str:
        """Why its latency may differ without a change of the artifact: another reference, other instruction sets, or another engine of
        it or the reference.

        What is not known is only like what is not known.
        """
        before, now = self._baseline, self._current.state
        if before.latency_reference != now.latency_reference:
            return f"the baseline's is relative to {before.latency_reference}, this one to {now.latency_reference}"
        if before.instruction_sets != now.instruction_sets:
            then, here = (" ".join(state.instruction_sets) or "unknown instruction sets" for state in (before, now))
            return f"the baseline's was measured with {then}, this one with {here}"
        for measured in (name, now.latency_reference or name):
            then, here = (state.artifacts[measured].engine if measured in state.artifacts else "" for state in (before, now))
            if then != here:
                return (
                    f"the baseline's was measured with {then or 'an unknown engine'}, this one with {here or 'an unknown engine'}"
                )
        return ""

    def _require_latency(self, name: str, now: BaselineArtifact, same_reference: bool, apart: str) -> None:
        """Raise GateError where a latency should gate and cannot."""
        remedy = "measure again on a quiet machine that is none of an emulator, or leave --gate-latency out"
        reference = self._baseline.latency_reference
        doubt = self._current.doubts.get(name) or self._current.doubts.get(str(reference))
        if doubt:
            raise GateError(f"a latency of {name} that can be trusted", doubt, remedy)
        if not same_reference:
            found = f"relative to {self._current.state.latency_reference or 'nothing'}"
            raise GateError(
                f"latencies relative to {reference}, as the baseline has them", found, "set latency_reference in the budget"
            )
        if now.latency_ratio is None:
            raise GateError(f"the latency of {name}, since the baseline has one", "none was measured", remedy)
        if apart:
            again = "measure on a machine like the baseline's, make the baseline anew with --update-baseline, or leave --gate-latency out"
            raise GateError(f"a latency of {name} that is comparable with the baseline's", apart, again)


def _of_one_kind(before: BaselineArtifact | None, now: BaselineArtifact) -> BaselineAccuracy | BaselineMultiLabel | None:
    """The accuracy now, where the baseline has one of the same kind; None where it cannot be compared with that."""
    if before and (before.accuracy or before.multilabel):
        return now.accuracy if before.accuracy else now.multilabel
    return now.accuracy or now.multilabel


def _mean_average_precision(name: str, before: BaselineMultiLabel | None, now: BaselineMultiLabel, limits: Limits) -> Finding:
    old, found = before and before.mean_average_precision, now.mean_average_precision
    problems: list[_Problem] = []
    if limits.min_accuracy is not None and found < limits.min_accuracy:
        problems.append(_Problem("violation", f"mAP is {found:.2%}, and has to be {limits.min_accuracy:.2%}", absolute=True))
    if before and old is not None and limits.max_accuracy_drop is not None and _exceeds(old - found, limits.max_accuracy_drop):
        images = counted(now.images, "image") + (f", {before.images} before" if now.images != before.images else "")
        drop = f"mAP fell by {_points(old - found)}, {_points(limits.max_accuracy_drop)} allowed ({images})"
        problems.append(_Problem("violation", drop))
    return _finding(name, "mAP", old, found, problems)


def _bytes(name: str, quantity: Quantity, before: int | None, now: int, most: int | None, growth: Growth | None) -> Finding:
    what = "the file" if quantity == "size" else "the download"
    problems: list[_Problem] = []
    if most is not None and now > most:
        problems.append(_Problem("violation", f"{what} is {now:,} bytes, {most:,} allowed", absolute=True))
    if before is not None and growth is not None and now > growth.allowed(before):
        allowed = f"{growth.share:+.1%}" if growth.share is not None else f"{growth.size_bytes:+,} bytes"
        problems.append(
            _Problem(
                "violation", f"{what} grew by {now - before:,} bytes to {now:,} ({_change_text(before, now)}, {allowed} allowed)"
            )
        )
    return _finding(name, quantity, before, now, problems)


def _finding(name: str, quantity: Quantity, before: float | None, now: float, problems: list[_Problem]) -> Finding:
    """The worst of the problems is the verdict, all of them are told."""
    verdict: Judgement = "ok"
    if problems:
        verdict = "violation" if any(problem.verdict == "violation" for problem in problems) else "warning"
    text = "; ".join(problem.text for problem in problems)
    broken = [problem.absolute for problem in problems if problem.verdict == "violation"]
    return Finding(name, quantity, before, now, verdict, text, absolute=any(broken), relative=not all(broken))


def _weigh(text: str, bound: float, limit: float, confidence: float, how: str) -> _Problem:
    """An excess is a violation if even its lower bound exceeds the limit."""
    if not confidence:
        return _Problem("violation", text)
    if _exceeds(bound, limit):
        return _Problem("violation", f"{text} (at {confidence:.0%} confidence by {_points(max(bound, 0.0))} at least: {how})")
    return _Problem(
        "warning",
        f"{text}, which may be chance (at {confidence:.0%} confidence only {_points(max(bound, 0.0))} is shown: {how})",
    )


def _changed_images(before: BaselineArtifact, now: BaselineArtifact) -> tuple[int, int] | None:
    """Images that only the old artifact has right, and those that only the new one has; None where that cannot be known.

    Both lists of flips are against the same reference on the same images, so that where neither flipped, both have the
    reference's answer.
    """
    old, new = before.flips, now.flips
    if not old or not new or (old.reference, old.images) != (new.reference, new.images):
        return None
    if old.lost is None or old.gained is None or new.lost is None or new.gained is None:
        return None
    lost = len(set(new.lost) - set(old.lost)) + len(set(old.gained) - set(new.gained))
    gained = len(set(old.lost) - set(new.lost)) + len(set(new.gained) - set(old.gained))
    return lost, gained


def _exceeds(value: float, limit: float) -> bool:
    return value > limit + 1e-9  # 0.764 - 0.759 is not more than 0.005


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def _points(share: float) -> str:
    return f"{share * 100:.2f} points"


def _change_text(before: float, now: float) -> str:
    return f"{now / before - 1:+.1%}"
