"""What a terminal shows first: short tables, each cause once, the pick of each format in a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from test_tables import ENVIRONMENT, artifact, int8_artifact, manifest, measurement, render, report

from edgecls.evaluation.pick import pick_artifacts
from edgecls.records.accuracy import Accuracy, Flips
from edgecls.records.artifact import Actual, Artifact, FloatRemainder, Parity
from edgecls.records.latency import Latency, Reason, Validity
from edgecls.records.measurement import Measurement
from edgecls.records.report import Report
from edgecls.reporting import conversion_table, demo_table, report_grid, report_table
from edgecls.reporting.summary import conversion_summary, demo_grid, pick_lines, report_summary

SOFTMAX = "it keeps float resolution"


def latency(rounds: Sequence[float], *doubts: Any) -> Latency:
    reasons = [Reason(code=code, text=f"{code} in figures") for code in doubts]
    validity = Validity(verdict="invalid" if doubts else "valid", reasons=reasons)
    p50 = sorted(rounds)[len(rounds) // 2]
    return Latency(
        runs=50,
        p50_ms=p50,
        p90_ms=9,
        p99_ms=9,
        min_ms=1,
        max_ms=9,
        rounds_p50_ms=list(rounds),
        validity=validity,
        samples_ms=[p50],
    )


def pair(slow: Sequence[float], fast: Sequence[float], **environment: Any) -> Report:
    rows = [measurement("float32", latency=latency(fast), flips=None), measurement("int8", latency=latency(slow))]
    found = report(*rows)
    return found.model_copy(update={"environment": ENVIRONMENT.model_copy(update=environment)})


def told(found: Report) -> list[str]:
    return [note for note in report_summary(found).notes if "int8 is slower than float here" in note]


def test_an_order_of_speeds_that_no_phone_has_is_told_with_what_tells_more() -> None:
    rounds = [1.9, 1.8, 2.0, 1.9, 1.9]
    slow = [3.2, 3.1, 3.3, 3.2, 3.2]
    (note,) = told(pair(slow, rounds, instruction_sets=["avx2"]))
    assert "base-tflite-int8: 3.20 ms against 1.90" in note
    assert "no VNNI" in note
    assert "--on MACHINE or the Android, iOS and web samples" in note
    (note,) = told(pair(slow, rounds, instruction_sets=["avx512", "vnni"]))
    assert "VNNI" not in note
    assert not told(pair(rounds, slow))
    assert not told(pair([*slow[:4], 1.7], rounds))  # one round says otherwise
    assert not told(pair([value * 1.05 for value in rounds], rounds))  # within what a valid latency may vary
    assert not told(pair(slow[:4], rounds[:4]))  # too few rounds to say
    assert not told(pair(slow, rounds, device="Pixel 8"))
    assert not told(pair(slow, rounds, machine="aarch64"))


def test_doubts_about_latencies_are_one_sentence() -> None:
    rows = [
        measurement("float32", latency=latency([1], "too_noisy")),
        measurement("int8", latency=latency([1], "machine_loaded")),
    ]
    notes = report_summary(report(*rows)).notes
    (doubt,) = [note for note in notes if note.startswith("?")]
    assert (
        doubt == "? no fair comparison of latencies: rounds that differ, other programs at work; measure again on a quiet machine"
    )
    assert not [note for note in notes if "in figures" in note]


def picked(*rows: Measurement, within: float | None = None) -> Report:
    found = report(*rows)
    return found.model_copy(update={"picks": pick_artifacts(found.measurements, within)})


def flips(lost: int, gained: int, p: float) -> Flips:
    return Flips(reference="base-tflite-float32", images=1000, count=lost + gained, lost=lost, gained=gained, mcnemar_p=p)


def test_the_pick_is_a_line_with_what_it_saves() -> None:
    base = measurement("float32", flips=None)
    kept = measurement("int8", compressed_bytes=625_000, flips=flips(4, 3, 0.9), accuracy=Accuracy(images=1000, top1=0.8982))
    lost = measurement("dynamic", compressed_bytes=500_000, flips=flips(60, 1, 1e-9), accuracy=Accuracy(images=1000, top1=0.84))
    found = picked(base, kept, lost)
    assert pick_lines(found) == [
        "To ship: the smallest download that loses no accuracy beyond chance (95 %)",
        "  TFLite: base-tflite-int8: 610.4 KiB, 25% of float32's, -0.10 points",
    ]
    assert "loses accuracy beyond chance: base-tflite-dynamic" in report_summary(found).notes
    assert pick_lines(picked(base, kept, within=0.5))[0] == "To ship: the smallest download within 0.5 points of float's accuracy"
    (why,) = pick_lines(picked(measurement("int8", flips=None)))
    assert why.startswith("TFLite: none to ship: no float artifact was measured")


def test_agreement_stands_beside_accuracy_and_the_rest_behind_verbose() -> None:
    found = report(measurement("float32", flips=None), measurement("int8"))
    short, full = (render(report_table(found, 160, verbose=verbose), 160) for verbose in (False, True))
    row = next(line for line in short.splitlines() if "base-tflite-int8" in line)
    assert " ".join(row.split()) == "base-tflite-int8 3.00 MiB 2.38 MiB 89.92% 3.94 99.30%"
    for title in ("p90 ms", "memory", "load ms", "top-5"):
        assert title not in short.splitlines()[1]
        assert title in full.splitlines()[1]


def test_the_demo_fits_on_a_screen() -> None:
    """The demo makes 11 files of its model and 9 of its variants; 40 lines, less 4 of progress, 4 of advice and one of make's."""
    variants = {
        "base": ("float32", "float16", "dynamic", "int8"),
        "pruned50": ("int8",),
        "qat": ("int8",),
        "pruned50-qat": ("int8",),
    }
    names = [
        (f"{variant}-{target}", target, scheme)
        for variant, schemes in variants.items()
        for target in ("tflite", "onnx", "coreml")
        for scheme in schemes
    ]
    rows = [
        measurement(
            scheme,
            artifact=f"{name}-{scheme}",
            target=target,
            flips=None if (target, scheme) == ("tflite", "float32") else flips(1, 0, 1.0),
            latency=latency(
                [3, 3, 3, 3, 3] if scheme == "int8" else [1, 1, 1, 1, 1], "too_noisy", "too_few_runs", "machine_loaded"
            ),
        )
        for name, target, scheme in names
    ]
    text = render(demo_table(picked(*rows), 80), 80)
    assert len(text.splitlines()) <= 31
    assert "agrees" in text
    assert not {row[0] for row in demo_grid(picked(*rows)).rows} & {"base-tflite-float16", "base-tflite-dynamic"}


