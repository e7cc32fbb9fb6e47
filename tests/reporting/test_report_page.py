"""The report of several runs: Pareto front, merging, CSV, and the page read back by a parser and by a browser."""

from __future__ import annotations

import csv
import datetime
import io
import re
import shutil
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgecls.errors import InputError
from edgecls.records.accuracy import Accuracy, ClassAccuracy, Confusion, Flips
from edgecls.records.engine import Engine
from edgecls.records.latency import Histogram, Latency, Minute, Sustained
from edgecls.records.measurement import Measurement
from edgecls.records.profile import OperationTime, Profile
from edgecls.records.report import Environment, Report
from edgecls.reporting import merge_reports, report_html, runs_csv, runs_markdown
from edgecls.reporting.charts import strips
from edgecls.reporting.pareto import pareto_front

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
NASTY = "<script>alert(1)</script>"
LABELS = [NASTY, "كلب", "🦔 hedgehog", "\"quoted\" & 'more'", "bell\x07", "a", "b", "c", "d", "e"]
VOID = {"meta", "link", "path", "rect", "circle"}


def environment(processor: str = "a processor", sets: tuple[str, ...] = ()) -> Environment:
    return Environment(
        platform="Linux", machine="x86_64", processor=processor, instruction_sets=list(sets), cores=2, memory_bytes=1 << 34
    )


def measurement(
    name: str, *, p50_ms: float = 1.0, top1: float = 0.9, size: int = 100_000, labels: list[str] = LABELS
) -> Measurement:
    samples = (p50_ms * np.random.default_rng(0).lognormal(0, 0.1, 300)).round(5).tolist()
    half = [(index, (index + 1) % len(labels), 3) for index in range(len(labels))]
    entries = sorted([*((index, index, 90) for index in range(len(labels))), *half])
    classes = [
        ClassAccuracy(index=index, label=label, support=93, recall=0.9, precision=0.9, f1=0.9, recall_delta=(index - 3) / 100)
        for index, label in enumerate(labels)
    ]
    return Measurement(
        artifact=name,
        target=name.split("-")[1],
        scheme="int8",
        size_bytes=size,
        compressed_bytes=size // 2,
        accuracy=Accuracy(images=1000, top1=top1, classes=classes, confusion=Confusion(classes=len(labels), entries=entries)),
        flips=Flips(reference="base-tflite-float32", images=1000, count=5),
        latency=Latency(
            runs=300,
            p50_ms=p50_ms,
            p90_ms=p50_ms * 1.1,
            p99_ms=p50_ms * 1.3,
            min_ms=min(samples),
            max_ms=max(samples),
            samples_ms=samples,
        ),
    )


def report(*rows: Measurement, processor: str = "a processor", minutes: int = 0, model: str | None = "a" * 64) -> Report:
    return Report(
        created=NOW + datetime.timedelta(minutes=minutes),
        edgecls_version="0.1.0",
        source_sha256=model,
        labels=LABELS,
        environment=environment(processor),
        measurements=list(rows),
    )


ROWS = (
    measurement("base-tflite-float32", p50_ms=9.0, top1=0.92, size=400_000),
    measurement("base-tflite-int8", p50_ms=10.0, top1=0.91, size=100_000),
    measurement("base-onnx-int8", p50_ms=2.5, top1=0.905, size=130_000),
    measurement(f"x-onnx-{NASTY}", p50_ms=30.0, top1=0.5, size=90_000),
)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=20))
def test_the_front_is_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    def dominated(one: tuple[int, int]) -> bool:
        return any(cost <= one[0] and gain >= one[1] and (cost, gain) != one for cost, gain in points)

    assert pareto_front(points) == [not dominated(point) for point in points]


def test_results_of_one_environment_become_one_run_and_the_newest_counts() -> None:
    old = report(measurement("base-tflite-int8", p50_ms=5.0), measurement("base-onnx-int8"))
    new = report(measurement("base-tflite-int8", p50_ms=4.0), minutes=5)
    phone = report(measurement("base-tflite-int8", p50_ms=40.0), processor="a phone")
    runs = merge_reports([old, phone, new])
    assert [run.name for run in runs] == ["a processor", "a phone"]
    found = {row.artifact: row.latency.p50_ms for row in runs[0].report.measurements if row.latency}
    assert found == {"base-tflite-int8": 4.0, "base-onnx-int8": 1.0}
    assert runs[0].report.notes == ["1 older measurements of the same artifacts in the same environment are left out"]


