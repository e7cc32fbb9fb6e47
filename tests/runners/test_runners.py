"""Runners against their engines: tiny ONNX files made here, TFLite files that others' converter made of a real model."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecls.errors import ArtifactError, UnsupportedOperationError
from edgecls.records.image_spec import ImageSpec
from edgecls.runners import open_runner

RESNET = ImageSpec(height=32, width=32, channels=3, note="raw pixels")
SMALL = ImageSpec(height=4, width=4, channels=3).with_preprocess("-1..1")


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3)).astype(np.uint8)


def save_onnx(
    path: Path,
    shape: list,
    *,
    input_type: int = TensorProto.FLOAT,
    nodes: list[onnx.NodeProto] | None = None,
    outputs: tuple[str, ...] = ("scores",),
) -> np.ndarray:
    """A linear classifier of 7 classes over the flattened input; its weights [48, 7]."""
    weights = np.random.default_rng(1).standard_normal((48, 7)).astype(np.float32)
    default = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["real"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
        *(helper.make_node("Identity", ["scores"], [name]) for name in outputs[1:]),
    ]
    graph = helper.make_graph(
        nodes or default,
        "classifier",
        [helper.make_tensor_value_info("image", input_type, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [shape[0], 7]) for name in outputs],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, path)
    return weights


def close(found: np.ndarray, expected: np.ndarray) -> bool:
    """48 products added in float32, in whatever order: at most 48 roundings of partial sums below 100, 48 * 100 * 2^-24 = 3e-4."""
    return found.dtype == np.float32 and found.shape == expected.shape and bool(np.abs(found - expected).max() < 3e-4)


class TestOnnx:
    @pytest.mark.parametrize("batch", [1, "N"])
    def test_scores(self, tmp_path: Path, pixels: np.ndarray, batch: int | str):
        weights = save_onnx(tmp_path / "a.onnx", [batch, 4, 4, 3])
        runner = open_runner(tmp_path / "a.onnx", spec=SMALL)
        assert (runner.outputs, runner.spec, runner.output_kind) == (7, SMALL, "logits")
        assert close(runner.predict(pixels), (pixels / 127.5 - 1).reshape(20, -1) @ weights)

    def test_channels_first(self, tmp_path: Path, pixels: np.ndarray):
        weights = save_onnx(tmp_path / "a.onnx", [1, 3, 4, 4])
        expected = (pixels / 127.5 - 1).transpose(0, 3, 1, 2).reshape(20, -1) @ weights
        assert close(open_runner(tmp_path / "a.onnx", spec=SMALL).predict(pixels), expected)

    def test_a_fixed_number_of_images(self, tmp_path: Path, pixels: np.ndarray):
        weights = save_onnx(tmp_path / "a.onnx", [3, 4, 4, 3])
        runner = open_runner(tmp_path / "a.onnx", spec=SMALL)
        assert close(runner.predict(pixels), (pixels / 127.5 - 1).reshape(20, -1) @ weights)  # the last call is filled up
        assert runner.set_batch(8) == 3
        assert "3 images" in runner.engine().note

    def test_flat_input(self, tmp_path: Path, pixels: np.ndarray):
        weights = save_onnx(tmp_path / "a.onnx", [1, 48])
        assert close(open_runner(tmp_path / "a.onnx", spec=SMALL).predict(pixels), (pixels / 127.5 - 1).reshape(20, -1) @ weights)

    def test_integer_input_takes_pixels(self, tmp_path: Path, pixels: np.ndarray):
        weights = save_onnx(tmp_path / "a.onnx", [1, 4, 4, 3], input_type=TensorProto.UINT8)
        scores = open_runner(tmp_path / "a.onnx").predict(pixels)
        expected = pixels.reshape(20, -1) @ weights
        assert np.abs(scores - expected).max() < 48 * 255 * 100 * 2**-24  # as in `close`, sums below 25500

    def test_without_a_record_the_assumption_is_said(self, tmp_path: Path):
        save_onnx(tmp_path / "a.onnx", [1, 4, 4, 3])
        spec = open_runner(tmp_path / "a.onnx").spec
        assert (spec.height, spec.width, spec.channels, spec.provenance) == (4, 4, 3, "assumed")
        assert spec.std == (255.0,)
        assert "0..1" in spec.note

    def test_invoke_runs_what_was_prepared(self, tmp_path: Path, pixels: np.ndarray):
        save_onnx(tmp_path / "a.onnx", [1, 4, 4, 3])
        runner = open_runner(tmp_path / "a.onnx", spec=SMALL)
        runner.prepare(pixels[3:4])
        assert np.array_equal(np.asarray(runner.invoke())[0], runner.predict(pixels[3:4]))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"shape": [1, 4, 6, 2]}, "4 x 4 x 3"),  # as many values, another image
            ({"shape": [1, 4, 4, 3], "outputs": ("scores", "more")}, "with 2: scores, more"),
        ],
    )
    def test_files_that_do_not_fit(self, tmp_path: Path, arguments: dict, message: str):
        save_onnx(tmp_path / "a.onnx", **arguments)
        with pytest.raises(ArtifactError, match=message):
            open_runner(tmp_path / "a.onnx", spec=SMALL)

    def test_no_image(self, tmp_path: Path):
        save_onnx(tmp_path / "a.onnx", [1, 48])
        with pytest.raises(ArtifactError, match="an image as input"):
            open_runner(tmp_path / "a.onnx")

    def test_unsupported_operation(self, tmp_path: Path):
        save_onnx(tmp_path / "a.onnx", [1, 4, 4, 3], nodes=[helper.make_node("NoSuchThing", ["image"], ["scores"])])
        with pytest.raises(UnsupportedOperationError, match="NoSuchThing"):
            open_runner(tmp_path / "a.onnx", spec=SMALL)

    def test_damage(self, tmp_path: Path):
        save_onnx(tmp_path / "a.onnx", [1, 4, 4, 3])
        whole = (tmp_path / "a.onnx").read_bytes()
        for content in (b"", b"junk" * 50, whole[: len(whole) // 2]):
            (tmp_path / "a.onnx").write_bytes(content)
            with pytest.raises(ArtifactError) as caught:
                open_runner(tmp_path / "a.onnx", spec=SMALL)
            assert "\n" not in str(caught.value)


class TestTFLite:
    @pytest.fixture(scope="class")
    def photos(self, shared_data: Path) -> np.ndarray:
        with np.load(shared_data / "cifar10.npz") as archive:
            return archive["x_test"][:40]

    def test_float_scores_are_the_interpreters(self, foreign_tflite: dict[str, Path], photos: np.ndarray):
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(foreign_tflite["float32"]), num_threads=1)
        interpreter.allocate_tensors()
        expected = []
        for photo in photos:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], photo[None].astype(np.float32))
            interpreter.invoke()
            expected.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
        runner = open_runner(foreign_tflite["float32"], spec=RESNET)
        assert np.array_equal(runner.predict(photos), expected)
        runner.prepare(photos[:1])
        runner.invoke()
        assert np.array_equal(runner.predict(photos[:1])[0], expected[0])

    def test_a_thread_that_watches_frames_does_not_stop_it(self, foreign_tflite: dict[str, Path], photos: np.ndarray):
        """A Dask worker's profiler keeps frames, and all that is local to them; LiteRT refuses to run while a view of its memory lives."""
        runner = open_runner(foreign_tflite["float32"], spec=RESNET)
        over = threading.Event()

        def watch() -> None:
            kept: list[object] = []
            while not over.is_set():
                kept = [*kept[-50:], sys._current_frames()]

        watcher = threading.Thread(target=watch)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        watcher.start()
        try:
            for _ in range(10_000):
                runner.prepare(photos[:1])
                runner.invoke()
        finally:
            over.set()
            watcher.join()
            sys.setswitchinterval(interval)

    def test_integer_border_is_quantized_by_the_tensors_own_parameters(self, foreign_tflite: dict[str, Path], photos: np.ndarray):
        """The same integer graph, entered as float (it quantizes itself) or as int8 (the runner quantizes), answers the same."""
        inside = open_runner(foreign_tflite["int8"], spec=RESNET).predict(photos)
        outside = open_runner(foreign_tflite["int8-io"], spec=RESNET).predict(photos)
        assert np.abs(inside - outside).max() <= 1 / 256 + 1e-6  # one step of the softmax output: rounding of halves may differ
        assert np.allclose(outside * 256, np.rint(outside * 256))

    def test_foreign_integer_input_takes_pixels_as_they_are(self, foreign_tflite: dict[str, Path], photos: np.ndarray):
        runner = open_runner(foreign_tflite["int8-io"])
        assert "int8 input" in runner.spec.note
        declared = open_runner(foreign_tflite["int8-io"], spec=RESNET).predict(photos)
        # calibrated on pixels 0..255 its scale is 1 and its zero point -128: both ways are the same
        assert np.abs(runner.predict(photos) - declared).max() <= 1 / 256 + 1e-6

    def test_wrong_size_is_told(self, foreign_tflite: dict[str, Path]):
        with pytest.raises(ArtifactError, match="4 x 4 x 3"):
            open_runner(foreign_tflite["float32"], spec=SMALL)

    def test_damage(self, foreign_tflite: dict[str, Path], tmp_path: Path):
        whole = foreign_tflite["float32"].read_bytes()
        for content in (b"", b"junk" * 50, whole[: len(whole) // 2], whole[:64] + b"\xff" * 64 + whole[128:]):
            (tmp_path / "a.tflite").write_bytes(content)
            with pytest.raises(ArtifactError) as caught:
                open_runner(tmp_path / "a.tflite", spec=RESNET)
            assert "\n" not in str(caught.value)


def test_missing_file_and_other_types(tmp_path: Path):
    (tmp_path / "a.txt").write_text("hello")
    for path in (tmp_path / "none.onnx", tmp_path / "a.txt", tmp_path):
        with pytest.raises(ArtifactError):
            open_runner(path)


def test_no_framework_is_loaded():
    """Importing the runners loads no engine either: each is loaded when a file of its format is opened."""
    import subprocess

    code = (
        "import sys, edgecls.runners, edgecls.evaluation, edgecls.data;"
        "heavy = ('tensorflow', 'keras', 'sklearn', 'onnxruntime', 'ai_edge_litert', 'coremltools');"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
