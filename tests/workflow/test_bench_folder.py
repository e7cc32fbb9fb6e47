"""bench on an artifacts folder that was made by hand: tiny ONNX classifiers, no conversion."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from edgecls.cli.app import app
from edgecls.crew import BenchOptions
from edgecls.data import synthetic_pixels
from edgecls.errors import ArtifactError, InputError, OutputError
from edgecls.formats import file_sizes, sha256
from edgecls.records.artifact import Artifact, DataSource, Manifest, Requested, Source
from edgecls.records.event import Event
from edgecls.records.image_spec import ImageSpec
from edgecls.records.measurement import Measurement
from edgecls.records.report import Report
from edgecls.workflow import BenchRequest, bench
from edgecls.workflow.bench import newest_folder

SPEC = ImageSpec(height=4, width=4, channels=3).with_preprocess("-1..1")
QUICK = BenchOptions(min_seconds=0.0, min_runs=5, warmup_seconds=0.0, warmup_runs=1, least_rounds=1, cores=1, timeout_s=60)
LABELS = [f"class_{index}" for index in range(10)]
WEIGHTS = np.random.default_rng(1).standard_normal((48, 10)).astype(np.float32)


def save_classifier(path: Path, note: str = "") -> None:
    """A linear classifier of 10 classes; `note` makes files differ."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "weights"], ["scores"])],
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 4, 4, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(WEIGHTS, "weights")],
        doc_string=note,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)


def artifact(folder: Path, name: str, scheme: str) -> Artifact:
    path = folder / f"{name}.onnx"
    save_classifier(path, name)
    size, compressed = file_sizes(path)
    return Artifact.model_validate(
        {
            "name": name,
            "path": path.name,
            "target": "onnx",
            "scheme": scheme,
            "requested": Requested.model_validate({"target": "onnx", "scheme": scheme}),
            "size_bytes": size,
            "compressed_bytes": compressed,
            "sha256": sha256(path),
        }
    )


MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    def make(
        schemes: tuple[str, ...] = ("float32", "int8"),
        data: list[DataSource] | None = None,
        name: str = "m",
        spec: ImageSpec = SPEC,
    ) -> Path:
        folder = tmp_path / f"{name}.artifacts"
        folder.mkdir()
        manifest = Manifest(
            created=datetime.datetime.now(datetime.UTC),
            edgecls_version="0",
            source=Source(name="m", sha256="abc", format="keras"),
            image_spec=spec,
            labels=LABELS,
            labels_source="default",
            output_kind="logits",
            outputs=10,
            toolchain={},
            data=data or [],
            artifacts=[artifact(folder, f"a-{scheme}", scheme) for scheme in schemes],
        )
        (folder / "manifest.json").write_text(manifest.model_dump_json())
        images = synthetic_pixels(SPEC, 8)
        scores = (SPEC.apply(images).reshape(8, -1) @ WEIGHTS).astype(np.float32)
        np.savez(folder / "reference.npz", images=images, scores=scores, source_sha256=np.array("abc"))
        return folder

    return make


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """40 images with the labels that the classifier gives them, preprocessed as the spec says."""
    pixels = np.random.default_rng(3).integers(0, 256, (40, 4, 4, 3)).astype(np.uint8)
    np.savez(tmp_path / "data.npz", x=pixels, y=(SPEC.apply(pixels).reshape(40, -1) @ WEIGHTS).argmax(axis=1))
    return tmp_path / "data.npz"


def rows(report: Report) -> dict[str, Measurement]:
    return {row.artifact: row for row in report.measurements}


class TestFiles:
    def test_changed_and_missing_files_are_not_measured(self, make_folder: MakeFolder, tmp_path: Path):
        folder = make_folder(("float32", "int8", "float16", "dynamic"))
        content = bytearray((folder / "a-int8.onnx").read_bytes())
        content[-200] ^= 1  # inside the weights: as long as before
        (folder / "a-int8.onnx").write_bytes(content)
        (folder / "a-float16.onnx").unlink()
        save_classifier(folder / "a-dynamic.onnx", "a longer remark than before")
        found = rows(bench(BenchRequest(folder=folder, options=QUICK)))
        assert found["a-float32"].status == "ok"
        assert found["a-float32"].flips is not None and found["a-float32"].flips.count == 0
        reasons = {"a-int8": "expected sha256 ", "a-float16": "does not exist", "a-dynamic": " bytes, found "}
        for name, reason in reasons.items():
            assert (found[name].status, found[name].latency) == ("failed", None)
            assert reason in found[name].reason and found[name].reason.endswith("convert again")

    def test_exit_codes(self, make_folder: MakeFolder, tmp_path: Path):
        folder, stranger = make_folder(), tmp_path / "stranger.onnx"
        stranger.write_bytes(b"junk")
        arguments = ["bench", str(folder), "--min-seconds", "0", "--min-runs", "2"]
        assert CliRunner().invoke(app, arguments).exit_code == 0
        assert CliRunner().invoke(app, [*arguments, str(stranger)]).exit_code == 0  # its row tells
        (folder / "a-int8.onnx").write_bytes(b"junk")
        assert CliRunner().invoke(app, arguments).exit_code == 3


