"""The gate's judgement, on states written down here."""

from __future__ import annotations

from typing import Any

import pytest

from edgecls.errors import GateError
from edgecls.gate.baseline import Baseline, BaselineAccuracy, BaselineArtifact, BaselineFlips, BaselineMultiLabel, ModelIdentity
from edgecls.gate.budget import Budget
from edgecls.gate.judgement import Current, compare
from edgecls.records.finding import Finding, Quantity

MODEL = ModelIdentity(name="digits", sha256="a" * 64, height=8, width=8, channels=1, outputs=10, labels_sha256="b" * 64)
IMAGES = 1000


def artifact(**values: Any) -> BaselineArtifact:
    return BaselineArtifact(**{"size_bytes": 100_000, "compressed_bytes": 80_000, **values})


def measured(top1: float, lost: range = range(0), gained: range = range(0), **values: Any) -> BaselineArtifact:
    flips = BaselineFlips(reference="float", images=IMAGES, count=len(lost) + len(gained), lost=list(lost), gained=list(gained))
    return artifact(accuracy=BaselineAccuracy(images=IMAGES, top1=top1), flips=flips, **values)


def state(model: ModelIdentity = MODEL, reference: str | None = None, **artifacts: BaselineArtifact) -> Baseline:
    return Baseline(model=model, latency_reference=reference, processor="a processor", artifacts=artifacts)


def budget(**limits: Any) -> Budget:
    return Budget((("*", limits),))


def judged(
    now: BaselineArtifact, before: BaselineArtifact, quantity: Quantity, limits: Budget | None = None, **how: Any
) -> Finding:
    same_model = how.pop("model", MODEL)
    result = compare(Current(state(same_model, x=now)), state(x=before), limits or Budget(), **how)
    return result.of("x")[quantity]


@pytest.mark.parametrize(("size", "verdict"), [(101_000, "ok"), (101_001, "violation"), (90_000, "ok")])
def test_one_byte_beyond_the_limit_counts(size: int, verdict: str) -> None:
    found = judged(artifact(size_bytes=size), artifact(), "size")
    assert found.verdict == verdict
    assert (found.before, found.now) == (100_000, size)


def test_the_download_has_its_own_limit() -> None:
    found = judged(artifact(compressed_bytes=90_000), artifact(), "download")
    assert found.text == "the download grew by 10,000 bytes to 90,000 (+12.5%, +1.0% allowed)"
    assert judged(artifact(compressed_bytes=90_000), artifact(), "size").verdict == "ok"


def test_an_absolute_limit_needs_no_baseline() -> None:
    current = Current(state(old=artifact(), new=artifact(size_bytes=2_000_001)))
    result = compare(current, state(old=artifact()), budget(max_size=2_000_000))
    assert [finding.verdict for finding in result.findings if finding.artifact == "new"] == ["warning", "violation", "ok"]
    assert result.of("new")["presence"].text.startswith("is new")


def test_a_vanished_artifact_is_a_violation_and_says_why_it_went() -> None:
    gone = compare(Current(state(x=artifact())), state(x=artifact(), y=artifact()), Budget())
    assert gone.of("y")["presence"].verdict == "violation"
    failed = Current(state(x=artifact()), failures={"y": "rejected: SNR 3 dB"})
    assert compare(failed, state(x=artifact(), y=artifact()), Budget()).of("y")["presence"].text == "rejected: SNR 3 dB"


def test_a_failure_of_what_the_baseline_never_had_is_told_and_gates_nothing() -> None:
    failed = Current(state(x=artifact()), failures={"y": "failed: no converter"})
    result = compare(failed, state(x=artifact()), Budget())
    assert result.of("y")["presence"].verdict == "warning"
    assert not result.violations


def test_a_drop_is_paired_where_the_source_is_the_same() -> None:
    """12 images lost and none gained of 1000: Clopper-Pearson leaves 0.68 points at least; unpaired, 1.2 points could be chance."""
    before, now = measured(0.9, range(3)), measured(0.888, range(15))
    found = judged(now, before, "accuracy")
    assert found.verdict == "violation"
    assert "12 images lost, 0 gained" in found.text
    again = judged(now, before, "accuracy", model=MODEL.model_copy(update={"sha256": "c" * 64}))
    assert again.verdict == "warning"
    assert "1000 images, not paired" in again.text
    assert "may be chance" in again.text


