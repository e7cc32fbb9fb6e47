"""The Android sample as far as it can be tested without Gradle and a phone: `make test-android`.

Maven runs the tests in Kotlin (golden vectors, golden set in Robolectric, screens); what they wrote, and the APK, are looked at here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
from PIL import Image
from small_model import ARTIFACTS, CLONE, LABELS, Built

pytestmark = [pytest.mark.android, pytest.mark.timeout(1800)]  # the first run downloads half a gigabyte

FILTERS = {
    "BILINEAR_ANTIALIASED": Image.Resampling.BILINEAR,
    "BICUBIC": Image.Resampling.BICUBIC,
    "LANCZOS": Image.Resampling.LANCZOS,
}
# Of Pillow's time. Few weights to a pixel leave little to gain: on AVX-512 bilinear took 0.9 of it, and half of the vectors' width could be
# missing elsewhere; bicubic and Lanczos took half.
MOST_TIME = {"BILINEAR_ANTIALIASED": 1.5, "BICUBIC": 1.0, "LANCZOS": 1.0}
ZIP_HEADERS = 30 + 46  # of an entry and in the directory, each with its name behind it


def test_every_test_in_kotlin_ran(built: Built) -> None:
    counts = {
        suite.get("name", "").rpartition(".")[2]: int(suite.get("tests", "0"))
        for path in built.build.glob("*/surefire-reports/TEST-*.xml")
        for suite in [ElementTree.parse(path).getroot()]
    }
    sources = [*(CLONE / "android_sample").glob("*/src/test/kotlin/**/*Test.kt")]
    assert counts == {source.stem: source.read_text().count("@Test\n") for source in sources}
    assert f"{sum(counts.values())} tests passed" in built.words


@pytest.mark.parametrize("name", FILTERS)
def test_twelve_megapixels_take_about_as_long_as_with_pillow(built: Built, name: str) -> None:
    """Pillow computes the same sums in C; both times are processor time of one thread, the best of several."""
    ours = json.loads((built.build / "resize_ms.json").read_text())[name]
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), np.uint8))
    times = []
    for _ in range(5):
        start = time.thread_time()
        picture.resize((224, 224), FILTERS[name])
        times.append((time.thread_time() - start) * 1000)
    assert ours <= MOST_TIME[name] * min(times), f"{ours:.1f} ms, Pillow {min(times):.1f} ms"


def test_sample_without_a_model_is_a_sentence(tmp_path: Path) -> None:
    sample = tmp_path / "android_sample"
    (sample / "gradle").mkdir(parents=True)
    shutil.copy(CLONE / "android_sample/gradle/libs.versions.toml", sample / "gradle")
    done = subprocess.run([sys.executable, CLONE / "tools/android", sample], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == f"tools/android: needs a model in the app, whose tests classify with it: edgecls embed OUT --into {sample}\n"
    )


def test_results_of_the_app_follow_the_schema(built: Built) -> None:
    results = json.loads((built.build / "screens/results.json").read_text())
    jsonschema.validate(results, json.loads((CLONE / "docs/results.schema.json").read_text()))
    assert [row["artifact"] for row in results["measurements"]] == list(ARTIFACTS)
    assert results["labels"] == list(LABELS)
    assert results["environment"]["platform"] == "Android 15 (API 35)"
    manifest = json.loads((built.artifacts / "manifest.json").read_text())
    assert results["image_spec"] == manifest["image_spec"]
    for row in results["measurements"]:
        if row["target"] == "tflite":  # its library is Android's
            assert (row["status"], row["latency"]) == ("failed", None)
            continue
        latency = row["latency"]
        assert latency["p50_ms"] == pytest.approx(np.percentile(latency["samples_ms"], 50), abs=1e-9)
        assert latency["p99_ms"] == pytest.approx(np.percentile(latency["samples_ms"], 99), abs=1e-9)
        assert latency["runs"] == len(latency["samples_ms"]) >= 50
        assert len(latency["rounds_p50_ms"]) == 5
    assert any("golden pictures enter the model as on the host" in note for note in results["notes"])


def test_report_shows_host_and_app_together(built: Built, edgecls: Callable[..., Any]) -> None:
    benched = edgecls("bench", built.artifacts)
    assert benched.exit_code == 0, benched.stderr
    app, page = built.build / "screens/results.json", built.build / "both.md"
    found = edgecls("report", built.artifacts / "results.json", app, "--out", page)
    assert found.exit_code == 0, found.stderr
    text = page.read_text()
    _, host, phone = re.split(r"^## ", text, flags=re.MULTILINE)
    for section in (host, phone):
        assert re.search(r"\| base-onnx-float32 \|.* 0\.\d+", section)
    assert phone.startswith("robolectric")


@pytest.mark.parametrize("screen", ["main", "main-night", "benchmark"])
def test_screens_are_drawn(built: Built, screen: str) -> None:
    with Image.open(built.build / f"screens/{screen}.png") as image:
        assert image.width == 800
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 20  # text and bars, not a blank


def test_apk_holds_what_was_embedded(built: Built) -> None:
    embedded = built.sample / "app/src/main/assets/edgecls"
    with zipfile.ZipFile(built.build / "edgecls-sample.apk") as apk:
        for path in embedded.rglob("*"):
            if path.is_file():
                assert apk.read(f"assets/edgecls/{path.relative_to(embedded).as_posix()}") == path.read_bytes()
        models = [entry for entry in apk.infolist() if entry.filename.endswith((".tflite", ".onnx"))]
        assert len(models) == len(ARTIFACTS)
        stored = [*models, apk.getinfo("resources.arsc"), *(entry for entry in apk.infolist() if entry.filename.endswith(".so"))]
        assert {entry.compress_type for entry in stored} == {zipfile.ZIP_STORED}


def test_app_grows_as_embed_says(built: Built, edgecls: Callable[..., Any]) -> None:
    names = [word for name in ARTIFACTS for word in ("--artifact", name)]
    again = edgecls("embed", built.artifacts, "--into", built.sample, *names)
    said = re.search(r"the app grows by .* \(([\d,]+) bytes\)", again.stdout)
    assert said, again.stdout
    with zipfile.ZipFile(built.build / "edgecls-sample.apk") as apk:
        entries = [entry for entry in apk.infolist() if entry.filename.startswith("assets/edgecls/")]
    grown = sum(entry.compress_size + ZIP_HEADERS + 2 * len(entry.filename) for entry in entries)
    assert int(said[1].replace(",", "")) == pytest.approx(grown, rel=0.01)


def test_apk_can_be_installed(built: Built) -> None:
    apk = str(built.build / "edgecls-sample.apk")
    badging = _told("aapt", "dump", "badging", apk)
    assert "package: name='dev.edgecls.app'" in badging
    assert "sdkVersion:'24'" in badging
    assert "targetSdkVersion:'35'" in badging
    assert "launchable-activity: name='dev.edgecls.app.MainActivity'" in badging
    processors = re.findall(r"'([^']+)'", badging.partition("native-code:")[2])
    assert {"arm64-v8a", "x86_64"} <= set(processors)
    assert "Verified using v2 scheme (APK Signature Scheme v2): true" in _told("apksigner", "verify", "-v", apk)
    _told("zipalign", "-c", "-p", "4", apk)


def _told(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
