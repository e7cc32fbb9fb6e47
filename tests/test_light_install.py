"""What works where only the base dependencies, or one extra, are installed: everything else is out of reach there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import light_install
import mil_packages
from edgecls.converters.tflite.metadata import write_tflite
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from written_tflite import classifier

QUICK = ("--min-seconds", "0", "--min-runs", "2", "--preprocess", "0..255")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a TFLite file, a Core ML package, labelled images and one image."""
    folder = tmp_path_factory.mktemp("light")
    record = ArtifactMetadata(
        name="m",
        image_spec=ImageSpec(height=6, width=6, channels=3),
        labels=["a", "b", "c"],
        outputs=3,
        output_kind="logits",
        source_sha256="0" * 64,
        edgecls_version="0",
    )
    (folder / "m.tflite").write_bytes(write_tflite(classifier(6), record))
    mil_packages.classifier(folder).rename(folder / "p.mlpackage")
    images = np.random.default_rng(0).integers(0, 256, (24, 6, 6, 3), np.uint8)
    np.savez_compressed(folder / "three.npz", x=images, y=np.arange(24) % 3)
    np.savez_compressed(folder / "four.npz", x=images, y=np.arange(24) % 4)
    Image.fromarray(images[0]).save(folder / "image.png")
    return folder


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return light_install.environment(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def coreml(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return light_install.environment(tmp_path_factory.mktemp("site"), "coreml")


def edgecls(environment: dict[str, str], folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgecls.cli", *map(str, words)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)


def rows(environment: dict[str, str], folder: Path, *words: object) -> list[dict[str, Any]]:
    done = edgecls(environment, folder, "bench", *words, *QUICK, "--json", "-o", "results.json")
    assert done.returncode in (0, 3), done.stderr
    return json.loads(done.stdout)["measurements"]


def test_the_base_measures_and_says_what_packages_need(light: dict[str, str], here: Path) -> None:
    """Classes, flips and intervals included: nothing of them needs scikit-learn or scipy."""
    tflite, package = rows(light, here, "m.tflite", "p.mlpackage", "--data", "three.npz")
    assert (tflite["status"], tflite["accuracy"]["images"], len(tflite["accuracy"]["classes"])) == ("ok", 24, 3)
    assert package["status"] == "unsupported"
    assert package["reason"] == "No module named 'coremltools'; run: pip install 'edgecls[coreml]'"
    for words in (["report", "results.json"], ["inspect", "m.tflite"], ["predict", "m.tflite", "image.png"]):
        done = edgecls(light, here, *words)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["inspect", "p.mlpackage"], ["predict", "p.mlpackage", "image.png"]])
def test_the_base_names_the_extra(light: dict[str, str], here: Path, words: list[str]) -> None:
    done = edgecls(light, here, *words)
    assert done.returncode == 2
    assert "pip install 'edgecls[coreml]'" in done.stderr


def test_the_digits_name_the_package_that_brings_them(light: dict[str, str]) -> None:
    code = "from edgecls.data.digits import digits_split; digits_split('data')"
    done = subprocess.run([sys.executable, "-c", code], env=light, capture_output=True, text=True, timeout=60, check=False)
    assert "MissingExtraError" in done.stderr
    assert "pip install scikit-learn" in done.stderr


def test_the_extra_computes_packages(coreml: dict[str, str], here: Path) -> None:
    [package] = rows(coreml, here, "p.mlpackage", "--data", "four.npz")
    assert (package["status"], package["accuracy"]["images"]) == ("ok", 24)
    for words in (["inspect", "p.mlpackage"], ["predict", "p.mlpackage", "image.png"]):
        done = edgecls(coreml, here, *words)
        assert done.returncode == 0, done.stderr