def test_flips_that_do_not_explain_the_drop_are_not_paired() -> None:
    """The lists say 12 images, the accuracies 40: the images are others."""
    found = judged(measured(0.86, range(15)), measured(0.9, range(3)), "accuracy")
    assert "not paired" in found.text
    assert found.verdict == "violation"


def test_pairs_are_counted_against_the_common_reference() -> None:
    """Lost before: 0-9, lost now: 5-24; gained before: 100-103, gained now: 102-109."""
    before = measured(0.9, range(10), range(100, 104))
    now = measured(0.894, range(5, 25), range(102, 110))
    found = judged(now, before, "accuracy", budget(max_accuracy_drop=0.001))
    assert "17 images lost, 11 gained" in found.text  # lost: 10-24, 100, 101; gained: 0-4, 104-109; together the 6 of 0.9 - 0.894
    assert found.verdict == "warning"


@pytest.mark.parametrize(("confidence", "verdict"), [(0.0, "violation"), (0.95, "warning")])
def test_without_confidence_the_bare_figures_count(confidence: float, verdict: str) -> None:
    assert judged(measured(0.89), measured(0.9), "accuracy", budget(confidence=confidence)).verdict == verdict


@pytest.mark.parametrize(("top1", "verdict"), [(0.895, "ok"), (0.894, "violation")])
def test_a_drop_counts_only_beyond_the_limit(top1: float, verdict: str) -> None:
    assert judged(measured(top1), measured(0.9), "accuracy", budget(confidence=0.0)).verdict == verdict


def test_a_floor_of_accuracy_needs_no_significance() -> None:
    found = judged(measured(0.89), measured(0.89), "accuracy", budget(min_accuracy=0.9))
    assert found.text == "top-1 is 89.00%, and has to be 90.00%"
    assert found.verdict == "violation"


def test_flips_are_gated() -> None:
    assert judged(measured(0.9, range(120)), measured(0.9, range(20)), "flips").verdict == "violation"
    assert judged(measured(0.9, range(32)), measured(0.9, range(20)), "flips").verdict == "warning"
    assert judged(measured(0.9, range(25)), measured(0.9, range(20)), "flips").verdict == "ok"
    absolute = judged(measured(0.9, range(25)), measured(0.9, range(25)), "flips", budget(max_flips=0.02))
    assert absolute.text == "2.50% of the winners differ from float's, 2.00% allowed"


def test_a_limit_of_flips_for_all_leaves_out_what_they_are_counted_against() -> None:
    float_alone = artifact(accuracy=BaselineAccuracy(images=IMAGES, top1=0.9))
    folder = state(float=float_alone, x=measured(0.9, range(25)))
    result = compare(Current(folder), folder, budget(max_flips=0.02))
    assert result.of("x")["flips"].verdict == "violation"
    assert "flips" not in result.of("float")
    without = state(float=float_alone, x=float_alone)  # nothing was compared with anything
    with pytest.raises(GateError, match="the flips of float, since the budget limits it"):
        compare(Current(without), without, budget(max_flips=0.02))


FLOAT_ALONE = artifact(accuracy=BaselineAccuracy(images=IMAGES, top1=0.9))


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"failures": {"x": "crashed when it was run: signal 11"}},
        {"unsupported": {"x"}, "unmeasured": {"x": "Core ML executes on macOS only"}},
    ],
)
def test_a_limit_of_flips_is_no_broken_gate_where_nothing_else_ran(others: dict[str, Any]) -> None:
    """Nothing names the float artifact as its reference then: it is what the others would be compared with."""
    folder = state(float=FLOAT_ALONE, x=artifact()) if others else state(float=FLOAT_ALONE)
    current = Current(folder, flips_reference="float", can_compare=True, **others)
    result = compare(current, folder, budget(max_flips=0.02))
    assert [found.artifact for found in result.violations] == (["x"] if "failures" in others else [])


def test_what_was_not_measured_beside_its_reference_is_a_broken_gate() -> None:
    folder = state(float=FLOAT_ALONE, x=FLOAT_ALONE)
    with pytest.raises(GateError, match="the flips of x, since the budget limits it"):
        compare(Current(folder, flips_reference="float", can_compare=True), folder, budget(max_flips=0.02))


def test_flips_are_not_limited_where_their_reference_is_gone_and_that_is_said() -> None:
    before, alone = state(float=FLOAT_ALONE, x=measured(0.9)), state(x=FLOAT_ALONE)
    gone = compare(Current(alone), before, budget(max_flips=0.02))
    assert [(found.artifact, found.text) for found in gone.violations] == [("float", "is in the baseline and was not made")]
    assert "the flips of x are not limited here: float, which they are counted against, was not made" in gone.notes
    with pytest.raises(
        GateError, match="the flips of x, since the baseline has one"
    ):  # another could be what it is compared with
        compare(Current(state(x=FLOAT_ALONE, onnx=artifact()), can_compare=True), before, Budget())


