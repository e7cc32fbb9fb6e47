"""Reports and manifests as tables: rendered at a fixed width and read back as text."""

from __future__ import annotations

import datetime
import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from edgecls.records.accuracy import Accuracy, Flips
from edgecls.records.artifact import Actual, Artifact, FloatRemainder, Manifest, Parity, Requested, Source
from edgecls.records.image_spec import ImageSpec
from edgecls.records.latency import Latency
from edgecls.records.measurement import Measurement
from edgecls.records.report import DataUsed, Environment, Report
from edgecls.reporting import conversion_markdown, conversion_table, report_markdown, report_table
from edgecls.reporting.conversion import conversion_grid

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
ENVIRONMENT = Environment(
    platform="Linux", machine="x86_64", processor="a processor", cores=2, memory_bytes=1 << 34, python="3.11", packages={}
)
LATENCY = Latency(runs=50, p50_ms=3.94, p90_ms=4.5, p99_ms=18.31, min_ms=3.9, max_ms=20.0, samples_ms=[3.94], warmup_runs=5)


def render(renderable: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in text.splitlines())
    return text


def measurement(scheme: str, **more: Any) -> Measurement:
    values: dict[str, Any] = {
        "artifact": f"base-tflite-{scheme}",
        "path": f"base-tflite-{scheme}.tflite",
        "target": "tflite",
        "scheme": scheme,
        "size_bytes": 3 * 1024 * 1024,
        "compressed_bytes": 2_500_000,
        "accuracy": Accuracy(images=1000, top1=0.8992, top5=0.9987),
        "flips": Flips(reference="base-tflite-float32", images=1000, count=7),
        "latency": LATENCY,
        "load_ms": 12.34,
        "first_inference_ms": 25.0,
        "peak_memory_bytes": 80 * 1024 * 1024,
    }
    return Measurement(**{**values, **more})


def report(*measurements: Measurement, **more: Any) -> Report:
    return Report(created=NOW, edgecls_version="0.1.0", environment=ENVIRONMENT, measurements=list(measurements), **more)


def test_everything_measured_is_in_the_wide_table() -> None:
    data = DataUsed(path="photos", images=1000, labelled=True)
    text = render(report_table(report(measurement("float32"), measurement("int8"), data=data), 160), 160)
    row = next(line for line in text.splitlines() if "base-tflite-int8" in line)
    expected = "base-tflite-int8 3.00 MiB 2.38 MiB 89.92% 99.87% 7 of 1000 3.94 4.50 12.3 25.0 80.00 MiB"
    assert " ".join(row.split()) == expected
    for title in ("artifact", "size", "download", "top-1", "top-5", "flips", "p50 ms", "p90 ms", "load ms", "first ms", "memory"):
        assert title in text
    assert "1000 labelled images of photos" in text
    assert "winner differs from that of base-tflite-float32" in text
    assert "status" not in text


def test_a_failed_row_stays_with_its_reason_at_every_width() -> None:
    crashed = Measurement(
        artifact="other",
        path="other.onnx",
        target="onnx",
        scheme="float32",
        status="crashed",
        reason="it ended with signal SIGSEGV",
    )
    for width in (60, 80, 120, 200):
        text = render(report_table(report(measurement("float32"), crashed), width), width)
        assert "other" in text
        assert "other crashed: it ended with signal SIGSEGV" in " ".join(text.split())
        assert "base-tflite-float32" in text


@pytest.mark.parametrize(
    ("width", "gone", "kept"), [(100, ["first ms"], ["p90 ms"]), (62, ["first ms", "p90 ms", "download"], ["p50 ms", "top-1"])]
)
def test_a_narrow_terminal_loses_the_least_important_columns_and_says_so(width: int, gone: list[str], kept: list[str]) -> None:
    text = render(report_table(report(measurement("float32")), width), width)
    header = text.splitlines()[1]
    assert not [title for title in gone if title in header]
    assert not [title for title in kept if title not in header]
    flowing = " ".join(text.split())
    assert "no room here for:" in flowing
    assert all(title in flowing for title in gone)


def test_rows_that_failed_alike_share_one_line() -> None:
    rows = [measurement(name, status="unsupported", reason="needs macOS") for name in ("float16", "int8")]
    text = render(report_table(report(*rows), 160), 160)
    assert "base-tflite-float16, base-tflite-int8 unsupported: needs macOS" in text


def test_what_an_engine_answers_otherwise_than_its_reference_is_told() -> None:
    beside = measurement("float16", stand_in_flips=Flips(reference="stand-in", images=2000, count=3))
    text = " ".join(render(report_table(report(beside), 160), 160).split())
    assert "base-tflite-float16: its engine names another class than the reference on 3 of 2000 images" in text


