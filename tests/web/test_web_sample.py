"""The web sample with real models embedded, built as README tells: its own tests in headless Chromium, and the results it measured."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from edgecls.data.digits import DIGITS_NAME
from edgecls.records.artifact import Manifest
from edgecls.records.report import Report
from edgecls.workflow.demo import train_demo_model
from zoo_models import MODELS

pytestmark = [pytest.mark.web, pytest.mark.timeout(1200)]

CLONE = Path(__file__).resolve().parents[2]
SAMPLE, SHARED = CLONE / "web_sample", CLONE.parent / "shared"
EDGECLS = (sys.executable, "-m", "edgecls.cli")
ZOO = {model.id: model for model in MODELS}
# Small and in colour, large and in colour, grey; without the zoo the demo's own model.
NAMES = ("pretrainedResnet", "mobilenet_v1_0.25_224", "fashion_mnist_model") if (SHARED / "zoo").is_dir() else ("digits",)
EMBED = ("base-tflite-float32", "base-tflite-int8", "base-onnx-float32", "base-onnx-int8")


@dataclass(frozen=True)
class Page:
    """The page of one model.

    Attributes:
        artifacts: the folder that `convert` made.
        site: the built page.
        out: where its tests put what they made.
    """

    artifacts: Path
    site: Path
    out: Path

    def run_tests(self, *names: str) -> None:
        """Run those of the sample's tests in whose name one of `names` stands, or all."""
        chosen = ("-t", "|".join(names)) if names else ()
        run(SAMPLE, "npm", "run", "test:page", "--", *chosen, SITE=str(self.site), OUT=str(self.out))


@pytest.fixture(scope="session")
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of the model with the requested name."""
    folder = tmp_path_factory.mktemp("page")
    artifacts, sample, out = folder / "artifacts", folder / "web_sample", folder / "out"
    convert(request.param, artifacts)
    shutil.copytree(SAMPLE, sample, ignore=shutil.ignore_patterns("node_modules", "public", "dist"))
    (sample / "node_modules").symlink_to(SAMPLE / "node_modules")
    chosen = [word for name in EMBED for word in ("--artifact", name)]
    run(folder, *EDGECLS, "embed", str(artifacts), "--into", str(sample), *chosen)
    run(sample, "npm", "run", "build")
    out.mkdir()
    return Page(artifacts, sample / "dist", out)


def convert(name: str, into: Path) -> None:
    """Make the artifacts that the page embeds."""
    if name == "digits":
        source, images = (str(train_demo_model(into.parent)),), DIGITS_NAME
    else:
        model = ZOO[name]
        source, images = (str(SHARED / "zoo" / model.path), "--preprocess", model.preprocess), str(model.data(SHARED / "data"))
    how = ("--targets", "tflite,onnx", "--schemes", "float32,int8", "--calibration", images, "--calibration-images", "64")
    run(into.parent, *EDGECLS, "convert", *source, *how, "-o", str(into))


def run(folder: Path, *command: str, **environment: str) -> None:
    """Run a command; what it said is in the failure."""
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", NAMES, indirect=True)
def test_the_page_sees_and_answers_what_the_host_does(page: Page) -> None:
    page.run_tests("golden pictures", "is chosen")


@pytest.mark.parametrize("page", NAMES[:1], indirect=True)
def test_the_page_does_what_it_promises(page: Page) -> None:
    page.run_tests()
    found = json.loads((page.out / "results.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, json.loads((CLONE / "docs/results.schema.json").read_text(encoding="utf-8")))
    measured = {row.artifact: row for row in Report.read(page.out / "results.json").measurements}
    assert set(measured) == set(EMBED)
    for artifact in Manifest.read(page.artifacts).artifacts:
        row = measured[artifact.name]
        assert (row.status, row.size_bytes, row.compressed_bytes) == ("ok", artifact.size_bytes, artifact.compressed_bytes)
        assert row.latency is not None and row.latency.runs >= 50
        assert len(row.latency.samples_ms) == row.latency.runs


@pytest.mark.parametrize("page", NAMES[:1], indirect=True)
def test_one_report_has_the_host_and_the_browser(page: Page) -> None:
    if not (page.out / "results.json").exists():
        page.run_tests("keyboard")
    run(page.out, *EDGECLS, "bench", str(page.artifacts), "--limit", "20", "--min-seconds", "0.1", "-o", "host.json")
    run(page.out, *EDGECLS, "report", "host.json", "results.json", "-o", "report.md")
    report = (page.out / "report.md").read_text(encoding="utf-8")
    browser = Report.read(page.out / "results.json").environment.device
    host, there = report.split(f"## {browser}\n")
    for name in EMBED:
        assert f"| {name} |" in host
        assert f"| {name} |" in there