@pytest.mark.parametrize("known", [measured(0.9), FLOAT_ALONE])
def test_flips_are_not_limited_where_their_reference_failed_and_that_is_said(known: BaselineArtifact) -> None:
    now, before = state(float=artifact(), x=FLOAT_ALONE), state(float=FLOAT_ALONE, x=known)
    failed = Current(now, failures={"float": "crashed when it was run: signal 11"}, flips_reference="float")
    result = compare(failed, before, budget(max_flips=0.02))
    assert [(found.artifact, found.quantity) for found in result.violations] == [("float", "presence")]
    assert "the flips of x are not limited here: float, which they are counted against, has failed" in result.notes


def test_what_others_are_counted_against_now_may_have_been_counted_itself() -> None:
    other = measured(0.9).model_copy(update={"flips": BaselineFlips(reference="onnx", images=IMAGES, count=3)})
    now = state(onnx=artifact(accuracy=BaselineAccuracy(images=IMAGES, top1=0.9)), x=other)
    result = compare(Current(now), state(float=artifact(), onnx=measured(0.9), x=measured(0.9)), Budget())
    assert [(found.artifact, found.quantity) for found in result.violations] == [("float", "presence")]


def latencies(ratio: float | None, **more: Any) -> Current:
    return Current(state(reference="float", float=artifact(latency_ratio=1.0), x=artifact(latency_ratio=ratio)), **more)


def test_latency_is_advice_unless_it_is_asked_to_gate() -> None:
    before = latencies(0.5).state
    assert compare(latencies(0.6), before, Budget()).of("x")["latency"].verdict == "warning"
    assert compare(latencies(0.6), before, Budget(), gate_latency=True).of("x")["latency"].verdict == "violation"
    assert compare(latencies(0.54), before, Budget(), gate_latency=True).of("x")["latency"].verdict == "ok"
    small = compare(latencies(0.0006), latencies(0.0004).state, Budget()).of("x")["latency"]
    assert "latency is 0.0006 times float's, 0.0004 times before" in small.text


def test_a_baseline_without_latencies_cannot_gate_them() -> None:
    with pytest.raises(GateError, match="a baseline with latencies"):
        compare(latencies(0.5), state(float=artifact(), x=artifact()), Budget(), gate_latency=True)


def elsewhere(sets: list[str], engine: str) -> Current:
    """Latencies as `latencies` has them, of another place or engine."""
    found = latencies(0.9)
    artifacts = {**found.state.artifacts, "x": artifact(latency_ratio=0.9, engine=engine)}
    return Current(found.state.model_copy(update={"instruction_sets": sets, "artifacts": artifacts}))


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (elsewhere(["avx2", "vnni"], ""), "the baseline's was measured with unknown instruction sets, this one with avx2 vnni"),
        (elsewhere([], "LiteRT 2"), "the baseline's was measured with an unknown engine, this one with LiteRT 2"),
    ],
)
def test_latencies_of_other_instruction_sets_or_engines_are_not_compared(now: Current, why: str) -> None:
    before = latencies(0.5).state
    result = compare(now, before, Budget())
    found = result.of("x")["latency"]
    assert (found.verdict, found.before, found.now) == ("ok", None, 0.9)
    assert any(note.startswith("latency is not compared for ") and note.endswith(f"x: {why}") for note in result.notes)
    with pytest.raises(GateError, match=why):
        compare(now, before, Budget(), gate_latency=True)
    assert compare(now, now.state, Budget(), gate_latency=True).of("x")["latency"].before == 0.9


def test_latencies_of_another_reference_are_not_compared_and_that_is_said() -> None:
    before = latencies(0.5).state
    other = Current(state(reference="other", other=artifact(latency_ratio=1.0), float=artifact(), x=artifact(latency_ratio=0.9)))
    result = compare(other, before, Budget())
    assert (result.of("x")["latency"].verdict, result.of("x")["latency"].before) == ("ok", None)
    assert "latency is not compared for x: the baseline's is relative to float, this one to other" in result.notes
    bare = Current(state(float=artifact(), x=artifact()), has_results=True)
    unmeasured = compare(bare, before, Budget())
    without = compare(Current(bare.state), before, Budget())
    assert without.notes == ("latencies are not compared: the baseline's are relative to float, and nothing was measured",)
    expected = "latencies are not compared: the baseline's are relative to float, and the results have none to divide by"
    assert unmeasured.notes == (expected,)