def test_what_was_not_measured_leaves_no_column() -> None:
    bare = measurement("float32", accuracy=None, flips=None, peak_memory_bytes=None)
    text = render(report_table(report(bare), 160), 160)
    assert "p50 ms" in text
    assert not [title for title in ("top-1", "top-5", "flips", "memory ", "status") if title in text.splitlines()[1]]


def test_one_missing_value_is_a_dash() -> None:
    text = render(report_table(report(measurement("float32"), measurement("int8", flips=None)), 160), 160)
    assert "–" in next(line for line in text.splitlines() if "int8" in line)


def test_markdown_has_every_column_and_escapes_what_would_break_it() -> None:
    odd = measurement("int8", artifact="a|b*c", status="failed", reason="line one\nline two | three")
    lines = report_markdown(report(measurement("float32"), odd)).splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert lines[1].startswith("| --- | ---: |")
    assert r"a\|b\*c" in lines[3]
    assert r"- a\|b\*c failed: line one line two \| three" in lines
    assert lines[3].replace(r"\|", "").count("|") == lines[0].count("|")


def artifact(scheme: str, **more: Any) -> Artifact:
    values: dict[str, Any] = {
        "name": f"base-tflite-{scheme}",
        "path": f"base-tflite-{scheme}.tflite",
        "target": "tflite",
        "scheme": scheme,
        "requested": Requested(target="tflite", scheme=scheme),  # type: ignore[arg-type]
        "size_bytes": 24_500,
        "compressed_bytes": 20_000,
    }
    return Artifact(**{**values, **more})


def manifest(*artifacts: Artifact) -> Manifest:
    return Manifest(
        created=NOW,
        edgecls_version="0.1.0",
        source=Source(name="model.h5", sha256="0" * 64, format="Keras 2 HDF5", keras_version="2.4.0"),
        image_spec=ImageSpec(height=8, width=8, channels=1, color_order="GRAY"),
        labels=["a", "b"],
        labels_source="default",
        output_kind="softmax",
        outputs=2,
        toolchain={},
        artifacts=list(artifacts),
    )


def int8_artifact() -> Artifact:
    return artifact(
        "int8",
        requested=Requested(target="tflite", scheme="int8", estimator="mse"),
        actual=Actual(
            weight_dtypes={"int8": 9950, "int32": 50},
            activation_dtypes={"int8": 18, "float32": 2},
            operations={"CONV_2D": 3, "SOFTMAX": 1},
            stayed_float=[
                FloatRemainder(operation="SOFTMAX", name="head", reason="no int8 kernel"),
                FloatRemainder(operation="SOFTMAX", name="tail", reason="no int8 kernel"),
            ],
            input_dtype="float32",
            output_dtype="float32",
        ),
        parity=Parity(samples=100, max_abs_diff=0.0123, top1_agreement=0.99, snr_db=31.4, inputs="images", verdict="passed"),
    )


def test_a_conversion_says_what_was_asked_what_is_there_and_whether_it_agrees() -> None:
    text = " ".join(render(conversion_table(manifest(int8_artifact()), 220), 220).split())
    for expected in (
        "23.9 KiB",
        "19.5 KiB",
        "int8, mse",
        "int8 >99%, int32 <1%",
        "int8 90%, float32 10%",
        "passed 1.2e-02 99.00% 31.4 dB",
        "base-tflite-int8 stayed float: 2 SOFTMAX (no int8 kernel)",
        "compared with the source model on 100 images",
    ):
        assert expected in text


def test_what_is_told_of_several_artifacts_alike_is_told_once() -> None:
    found = manifest(artifact("float32"), artifact("int8"))
    first, second = (row.name for row in found.artifacts)
    found.notes += [f"{first}: not for that tool", "of all: this", f"{second}: not for that tool", f"{second}: with a colon: too"]
    notes = list(conversion_grid(found).notes)[-3:]
    assert notes == [f"{first}, {second}: not for that tool", "of all: this", f"{second}: with a colon: too"]


def test_rejected_and_failed_artifacts_keep_their_reason() -> None:
    parity = Parity(samples=5, top1_agreement=0.2, inputs="synthetic", verdict="failed", reason="top-1 agrees on 20% of 5")
    rejected = artifact("float16", status="rejected", parity=parity)
    failed = artifact("dynamic", status="failed", reason="the converter gave up", size_bytes=0, compressed_bytes=0)
    for width in (60, 100, 220):
        text = " ".join(render(conversion_table(manifest(rejected, failed), width), width).split())
        assert "base-tflite-float16 rejected: top-1 agrees on 20% of 5" in text
        assert "base-tflite-dynamic failed: the converter gave up" in text
    markdown = conversion_markdown(manifest(rejected, failed))
    assert "- base-tflite-float16 rejected: top-1 agrees on 20% of 5" in markdown
    assert "| – | – |" in markdown