class TestPlace:
    @pytest.mark.parametrize("place", ["adir", "afile/r.json"])
    def test_told_before_any_work(self, make_folder: MakeFolder, tmp_path: Path, place: str):
        (tmp_path / "adir").mkdir()
        (tmp_path / "afile").write_text("")
        events: list[Event] = []
        with pytest.raises(OutputError):
            bench(BenchRequest(folder=make_folder(), output=tmp_path / place, options=QUICK), events.append)
        assert events == []

    def test_its_folder_is_made(self, make_folder: MakeFolder, tmp_path: Path):
        bench(BenchRequest(folder=make_folder(("int8",)), output=tmp_path / "new" / "r.json", options=QUICK))
        assert Report.model_validate_json((tmp_path / "new" / "r.json").read_text()).measurements


class TestPreprocess:
    def test_the_report_tells_what_was_used(self, make_folder: MakeFolder):
        folder = make_folder(("float32",))
        report = bench(BenchRequest(folder=folder, preprocess="0..1", options=QUICK))
        assert report.image_spec is not None and report.image_spec.std == (255.0,)
        assert report.measurements[0].flips is None  # the source's scores were made with another preprocessing
        assert any("preprocessing of conversion" in note for note in report.notes)
        same = bench(BenchRequest(folder=folder, preprocess="-1..1", options=QUICK))
        assert same.measurements[0].flips is not None

    def test_a_damaged_foreign_file_is_one_row(self, make_folder: MakeFolder, tmp_path: Path):
        (tmp_path / "stranger.onnx").write_bytes(b"junk")
        request = BenchRequest(folder=make_folder(("float32",)), files=(tmp_path / "stranger.onnx",), preprocess="0..1")
        found = rows(bench(replace(request, options=QUICK)))
        assert (found["a-float32"].status, found["stranger"].status) == ("ok", "failed")

    def test_auto_is_fitted_on_a_float_artifact(self, make_folder: MakeFolder, labelled: Path):
        request = BenchRequest(folder=make_folder(("int8", "float32")), data=labelled, preprocess="auto", options=QUICK)
        report = bench(request)
        assert any(note.startswith("preprocessing -1..1 fits best (top-1 of a-float32: ") for note in report.notes)
        assert report.image_spec is not None and report.image_spec.provenance == "fitted"

    def test_auto_finds_out_that_blue_comes_first(self, make_folder: MakeFolder, labelled: Path):
        with np.load(labelled) as arrays:
            np.savez(labelled, x=arrays["x"][..., ::-1], y=arrays["y"])  # pictures whose blue is what the model learned as red
        report = bench(BenchRequest(folder=make_folder(("float32",)), data=labelled, preprocess="auto", options=QUICK))
        assert report.image_spec and (report.image_spec.preprocess, report.image_spec.provenance) == ("-1..1,order=BGR", "fitted")
        assert report.measurements[0].accuracy is not None and report.measurements[0].accuracy.top1 == 1.0
        assert sum(note.endswith("; convert with --preprocess=-1..1,order=BGR") for note in report.notes) == 1

    def test_auto_finds_it_out_where_the_scaling_is_inside(self, make_folder: MakeFolder, labelled: Path):
        inside = ImageSpec(height=4, width=4, channels=3, provenance="in-model")
        with np.load(labelled) as arrays:
            pixels = arrays["x"]
        np.savez(labelled, x=pixels, y=(pixels[..., ::-1].reshape(40, -1).astype(np.float32) @ WEIGHTS).argmax(axis=1))
        request = BenchRequest(folder=make_folder(("float32",), spec=inside), data=labelled, preprocess="auto", options=QUICK)
        report = bench(request)
        assert report.image_spec and report.image_spec.preprocess == "0..255,order=BGR"
        (told,) = [note for note in report.notes if note.startswith("order BGR fits best, ")]
        assert told.endswith("; convert with --preprocess=0..255,order=BGR")

    def test_auto_turns_no_channels_by_chance(self, make_folder: MakeFolder, labelled: Path):
        """Nearly grey pictures: which order answers one of them better tells nothing."""
        with np.load(labelled) as arrays:
            grey = arrays["x"].mean(axis=-1, keepdims=True).repeat(3, axis=-1).astype(np.uint8)
        grey[..., 2] = np.minimum(grey[..., 2], 254) + 1
        turned = (SPEC.apply(grey[..., ::-1]).reshape(40, -1) @ WEIGHTS).argmax(axis=1)
        np.savez(labelled, x=grey, y=turned)
        report = bench(BenchRequest(folder=make_folder(("float32",)), data=labelled, preprocess="auto", options=QUICK))
        assert report.image_spec and report.image_spec.preprocess == "-1..1"

    def test_auto_on_a_foreign_float_file(self, tmp_path: Path, labelled: Path):
        save_classifier(tmp_path / "stranger.onnx")
        files, output = (tmp_path / "stranger.onnx",), tmp_path / "r.json"
        report = bench(BenchRequest(files=files, data=labelled, preprocess="auto", output=output, options=QUICK))
        assert report.measurements[0].accuracy is not None and report.measurements[0].accuracy.top1 == 1.0

    def test_auto_without_a_float_artifact(self, make_folder: MakeFolder, labelled: Path):
        with pytest.raises(InputError, match="float"):
            bench(BenchRequest(folder=make_folder(("int8",)), data=labelled, preprocess="auto", options=QUICK))


