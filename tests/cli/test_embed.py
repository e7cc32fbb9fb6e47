"""`edgecls embed`: a folder of real ONNX files into throw-away apps, as a user calls it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import Result

from edgecls.records.app_contract import AppContract, GoldenSet
from edgecls.records.artifact import Artifact, Manifest
from edgecls.records.embedding import EMBEDDING_NAME
from edgecls.runners import open_runner
from embed.apps import android_app, web_app, write, xcode_app
from gate_folder import FLOAT, INT8, MADE, make_folder, row, write_results

Edgecls = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two artifacts whose measurements pick the int8 one."""
    manifest = make_folder(tmp_path / "out", {FLOAT: 32, INT8: 8})
    sizes = {artifact.name: artifact.compressed_bytes for artifact in manifest.artifacts}
    rows = {name: row(name).model_copy(update={"compressed_bytes": sizes[name]}) for name in (FLOAT, INT8)}
    write_results(tmp_path / "out", manifest, rows)
    return tmp_path / "out"


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_the_pick_goes_into_an_android_app_with_all_that_proves_it(folder: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    app = android_app(tmp_path / "app")
    before = files(app)
    done = edgecls("embed", folder, "--into", app, "--code")
    assert done.exit_code == 0, done.stderr
    assets = app / "app/src/main/assets/edgecls"
    contract = AppContract.read_file(assets / "edgecls.json")
    assert [artifact.name for artifact in contract.artifacts] == [INT8]
    assert contract.artifacts[0].input.shape == [1, 4, 4, 3]
    assert contract.golden == "golden.json"
    golden = GoldenSet.read_file(assets / "golden.json")
    with_pixels = [np.asarray(Image.open(assets / image.pixels)) for image in golden.images]
    runner = open_runner(assets / contract.artifacts[0].file, spec=contract.image_spec)
    expected = runner.predict(np.stack(with_pixels))
    told = np.array([image.scores[INT8] for image in golden.images], np.float32)
    assert np.array_equal(told, expected)  # the same engine, the same pixels
    listed = {f"app/src/main/assets/edgecls/{name}" for image in golden.images for name in (image.file, image.pixels)}
    assert files(app) - before == {
        *listed,
        *(f"app/src/main/assets/edgecls/{name}" for name in ("edgecls.json", "golden.json", f"{INT8}.onnx")),
        "app/src/main/java/org/example/flowers/EdgeclsModel.kt",
        EMBEDDING_NAME,
    }
    assert f"ship {INT8}" in done.stdout
    assert "the app grows by" in done.stdout and "Build and install the app" in done.stdout
    assert edgecls("embed", "--into", app, "--remove").exit_code == 0
    assert files(app) == before


def test_a_second_call_takes_others_and_needs_no_golden_set(folder: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    app = web_app(tmp_path / "app")
    assert edgecls("embed", folder, "--into", app).exit_code == 0
    done = edgecls("embed", folder, "--into", app, "--artifact", FLOAT, "--artifact", INT8, "--no-golden")
    assert done.exit_code == 0, done.stderr
    found = {path.name for path in (app / "public/edgecls").iterdir()}
    assert found == {"edgecls.json", f"{FLOAT}.onnx", f"{INT8}.onnx"}
    contract = json.loads((app / "public/edgecls/edgecls.json").read_text())
    assert contract["golden"] is None
    assert contract["artifacts"][0]["output"]["quantization"] is None


def test_own_pictures(folder: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    own = tmp_path / "own.png"
    Image.new("RGB", (30, 20), (10, 20, 30)).save(own)
    app = web_app(tmp_path / "app")
    assert edgecls("embed", folder, "--into", app, "--golden", own).exit_code == 0
    (image,) = GoldenSet.read_file(app / "public/edgecls/golden.json").images
    assert image.name == "own"
    assert np.asarray(Image.open(app / "public/edgecls" / image.pixels))[0, 0].tolist() == [10, 20, 30]


def _no_results(folder: Path, app: Path) -> list[str]:
    (folder / "results.json").unlink()
    return []


def _no_labels(folder: Path, app: Path) -> list[str]:
    rows = {name: row(name).model_copy(update={"accuracy": None, "flips": None}) for name in (FLOAT, INT8)}
    write_results(folder, Manifest.read(folder), rows)
    return []


def _stale_results(folder: Path, app: Path) -> list[str]:
    make_folder(folder, {FLOAT: 32, INT8: 8}, created=MADE + datetime.timedelta(days=1))
    return []


def _status(folder: Path, **changes: object) -> None:
    manifest = Manifest.read(folder)
    rows: list[Artifact] = [found.model_copy(update=changes) if found.name == INT8 else found for found in manifest.artifacts]
    (folder / "manifest.json").write_text(manifest.model_copy(update={"artifacts": rows}).to_json())


def _rejected(folder: Path, app: Path) -> list[str]:
    _status(folder, status="rejected", reason="top-1 agrees on 20 %")
    return ["--artifact", INT8]


def _core_ml(folder: Path, app: Path) -> list[str]:
    _status(folder, target="coreml")
    return ["--artifact", INT8]


def _changed(folder: Path, app: Path) -> list[str]:
    (folder / f"{INT8}.onnx").write_bytes(b"edited")
    return []


def _edited(folder: Path, app: Path) -> list[str]:
    write(
        app / EMBEDDING_NAME,
        json.dumps({"schema_version": 1, "platform": "web", "edgecls_version": "0", "files": {"src/main.ts": "0"}}),
    )
    return []


BROKEN = {
    _no_results: "run `edgecls bench` on labelled images, or name artifacts with --artifact",
    _no_labels: f"name one with --artifact: {FLOAT}, {INT8}",
    _stale_results: "measure them again with `edgecls bench`",
    _rejected: "rejected: top-1 agrees on 20 %",
    _core_ml: "which is Core ML; choose a .tflite or an .onnx",
    _changed: "changed since conversion",
    _edited: "edited since",
    (lambda folder, app: ["--artifact", "none"]): f"choose of {FLOAT}, {INT8}",
    (lambda folder, app: ["--platform", "ios"]): "an iOS app by an .xcodeproj",
    (lambda folder, app: ["--golden", str(app)]): "without any",
    (lambda folder, app: ["--remove"]): "--remove with --into alone",
}


@pytest.mark.parametrize(("breaking", "said"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_what_cannot_be_is_one_line_and_changes_nothing(
    breaking: Callable[[Path, Path], list[str]], said: str, folder: Path, edgecls: Edgecls, tmp_path: Path
) -> None:
    app = web_app(tmp_path / "app")
    options = breaking(folder, app)
    before = {path: (app / path).read_text() for path in files(app)}
    done = edgecls("embed", folder, "--into", app, *options)
    assert done.exit_code == 2, done.stdout
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path: (app / path).read_text() for path in files(app)} == before


def test_onnx_does_not_go_into_an_ios_app(folder: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    done = edgecls("embed", folder, "--into", xcode_app(tmp_path / "app"), "--artifact", INT8)
    assert done.exit_code == 2
    assert f"an artifact for an iOS app, found {INT8}, which is ONNX; choose a Core ML package" in done.stderr


def test_a_folder_without_core_ml_is_told_how_to_get_some(folder: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    done = edgecls("embed", folder, "--into", xcode_app(tmp_path / "app"))
    assert done.exit_code == 2
    assert "none in the folder, which holds ONNX; make one: edgecls convert MODEL --targets coreml" in done.stderr


def test_a_variant_without_core_ml_is_not_to_be_made_of_the_model(folder: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    manifest = Manifest.read(folder)
    rows = [artifact.model_copy(update={"variant": "pruned50"}) for artifact in manifest.artifacts]
    (folder / "manifest.json").write_text(manifest.model_copy(update={"artifacts": rows}).to_json(), encoding="utf-8")
    done = edgecls("embed", folder, "--into", xcode_app(tmp_path / "app"))
    assert done.exit_code == 2
    assert "of the same variant, not of the model: edgecls convert VARIANTS --targets coreml" in done.stderr
    assert "edgecls optimize with --targets onnx,coreml" in done.stderr


def test_constants_need_a_namespace(folder: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    app = android_app(tmp_path / "app")
    write(app / "app" / "build.gradle.kts", 'plugins { id("com.android.application") }')
    done = edgecls("embed", folder, "--into", app, "--code")
    assert done.exit_code == 2
    assert "a namespace in the build file" in done.stderr


@pytest.fixture
def theirs(folder: Path, tmp_path: Path) -> Path:
    """A file that says nothing of images and classes."""
    model = onnx.load(folder / f"{FLOAT}.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "theirs.onnx")
    return tmp_path / "theirs.onnx"


def test_a_single_file_of_others_goes_into_an_app(theirs: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    app = web_app(tmp_path / "app")
    names = [f"kind {number}" for number in range(10)]
    (tmp_path / "labels.txt").write_text("\n".join(names))
    choices = ["--preprocess", "imagenet-torch", "--fit", "crop=0.875", "--labels", tmp_path / "labels.txt"]
    done = edgecls("embed", theirs, "--into", app, *choices)
    assert done.exit_code == 0, done.stderr
    place = app / "public/edgecls"
    contract = AppContract.read_file(place / "edgecls.json")
    assert contract.labels == names
    assert contract.image_spec.fit == "crop" and contract.image_spec.std[0] == pytest.approx(255 * 0.229)
    (artifact,) = contract.artifacts
    assert (artifact.name, artifact.file, artifact.scheme) == ("theirs", "theirs.onnx", "float32")
    assert (place / "theirs.onnx").read_bytes() == theirs.read_bytes()
    golden = GoldenSet.read_file(place / "golden.json")
    pixels = np.stack([np.asarray(Image.open(place / image.pixels)) for image in golden.images])
    expected = open_runner(theirs, spec=contract.image_spec).predict(pixels)
    assert np.array_equal(np.array([image.scores["theirs"] for image in golden.images], np.float32), expected)


def test_what_is_assumed_of_a_single_file_is_said(theirs: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    done = edgecls("embed", theirs, "--into", web_app(tmp_path / "app"))
    assert done.exit_code == 0, done.stderr
    assert "--preprocess" in done.stdout
    assert "--fit" in done.stdout


def test_a_file_whose_weights_lie_elsewhere_is_refused(theirs: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    """An app gets the one file alone."""
    model = onnx.load(theirs)
    onnx.save(model, theirs, save_as_external_data=True, location="weights.bin", size_threshold=0)
    app = web_app(tmp_path / "app")
    before = files(app)
    done = edgecls("embed", theirs, "--into", app)
    assert done.exit_code in (2, 3)
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "weights.bin" in done.stderr
    assert files(app) == before


def test_choices_are_of_a_single_file(folder: Path, theirs: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    app = web_app(tmp_path / "app")
    done = edgecls("embed", folder, "--into", app, "--preprocess", "0..1")
    assert (done.exit_code, done.stderr[:50]) == (2, "error: expected --preprocess, --fit, --filter and ")
    done = edgecls("embed", theirs, "--into", app, "--artifact", "theirs")
    assert (done.exit_code, done.stderr[:40]) == (2, "error: expected --artifact with an artif")
    done = edgecls("embed", tmp_path / "labels.txt", "--into", app)
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    odd = theirs.rename(tmp_path / "their\\s.onnx")
    done = edgecls("embed", odd, "--into", app)
    assert (done.exit_code, done.stderr[:45]) == (2, "error: expected a file name that every system")
    theirs = odd.rename(theirs)
    done = edgecls("embed", theirs, "--into", xcode_app(tmp_path / "ios"))
    assert done.exit_code == 2 and "ONNX" in done.stderr


def test_remove_leaves_no_option_unheeded(edgecls: Edgecls, tmp_path: Path) -> None:
    done = edgecls("embed", "--into", tmp_path, "--remove", "--platform", "web")
    assert (done.exit_code, "--remove with --into alone" in done.stderr) == (2, True)