def test_a_time_without_a_zone_is_one_in_utc(tmp_path: Path) -> None:
    """Phones write such; the newest of both kinds counts, and the page names it."""
    path = tmp_path / "results.json"
    zoned = report(measurement("base-tflite-int8", p50_ms=5.0))
    path.write_text(report(measurement("base-tflite-int8", p50_ms=4.0), minutes=5).model_dump_json().replace("Z", "", 1))
    naive = Report.read(path)
    assert naive.created == NOW + datetime.timedelta(minutes=5)
    (run,) = merge_reports([zoned, naive])
    assert [row.latency.p50_ms for row in run.report.measurements if row.latency] == [4.0]
    assert "<html" in report_html([run])


def with_engine(row: Measurement, version: str) -> Measurement:
    return row.model_copy(update={"engine": Engine(name="ONNX Runtime", version=version)})


def test_results_of_other_instruction_sets_are_kept_apart_and_that_is_told() -> None:
    places = [environment(sets=("avx2",)), environment(sets=("avx2", "avx512", "vnni")), environment()]
    reports = [report(ROWS[0], minutes=index).model_copy(update={"environment": place}) for index, place in enumerate(places)]
    runs = merge_reports([*reports, reports[0]])
    assert [run.name for run in runs] == ["a processor", "a processor (2)", "a processor (3)"]
    note = "latencies here (avx2) are not comparable with those of a processor (2) (avx2 avx512 vnni)"
    assert note in runs[0].report.notes
    assert "latencies here (unknown instruction sets) are not comparable with those of a processor (avx2)" in runs[2].report.notes
    assert note in runs_markdown(runs)
    assert [row["instruction_sets"] for row in csv.DictReader(io.StringIO(runs_csv(runs)))] == ["avx2", "avx2 avx512 vnni", ""]


def test_results_of_other_engine_versions_are_kept_apart_and_that_is_told() -> None:
    old, new = report(with_engine(ROWS[2], "1.30.0"), ROWS[1]), report(with_engine(ROWS[2], "1.31.1"), minutes=5)
    other_engine = report(ROWS[0], minutes=9)
    runs = merge_reports([old, new, other_engine])
    assert [[row.artifact for row in run.report.measurements] for run in runs] == [
        ["base-tflite-float32", "base-onnx-int8", "base-tflite-int8"],  # what used no other version goes with the first
        ["base-onnx-int8"],
    ]
    expected = "latencies here (ONNX Runtime 1.31.1) are not comparable with those of a processor (ONNX Runtime 1.30.0)"
    assert runs[1].report.notes == [expected]


def test_results_of_different_models_are_refused_unless_asked_for() -> None:
    reports = [report(ROWS[0]), report(ROWS[1], model="b" * 64), report(ROWS[1], model=None)]
    with pytest.raises(InputError, match="3: aaaaaaaa, bbbbbbbb, unknown"):
        merge_reports(reports)
    names = [run.name for run in merge_reports(reports, different_models=True)]
    assert names == ["a processor, model aaaaaaaa", "a processor, model bbbbbbbb", "a processor, model unknown"]


def test_csv_holds_raw_numbers_and_nothing_a_spreadsheet_computes() -> None:
    odd = measurement("base-onnx-int8").model_copy(update={"artifact": '=HYPERLINK("x")', "latency": None})
    rows = list(csv.DictReader(io.StringIO(runs_csv(merge_reports([report(ROWS[0], odd)])))))
    assert rows[0]["size_bytes"] == "400000"
    assert float(rows[0]["p50_ms"]) == 9.0
    assert rows[0]["environment"] == "a processor"
    assert rows[1]["artifact"] == '\'=HYPERLINK("x")'
    assert rows[1]["p50_ms"] == ""


def test_markdown_has_a_table_for_each_environment() -> None:
    text = runs_markdown(merge_reports([report(ROWS[0]), report(ROWS[0], processor="a phone")]))
    assert text.count("| base-tflite-float32 |") == 2
    assert "## a phone" in text