class TestNamesOfFiles:
    """Files from elsewhere are told apart by as much of their path as that takes."""

    @pytest.mark.parametrize(
        ("files", "names"),
        [
            (["net.onnx", "other.onnx"], ["net", "other"]),
            (["net.onnx", "net.tflite"], ["net.onnx", "net.tflite"]),
            (["net.onnx", "old/net.onnx"], ["elsewhere/net.onnx", "old/net.onnx"]),
            (["old/a-float32.onnx", "net.onnx"], ["a-float32.onnx", "net"]),
        ],
    )
    def test_of_the_same_stem(self, files: list[str], names: list[str], make_folder: MakeFolder, tmp_path: Path):
        folder = make_folder(("float32",))
        place = tmp_path / "elsewhere"
        (place / "old").mkdir(parents=True)
        for file in files:  # LiteRT refuses the one that is none: a row of its own all the same
            save_classifier(place / file)
        found = bench(BenchRequest(folder=folder, files=tuple(place / file for file in files), preprocess="0..1", options=QUICK))
        assert [row.artifact for row in found.measurements] == ["a-float32", *(name.format(place) for name in names)]

    def test_one_file_twice(self, make_folder: MakeFolder, tmp_path: Path):
        save_classifier(tmp_path / "net.onnx")
        files = (tmp_path / "net.onnx", tmp_path / "net.onnx")
        with pytest.raises(InputError, match=r"several called \S+/net.onnx; name each file once"):
            bench(BenchRequest(folder=make_folder(("float32",)), files=files, options=QUICK))


class TestFitAndFilter:
    """Pictures three times as wide as high; what the model knows stands in their centre."""

    @pytest.fixture
    def wide(self, tmp_path: Path) -> Path:
        generator = np.random.default_rng(4)
        known = generator.integers(0, 256, (60, 4, 4, 3)).astype(np.uint8)
        pixels = generator.integers(0, 256, (60, 8, 24, 3)).astype(np.uint8)
        pixels[:, :, 8:16] = known.repeat(2, axis=1).repeat(2, axis=2)
        np.savez(tmp_path / "wide.npz", x=pixels, y=(SPEC.apply(known).reshape(60, -1) @ WEIGHTS).argmax(axis=1))
        return tmp_path / "wide.npz"

    def test_what_is_said_is_what_enters(self, make_folder: MakeFolder, wide: Path):
        request = BenchRequest(folder=make_folder(("float32",)), data=wide, options=QUICK)
        cropped = bench(replace(request, fit="crop", filter="nearest"))
        squeezed = bench(request)
        accuracies = [report.measurements[0].accuracy for report in (cropped, squeezed)]
        assert [found.top1 == 1.0 for found in accuracies if found] == [True, False]
        assert cropped.image_spec and cropped.image_spec.resizing_words == "fit crop (declared), filter nearest (declared)"
        assert squeezed.image_spec and squeezed.image_spec.fit_provenance == "assumed"

    def test_auto_finds_the_fit_and_says_by_how_much(self, make_folder: MakeFolder, wide: Path):
        report = bench(BenchRequest(folder=make_folder(("float32",)), data=wide, preprocess="auto", options=QUICK))
        spec = report.image_spec
        assert spec and (spec.fit, spec.fit_provenance) == ("crop", "fitted")
        (told,) = [note for note in report.notes if note.startswith("fit crop fits best, ")]
        assert "points above squeeze (top-1 of a-float32 on 60 images: crop " in told and told.endswith("convert with --fit crop")
        assert any(note.startswith("filter ") for note in report.notes)

    def test_what_makes_no_difference_stays(self, make_folder: MakeFolder, labelled: Path):
        report = bench(BenchRequest(folder=make_folder(("float32",)), data=labelled, preprocess="auto", options=QUICK))
        assert report.image_spec and report.image_spec.resizing_words == SPEC.resizing_words
        assert sum(note.startswith(("fit squeeze stays", "filter bilinear-antialiased stays")) for note in report.notes) == 2

    def test_what_is_given_is_not_tried(self, make_folder: MakeFolder, wide: Path):
        request = BenchRequest(folder=make_folder(("float32",)), data=wide, preprocess="auto", fit="pad", options=QUICK)
        report = bench(request)
        assert report.image_spec and (report.image_spec.fit, report.image_spec.fit_provenance) == ("pad", "declared")
        assert not any(note.startswith("fit ") for note in report.notes)


