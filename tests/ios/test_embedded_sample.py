"""From `edgecls embed` to EdgeclsKit: what it puts into the iOS sample is what Swift reads, and its pictures become the golden pixels."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgecls.data import Skipped
from edgecls.data.decode import decode_image
from edgecls.records.app_contract import AppContract, GoldenSet
from edgecls.records.image_spec import ImageSpec
from ios_sample import KIT, SAMPLE, Swift

pytestmark = [pytest.mark.ios, pytest.mark.timeout(900)]

HEIGHT, WIDTH = 40, 32
LABELS = ["cat", "dog", "owl", "größe"]
# Not the defaults, so that a spec that is not read shows.
SPEC = ("--preprocess=-1..1", "--fit", "crop=0.875", "--filter", "lanczos")


@pytest.fixture
def sample(edgecls: Callable[..., Any]) -> Path:
    """A copy of the sample with a small model in it, made and embedded by `edgecls`."""
    import keras

    folder = KIT / ".build/embedded"  # in the clone, which the toolchain sees wherever it is
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SAMPLE, folder / "sample", ignore=shutil.ignore_patterns(".build", "EdgeclsModels"))
    layers = keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((HEIGHT, WIDTH, 3)),
        layers.Conv2D(4, 3, strides=2, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(len(LABELS), activation="softmax"),
    ])  # fmt: skip
    model.save(folder / "small.keras")
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    what = ("--targets", "coreml", "--schemes", "float32", "--labels", folder / "labels.txt", *SPEC)
    for command in (
        ("convert", folder / "small.keras", "--out", folder / "small.artifacts", *what),
        ("embed", folder / "small.artifacts", "--into", folder / "sample", "--artifact", "base-coreml-float32"),
    ):
        done = edgecls(*command)
        assert done.exit_code == 0, done.stderr
    return folder / "sample"


def decoded(path: Path, channels: int) -> dict[str, Any]:
    """A picture at its own size, upright, 8 bits, as the contract has it decoded."""
    with Image.open(path) as image:
        width, height = ImageOps.exif_transpose(image).size
    found = decode_image(path, ImageSpec(height=height, width=width, channels=channels))
    assert not isinstance(found, Skipped), found
    pixels: np.ndarray = found.pixels
    values = base64.b64encode(pixels.tobytes()).decode()
    return {"height": height, "width": width, "channels": channels, "values": values}


def test_swift_reads_what_was_embedded_and_makes_the_golden_pixels(sample: Path, swift: Swift, output: Path):
    models, found = sample / "EdgeclsModels", output / "embedded"
    contract = AppContract.read_file(models / "edgecls.json")
    golden = GoldenSet.read_file(models / "golden.json")
    names = [name for image in golden.images for name in (image.file, image.pixels)]
    (sample / "decoded.json").write_text(json.dumps({name: decoded(models / name, 3) for name in names}))
    found.mkdir()
    test = (
        "swift",
        "test",
        "--configuration",
        "release",
        "--skip-build",
        "--package-path",
        KIT,
        "--filter",
        "EmbeddedFolderTests",
    )
    done = swift(*test, EMBEDDED=sample, TEST_OUTPUT=found)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads((found / "contract.json").read_text(encoding="utf-8"))  # written where the test ran, not skipped
    assert seen["labels"] == contract.labels == LABELS
    assert ImageSpec.model_validate(seen["image_spec"]) == contract.image_spec
    assert (contract.image_spec.crop_share, contract.image_spec.filter) == (0.875, "lanczos")
    read = [(artifact["name"], artifact["file"], artifact["sha256"]) for artifact in seen["artifacts"]]
    assert read == [(artifact.name, artifact.file, artifact.sha256) for artifact in contract.artifacts]
    assert all((models / file).exists() for _, file, _ in read)