class Page(HTMLParser):
    """Tags and texts of a page; complains of tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_names_and_labels_stay_text() -> None:
    page = Page(report_html(merge_reports([report(*ROWS)])))
    assert page.open == []
    assert [tag for tag, _ in page.tags].count("script") == 1  # its own
    shown = " ".join(page.texts)
    assert shown.count(NASTY) > 4
    for label in LABELS[1:4]:
        assert label in page.texts
    assert "bell\ufffd" in page.texts


def test_the_page_asks_for_nothing_from_anywhere() -> None:
    page = Page(report_html(merge_reports([report(*ROWS)])))
    places = [value for _, found in page.tags for name, value in found.items() if name in ("src", "href", "action", "srcset")]
    assert places == ["data:,"]
    policy = next(found["content"] for tag, found in page.tags if tag == "meta" and found.get("http-equiv"))
    assert policy and policy.startswith("default-src 'none'; ")


def test_every_picture_is_said_in_words() -> None:
    page = Page(report_html(merge_reports([report(*ROWS)])))
    pictures = [found for tag, found in page.tags if tag == "svg"]
    assert pictures
    named = {found.get("id") for _, found in page.tags}
    for picture in pictures:
        words = picture.get("aria-label") or (
            picture.get("aria-describedby") in named and picture.get("aria-labelledby") in named
        )
        assert words or picture.get("aria-hidden") == "true"
    captions = " ".join(" ".join(page.texts).split())
    assert "onnx-int8: 2.5 ms, 90.50% ; tflite-float32: 9 ms, 92.00% ." in captions  # int8's 10 ms buy nothing
    assert "p50 9.00 · p90 9.90 · p99 11.7 ms, 300 runs" in captions
    assert "taken for" in captions


def test_a_histogram_stands_in_for_samples_that_were_not_kept() -> None:
    """Half of the runs in 1-2 ms, half in 2-4 ms; both take the same room on a logarithmic axis, so the bars reach from end to end."""
    kept = Latency(
        runs=8,
        p50_ms=2.0,
        p90_ms=3.6,
        p99_ms=3.9,
        min_ms=1.0,
        max_ms=4.0,
        histogram=Histogram(edges_ms=[1.0, 2.0, 4.0], counts=[4, 4]),
    )
    found = strips([("x", kept)])
    assert found
    starts = [float(start) for start in re.findall(r"M([\d.]+) ", found.strips[0].path)]
    assert len(starts) > 140
    assert abs(found.strips[0].p50 - found.width / 2) < 0.2


def test_what_a_coarse_clock_took_for_nothing_is_drawn_at_the_edge() -> None:
    """A browser's clock may have steps of a tenth of a millisecond."""
    coarse = Latency(runs=8, p50_ms=0.0, p90_ms=0.1, p99_ms=0.1, min_ms=0.0, max_ms=0.1)
    fine = Latency(runs=8, p50_ms=0.2, p90_ms=0.3, p99_ms=0.4, min_ms=0.1, max_ms=0.4)
    damaged = fine.model_copy(update={"p50_ms": 0.0})
    found = strips([("coarse", coarse), ("fine", fine), ("damaged", damaged)])
    assert found
    assert [strip.name for strip in found.strips] == ["fine", "damaged"]
    assert found.strips[1].p50 == 0


@pytest.mark.parametrize("name", ["p50_ms", "min_ms"])
@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan"), 1e300])
def test_times_that_cannot_be_are_refused(name: str, value: float) -> None:
    times = {"runs": 8, "p50_ms": 2.0, "p90_ms": 3.6, "p99_ms": 3.9, "min_ms": 1.0, "max_ms": 4.0}
    with pytest.raises(ValidationError, match=name):
        Latency.model_validate({**times, name: value})


