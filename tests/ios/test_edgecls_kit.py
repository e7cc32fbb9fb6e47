"""EdgeclsKit: what its own tests say, how fast it is, and whether Python can read what it writes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from edgecls.records.app_contract import AppContract, GoldenSet
from edgecls.records.latency import Conditions
from edgecls.records.report import Report
from edgecls.timing.latency import compare_latency
from edgecls.timing.validity import judge_latency
from ios_sample import CLONE, KIT, Swift

pytestmark = [pytest.mark.ios, pytest.mark.timeout(900)]

FILTERS = {
    "bilinear-antialiased": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def test_its_own_tests_pass(output: Path):
    assert (output / "results.json").exists()


def test_what_its_tests_read_is_what_embed_writes():
    tests = KIT / "Tests/EdgeclsKitTests"
    contract, golden = AppContract.read_file(tests / "contract.json"), GoldenSet.read_file(tests / "golden.json")
    assert json.loads((tests / "contract.json").read_text()) == json.loads(contract.model_dump_json())
    assert json.loads((tests / "golden.json").read_text()) == json.loads(golden.model_dump_json())


def test_the_code_is_formatted(swift: Swift):
    done = swift("swift-format", "lint", "--strict", "--recursive", "ios_sample")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def resize_ms(swift: Swift, output: Path) -> dict[str, tuple[float, float]]:
    """Ours and Pillow's for each filter: processor time of one thread, the least of five turns that alternate, each the best of five.

    A processor that others share changes its pace by half for seconds at a time; only turns meet the same quiet spells on both sides.
    """
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), np.uint8))
    turns = [(_ours_ms(swift, output), {name: _pillow_ms(picture, name) for name in FILTERS}) for _ in range(5)]
    return {name: (min(ours[name] for ours, _ in turns), min(pillow[name] for _, pillow in turns)) for name in FILTERS}


def _ours_ms(swift: Swift, output: Path) -> dict[str, float]:
    command = ("swift", "test", "--skip-build", "--configuration", "release", "--package-path", KIT, "--filter", "SpeedTests")
    done = swift(*command, TEST_OUTPUT=output)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((output / "resize_ms.json").read_text())


def _pillow_ms(picture: Image.Image, name: str) -> float:
    times = []
    for _ in range(5):
        start = time.thread_time()
        picture.resize((224, 224), FILTERS[name])
        times.append((time.thread_time() - start) * 1000)
    return min(times)


@pytest.mark.parametrize("name", FILTERS)
def test_twelve_megapixels_take_no_longer_than_with_pillow(resize_ms: dict[str, tuple[float, float]], name: str):
    """Pillow computes the same sums in C."""
    ours, pillow = resize_ms[name]
    assert ours <= pillow, f"{ours:.1f} ms, Pillow {pillow:.1f} ms"


def test_results_follow_the_schema(output: Path):
    schema = json.loads((CLONE / "docs/results.schema.json").read_text())
    jsonschema.validate(json.loads((output / "results.json").read_text()), schema)


def test_percentiles_are_those_of_the_host(output: Path):
    latency = Report.read(output / "results.json").measurements[0].latency
    assert latency is not None
    samples = np.array(latency.samples_ms)  # rounded to a tenth of a microsecond, so that half of one may lie between
    assert np.allclose([latency.p50_ms, latency.p90_ms, latency.p99_ms], np.percentile(samples, (50, 90, 99)), atol=5e-5, rtol=0)


def test_the_host_comes_to_the_same_ratio_and_verdicts(output: Path):
    first, second = Report.read(output / "results.json").measurements
    assert first.latency and second.latency and second.latency_ratio
    expected = compare_latency(second.latency, first.latency, first.artifact)
    assert expected is not None
    assert second.latency_ratio.verdict == expected.verdict
    ours, theirs = second.latency_ratio, expected
    found = (ours.ratio, ours.interval.low, ours.interval.high)
    assert found == pytest.approx(
        (theirs.ratio, theirs.interval.low, theirs.interval.high), rel=1e-9
    )  # logarithms may round otherwise
    verdicts = [latency.validity for latency in (first.latency, second.latency)]
    assert verdicts == [judge_latency(latency, Conditions()) for latency in (first.latency, second.latency)]
    assert [verdict.verdict for verdict in verdicts if verdict] == ["valid", "invalid"]


def test_the_report_shows_a_phone_beside_the_host(output: Path, tmp_path: Path, edgecls: Callable[..., Any]):
    phone = Report.read(output / "results.json")
    host = phone.model_copy(update={"environment": phone.environment.model_copy(update={"device": "", "processor": "a host"})})
    (tmp_path / "host.json").write_text(host.model_dump_json())
    done = edgecls("report", tmp_path / "host.json", output / "results.json", "--out", tmp_path / "report.md")
    assert done.exit_code == 0, done.stderr
    page = (tmp_path / "report.md").read_text()
    assert "a host" in page
    assert "iPhone" in page