class TestNewest:
    def test_files_of_other_tools_are_passed_over(self, make_folder: MakeFolder, tmp_path: Path):
        folder = make_folder(("int8",))
        for name, text in (("web", '{"name": "app"}'), ("list", "[]"), ("bad.artifacts", "{")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "manifest.json").write_text(text)
        assert newest_folder(tmp_path) == folder

    def test_a_damaged_one_alone_is_reported(self, tmp_path: Path):
        (tmp_path / "web").mkdir()
        (tmp_path / "web" / "manifest.json").write_text("{}")
        with pytest.raises(ArtifactError, match="none in this directory"):
            newest_folder(tmp_path)
        (tmp_path / "m.artifacts").mkdir()
        (tmp_path / "m.artifacts" / "manifest.json").write_text("{")
        with pytest.raises(ArtifactError, match="schema version"):
            bench(BenchRequest(folder=newest_folder(tmp_path)))


class TestRemembered:
    def test_images_that_are_gone_are_named(self, make_folder: MakeFolder, tmp_path: Path):
        gone = DataSource(path=str(tmp_path / "gone" / "digits"), role="data", images=3)
        report = bench(BenchRequest(folder=make_folder(("int8",), [gone]), options=QUICK))
        assert report.data is None
        assert any(str(tmp_path / "gone" / "digits") in note and "are gone" in note for note in report.notes)

    def test_the_bundled_digits_are_a_name(self, make_folder: MakeFolder):
        folder = make_folder(("int8",), [DataSource(path="digits", role="data", images=3)])
        report = bench(BenchRequest(folder=folder, limit=5, options=QUICK))
        assert report.data is not None and report.data.path == "digits"

    def test_where_they_are_they_are_used(self, make_folder: MakeFolder, labelled: Path):
        folder = make_folder(("int8",), [DataSource(path=str(labelled), role="data", images=40)])
        row = bench(BenchRequest(folder=folder, options=QUICK)).measurements[0]
        assert row.accuracy is not None and row.accuracy.top1 == 1.0


def test_a_damaged_reference_costs_nothing_else(make_folder: MakeFolder):
    folder = make_folder(("float32",))
    (folder / "reference.npz").write_bytes(b"junk")
    report = bench(BenchRequest(folder=folder, options=QUICK))
    assert report.measurements[0].latency is not None
    assert json.loads((folder / "results.json").read_text())["notes"] == report.notes
    assert any("not compared with the source model" in note for note in report.notes)


class TestPick:
    def test_results_say_what_to_ship_and_with_which_limit(self, make_folder: MakeFolder, labelled: Path):
        folder = make_folder()
        bench(BenchRequest(folder=folder, data=labelled, options=QUICK))
        (pick,) = Report.read(folder / "results.json").picks
        assert (pick.target, pick.within_points) == ("onnx", None)
        assert pick.artifact in ("a-float32", "a-int8")  # the two compute the same
        assert "of the 2 not distinguishable from a-float32 in top-1 at 95 %" in pick.sentence
        bench(BenchRequest(folder=folder, data=labelled, options=QUICK, within_points=0.5))
        assert Report.read(folder / "results.json").picks[0].within_points == 0.5