def test_a_sustained_run_and_a_profile_have_their_places() -> None:
    minutes = [Minute(minute=number, runs=9, p50_ms=1.0 + number / 10, p90_ms=2.0) for number in range(1, 4)]
    operations = [
        OperationTime(operation="CONV_2D", name=NASTY, ms=0.75, share=0.75, dtype="int8", accelerated=True),
        OperationTime(operation="SOFTMAX", ms=0.25, share=0.25, dtype="float32", accelerated=False),
    ]
    update = {
        "sustained": Sustained(threads=1, minutes=minutes, slowdown=1.3 / 1.1),
        "profile": Profile(runs=20, total_ms=1.0, operations=operations),
    }
    page = Page(report_html(merge_reports([report(ROWS[1].model_copy(update=update))])))
    captions = " ".join(" ".join(page.texts).split())
    assert "p50 1.10 ms in the first minute, 1.30 ms in minute 3: 1.18 times" in captions
    course = next(found for tag, found in page.tags if tag == "path" and found.get("class") == "middle")
    heights = [float(point.split()[1]) for point in (course["d"] or "").removeprefix("M").split("L")]
    # From 0 at the bottom of 68 to 2.1 ms at the top: 1.1, 1.2 and 1.3 ms.
    assert heights == pytest.approx([68 * (1 - value / 2.1) for value in (1.1, 1.2, 1.3)], abs=0.1)
    assert "CONV_2D 0.750 75.00%" in captions.replace(" %", "%")
    assert NASTY in page.texts
    bars = [(found.get("class"), found["style"]) for tag, found in page.tags if tag == "span" and found.get("style")]
    assert ("bar plain", "width:100.0%") in bars
    assert ("bar lost", "width:33.3%") in bars


def test_a_large_run_stays_small_and_quick() -> None:
    labels = [f"a class of a rather long name {index}" for index in range(1000)]
    rows = [
        measurement(
            f"v{index}-tflite-int8", p50_ms=1 + index / 9, top1=0.7 + index / 500, size=10_000 * (index + 1), labels=labels
        )
        for index in range(40)
    ]
    runs = merge_reports([report(*rows)])
    start = time.process_time()
    text = report_html(runs)
    assert time.process_time() - start < 5.0
    assert len(text.encode()) < 1_000_000
    assert "997 of 1000" not in text
    assert text.count("999 of 1000 classes changed") == 40


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium is installed")
    return found


def browse(chromium: str, page: Path, profile: Path) -> tuple[str, str]:
    """(the document after its scripts have run, what the browser logged)."""
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--enable-logging=stderr", f"--user-data-dir={profile}", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run([chromium, *options, page.as_uri()], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_a_browser_runs_the_page_without_complaint(chromium: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(report_html(merge_reports([report(*ROWS)])), encoding="utf-8")
    document, log = browse(chromium, page, tmp_path / "profile")
    assert '<th scope="col" class="number"><button type="button">size</button></th>' in document  # its policy let its script run
    assert not [line for line in log.splitlines() if "CONSOLE" in line]


def test_a_click_sorts_in_a_browser(chromium: str, tmp_path: Path) -> None:
    """A script of ours clicks and writes down what it sees; for it alone the page's policy is opened."""
    text = report_html(merge_reports([report(*ROWS)]))
    text = re.sub(r"script-src 'sha256-[^']+'", "script-src 'unsafe-inline'", text)
    clicks = """<script>
const table = document.querySelector("table.sortable");
const order = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent.slice(0, 19)).join("|");
const button = [...table.querySelectorAll("button")].find((found) => found.textContent === "size");
const seen = [order()];
button.click(); seen.push(order(), button.parentElement.getAttribute("aria-sort"));
button.click(); seen.push(order(), button.parentElement.getAttribute("aria-sort"));
seen.push(performance.getEntriesByType("resource").length);
seen.push(document.documentElement.scrollWidth <= innerWidth);
document.title = JSON.stringify(seen);
</script>"""
    page = tmp_path / "report.html"
    page.write_text(text.replace("</body>", f"{clicks}</body>"), encoding="utf-8")
    document, log = browse(chromium, page, tmp_path / "profile")
    title = re.search(r"<title>(.*?)</title>", document, re.DOTALL)
    assert title, log
    names = [row.artifact[:19] for row in sorted(ROWS, key=lambda row: row.size_bytes)]
    rising, falling = ("|".join(found).replace("<", "&lt;").replace(">", "&gt;") for found in (names, names[::-1]))
    assert f'"{rising}","ascending","{falling}","descending",0,true]' in title[1]