def test_a_row_that_failed_is_in_the_demo_whatever_its_scheme() -> None:
    crashed = measurement("dynamic", status="crashed", reason="it ended with signal SIGSEGV")
    text = " ".join(render(demo_table(report(measurement("float32"), crashed), 100), 100).split())
    assert "base-tflite-dynamic crashed: it ended with signal SIGSEGV" in text


def float_rows(*names: str) -> list[Artifact]:
    rest = FloatRemainder(operation="SOFTMAX", name="head", reason=SOFTMAX)
    actual = Actual(
        weight_dtypes={"float32": 5, "int8": 95},
        activation_dtypes={},
        operations={},
        stayed_float=[rest],
        input_dtype="float32",
        output_dtype="float32",
    )
    return [artifact("int8", name=name, path=f"{name}.tflite", actual=actual.model_copy(deep=True)) for name in names]


def test_an_operation_that_stays_float_in_every_file_is_told_once() -> None:
    notes = conversion_summary(manifest(*float_rows("a", "b", "c", "d"))).notes
    assert notes == [f"softmax stayed float in every int8 file: {SOFTMAX}"]


def test_what_a_bench_tells_alike_of_several_artifacts_is_told_once() -> None:
    notes = ["base-tflite-float32: assumed", "base-tflite-int8: assumed", "of all: this"]
    found = report(measurement("float32"), measurement("int8"), notes=notes)
    for grid in (report_summary(found), report_grid(found)):
        assert [note for note in grid.notes if note.endswith(("assumed", "this"))] == [
            "base-tflite-float32, base-tflite-int8: assumed",
            "of all: this",
        ]


def test_causes_beyond_two_are_counted() -> None:
    rows = float_rows("a", "b", "c")
    assert rows[0].actual
    for reason in ("one", "two", "three"):
        rows[0].actual.stayed_float.append(FloatRemainder(operation="CONV_2D", name="x", reason=reason))
    notes = conversion_summary(manifest(*rows)).notes
    assert notes[0] == f"softmax stayed float in every int8 file: {SOFTMAX}"
    assert notes[1] == "conv 2d stayed float in a: one"
    assert notes[2] == "other operations stayed float for 2 more reasons (--verbose)"


def test_a_short_conversion_tells_the_verdict_the_weights_and_the_users_notes() -> None:
    synthetic = Parity(samples=32, max_abs_diff=1e-6, top1_agreement=1.0, inputs="images", verdict="passed")
    found = manifest(artifact("float32", parity=synthetic), artifact("float16", parity=synthetic), int8_artifact())
    found.notes.append("labels: two are alike")
    found.details.append(f"{found.artifacts[0].name}: how it was made")
    text = " ".join(render(conversion_table(found, 100, verbose=False), 100).split())
    assert "base-tflite-int8 23.9 KiB 19.5 KiB int8 passed 99.00%" in text
    assert "verified: scores beside the source model's on 32 images (int8: on 100 images)" in text
    assert "labels: two are alike" in text
    assert "how it was made" not in text
    assert "how it was made" in " ".join(render(conversion_table(found, 200), 200).split())


def test_agreement_is_of_sets_where_each_class_has_a_sigmoid() -> None:
    found = manifest(int8_artifact())
    for kind, outputs, title in (("softmax", 10, "same top-1"), ("sigmoid", 10, "same set"), ("sigmoid", 1, "same top-1")):
        told = found.model_copy(update={"output_kind": kind, "outputs": outputs})
        for verbose in (False, True):
            assert title in " ".join(render(conversion_table(told, 200, verbose=verbose), 200).split())


def test_a_rejected_artifact_keeps_its_reason_in_the_short_table() -> None:
    parity = Parity(samples=5, top1_agreement=0.2, inputs="synthetic", verdict="failed", reason="top-1 agrees on 20% of 5")
    rejected = artifact("float16", status="rejected", parity=parity)
    assert "base-tflite-float16 rejected: top-1 agrees on 20% of 5" in conversion_summary(manifest(rejected)).notes