@pytest.mark.parametrize(
    "current",
    [
        latencies(None),
        latencies(0.5, doubts={"x": "others took 40 % of the processor"}),
        latencies(0.5, doubts={"float": "others took 40 % of the processor"}),
        Current(state(reference="other", other=artifact(latency_ratio=1.0), float=artifact(latency_ratio=2.0), x=artifact())),
    ],
)
def test_a_latency_that_should_gate_and_cannot_is_a_broken_gate(current: Current) -> None:
    before = latencies(0.5).state
    with pytest.raises(GateError):
        compare(current, before.model_copy(update={"artifacts": {**before.artifacts}}), Budget(), gate_latency=True)


def test_what_the_baseline_measured_has_to_be_measured_again() -> None:
    with pytest.raises(GateError, match="the accuracy of x, since the baseline has one"):
        judged(artifact(), measured(0.9), "accuracy")
    with pytest.raises(GateError, match="the accuracy of x, since the budget limits it"):
        judged(artifact(), artifact(), "accuracy", budget(min_accuracy=0.5))
    nothing = judged(artifact(), measured(0.9), "size", budget(max_accuracy_drop=None, max_flips_growth=None))
    assert nothing.verdict == "ok"


def test_what_cannot_run_on_this_platform_is_not_limited_and_that_is_said() -> None:
    elsewhere = Current(state(x=artifact()), unmeasured={"x": "Core ML executes on macOS only"}, unsupported={"x"})
    result = compare(elsewhere, state(x=artifact()), budget(min_accuracy=0.5))
    assert not result.violations
    assert "the accuracy of x is not limited here: Core ML executes on macOS only" in result.notes
    with pytest.raises(GateError, match="the baseline has one"):
        compare(elsewhere, state(x=measured(0.9)), Budget())


@pytest.mark.parametrize("change", [{"name": "letters"}, {"outputs": 11}, {"width": 9}, {"labels_sha256": "c" * 64}])
def test_another_model_is_a_broken_gate(change: dict[str, Any]) -> None:
    with pytest.raises(GateError, match="another model"):
        compare(Current(state(MODEL.model_copy(update=change), x=artifact())), state(x=artifact()), Budget())


@pytest.mark.parametrize(
    ("size", "top1", "notable"), [(100_400, 0.9, False), (100_600, 0.9, True), (99_400, 0.9, True), (100_000, 0.906, True)]
)
def test_a_comment_is_worth_it_beyond_the_threshold(size: int, top1: float, notable: bool) -> None:
    result = compare(Current(state(x=measured(top1, size_bytes=size))), state(x=measured(0.9)), Budget())
    assert result.changed_beyond(0.005) == notable


def multilabel(figure: float, images: int = IMAGES) -> BaselineArtifact:
    return artifact(multilabel=BaselineMultiLabel(images=images, mean_average_precision=figure))


@pytest.mark.parametrize(("now", "verdict"), [(0.795, "ok"), (0.7949, "violation"), (0.9, "ok")])
def test_mean_average_precision_may_fall_by_the_points_of_accuracy(now: float, verdict: str) -> None:
    found = judged(multilabel(now), multilabel(0.8), "mAP")
    assert (found.verdict, found.before, found.now) == (verdict, 0.8, now)
    if verdict == "violation":
        assert found.text == "mAP fell by 0.51 points, 0.50 points allowed (1000 images)"
        assert judged(multilabel(now), multilabel(0.8), "mAP", budget(max_accuracy_drop=0.01)).verdict == "ok"
        assert judged(multilabel(now, 900), multilabel(0.8), "mAP").text.endswith("(900 images, 1000 before)")


def test_mean_average_precision_has_an_absolute_limit_too() -> None:
    found = judged(multilabel(0.7), multilabel(0.7), "mAP", budget(min_accuracy=0.75))
    assert (found.verdict, found.text) == ("violation", "mAP is 70.00%, and has to be 75.00%")


def test_labels_of_another_kind_than_the_baselines_are_a_broken_gate() -> None:
    for now, before in ((multilabel(0.9), measured(0.9)), (measured(0.9), multilabel(0.9)), (artifact(), multilabel(0.9))):
        with pytest.raises(GateError, match="the accuracy of x, since the baseline has one"):
            judged(now, before, "mAP")
