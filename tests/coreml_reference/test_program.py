"""Opening packages, running them on images, and refusing what cannot be run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from damaged_packages import DAMAGE, MODEL, WEIGHTS
from edgecls.coreml_reference import open_program
from edgecls.errors import ArtifactError, EdgeclsError, UnsupportedOperationError
from edgecls.runners import open_runner
from edgecls.system.extras import require
from mil_packages import build, classifier, write


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """dtype or colour -> a small classifier."""
    made = {dtype: classifier(tmp_path_factory.mktemp(dtype), dtype=dtype) for dtype in ("float32", "float16")}
    return made | {color: classifier(tmp_path_factory.mktemp(color), color=color) for color in ("BGR", "GRAY")}


@pytest.fixture
def package(packages: dict[str, Path], tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(packages["float32"], tmp_path / "copy.mlpackage"))


def pixels(count: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 6, 5, channels)).astype(np.uint8)


def expected(images: np.ndarray, dtype: str = "float32", *, reverse: bool = False) -> np.ndarray:
    """The classifier by TensorFlow; what a package of float16 takes is rounded, the rest of it is computed in float32."""
    tf: Any = require("tensorflow")
    rng = np.random.default_rng(0)
    kernel, weight = (rng.normal(size=shape).astype(dtype).astype(np.float32) for shape in ((8, images.shape[-1], 3, 3), (4, 8)))
    x = (images[..., ::-1] if reverse else images).astype(np.float32) * np.float32(1 / 255)
    x = x.astype(dtype).astype(np.float32)
    x = tf.nn.relu(tf.nn.conv2d(x, kernel.transpose(2, 3, 1, 0), 1, "SAME"))
    return tf.nn.softmax(tf.reduce_mean(x, (1, 2)) @ weight.T).numpy()


@pytest.mark.parametrize(("name", "channels"), [("float32", 3), ("float16", 3), ("BGR", 3), ("GRAY", 1)])
def test_a_classifier_of_images(name: str, channels: int, packages: dict[str, Path]):
    program = open_program(packages[name])
    assert (program.labels, program.inputs[0].color) == (["ant", "bee", "cow", "dog"], name if name in ("BGR", "GRAY") else "RGB")
    images = pixels(19, channels)
    scores = expected(images, name if name == "float16" else "float32", reverse=name == "BGR")
    found = program.run(images)
    assert set(found) == set(program.outputs)
    assert program.scores in found
    np.testing.assert_allclose(found[str(program.scores)], scores, atol=1e-6)  # some roundings of 6e-8 of scores up to 1
    label = next(name for name in program.outputs if name != program.scores)
    assert found[label].tolist() == [program.labels[index] for index in scores.argmax(1)]


def test_float16_says_that_it_is_no_neural_engine(packages: dict[str, Path]):
    assert open_program(packages["float32"]).note == ""
    assert "not of the Neural Engine" in open_program(packages["float16"]).note


def test_any_value_may_be_asked_for(packages: dict[str, Path]):
    program = open_program(packages["float32"])
    shapes = {tensor.name: tensor.shape for tensor in program.values}
    images = pixels(11)
    found = program.run(images, ["features", "probabilities"])
    assert found["features"].shape == (11, *shapes["features"][1:])
    np.testing.assert_allclose(found["probabilities"], expected(images), atol=1e-6)
    streamed = list(program.stream(images, ["features"]))
    assert len(streamed) == 2  # eight and three: not all at once
    np.testing.assert_array_equal(np.concatenate([part["features"] for part in streamed]), found["features"])
    with pytest.raises(ArtifactError, match="'nothing'"):
        program.run(images, ["nothing"])


def test_a_batch_gives_what_its_images_give(packages: dict[str, Path]):
    program = open_program(packages["float32"])
    images = pixels(5)
    together = program.run(images)[str(program.scores)]
    alone = np.concatenate([program.run(image[None])[str(program.scores)] for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-6)  # the engine may sum in another order


def test_programs_that_mix_the_first_axis_run_image_by_image(tmp_path: Path):
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    def block(x: Any) -> Any:
        return mb.reduce_sum(x=mb.transpose(x=x, perm=[1, 0, 2]), axes=[0], keep_dims=False)

    program = open_program(write(build(block, {"x": ((1, 3, 4), "float32")}), tmp_path))
    x = np.random.default_rng(0).normal(size=(6, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(program.run(x)[program.outputs[0]], x.sum(1), rtol=1e-5)


def test_int8_activations_are_computed_in_int8(tmp_path: Path):
    """quantize, dequantize, conv with int8 weights and back: one integer convolution of the engine, within one step of the exact one."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    rng = np.random.default_rng(0)
    data, scale = rng.integers(-127, 128, (8, 4, 3, 3)).astype(np.int8), rng.uniform(0.001, 0.01, 8).astype(np.float32)
    bias = rng.normal(size=8).astype(np.float32)
    step_in, step_out = np.float32(0.02), np.float32(0.1)

    def block(x: Any) -> Any:
        x = mb.dequantize(input=mb.quantize(input=x, scale=step_in, output_dtype="int8"), scale=step_in)
        weight = mb.constexpr_affine_dequantize(quantized_data=data, zero_point=np.int8(0), scale=scale, axis=0)
        x = mb.conv(x=x, weight=weight, bias=bias)
        return mb.dequantize(input=mb.quantize(input=x, scale=step_out, output_dtype="int8"), scale=step_out)

    program = open_program(write(build(block, {"x": ((1, 4, 9, 9), "float32")}), tmp_path))
    x = rng.normal(size=(3, 4, 9, 9)).astype(np.float32)
    found = program.run(x)[program.outputs[0]]
    tf: Any = require("tensorflow")
    kernel = (data * scale.reshape(-1, 1, 1, 1)).transpose(2, 3, 1, 0)
    inner = np.clip(np.rint(x / step_in), -128, 127) * step_in
    exact = np.moveaxis(tf.nn.conv2d(inner.transpose(0, 2, 3, 1), kernel, 1, "VALID").numpy() + bias, -1, 1)
    wanted = np.clip(np.rint(exact / step_out), -128, 127) * step_out
    assert np.abs(found - wanted).max() <= step_out * 1.001  # an exact tie may round to either side
    assert (np.abs(found - wanted) < 1e-4).mean() > 0.99
    assert "QLinearConv" in operations_run(program)


def test_zeros_laid_around_negative_values_win_a_max_pooling(tmp_path: Path):
    """As in ResNet50V2. The engine would fold the padding into the pooling, whose own padding never wins."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    def block(x: Any) -> Any:
        x = mb.pad(x=x, pad=np.array([0, 0, 0, 0, 1, 1, 1, 1], np.int32), mode="constant", constant_val=np.float32(0))
        return mb.max_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="valid")

    program = open_program(write(build(block, {"x": ((1, 2, 6, 6), "float32")}), tmp_path))
    found = program.run(np.full((3, 2, 6, 6), -1, np.float32))[program.outputs[0]]
    assert found.shape == (3, 2, 3, 3)
    assert (found[:, :, 0] == 0).all() and (found[:, :, :, 0] == 0).all()
    assert (found[:, :, 1:, 1:] == -1).all()


def test_zeros_laid_around_what_is_convolved_become_the_convolutions_padding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As in MobileNet, to the same bits: where the padded values are asked for too, they are computed."""
    import onnx
    import onnxruntime
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    kernel = np.random.default_rng(0).normal(size=(8, 2, 3, 3)).astype(np.float32)

    def block(x: Any) -> Any:
        x = mb.pad(
            x=x, pad=np.array([0, 0, 0, 0, 0, 1, 0, 1], np.int32), mode="constant", constant_val=np.float32(0), name="padded"
        )
        return mb.conv(x=x, weight=kernel, strides=[2, 2], pad_type="valid")

    class Kept(onnxruntime.SessionOptions):
        def __init__(self) -> None:
            super().__init__()
            self.optimized_model_filepath = str(tmp_path / "run.onnx")

    monkeypatch.setattr(onnxruntime, "SessionOptions", Kept)
    program = open_program(write(build(block, {"x": ((1, 2, 6, 6), "float32")}), tmp_path))
    images, name = np.random.default_rng(1).normal(size=(3, 2, 6, 6)).astype(np.float32), program.outputs[0]
    found = program.run(images)[name]
    assert "Pad" not in {node.op_type for node in onnx.load(tmp_path / "run.onnx", load_external_data=False).graph.node}
    assert np.array_equal(found, program.run(images, [name, "padded"])[name])


def operations_run(program: Any) -> set[str]:
    """The operations that the engine really runs."""
    import tempfile

    import onnx
    import onnxruntime

    from edgecls.coreml_reference.translation import translate

    translation = translate(program._main, program.outputs, program.path)
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(Path(folder) / "model.onnx")
        options.log_severity_level = 3
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in translation.weights.values()]
        if values:
            options.add_external_initializers(list(translation.weights), values)
        onnxruntime.InferenceSession(translation.model, options, providers=["CPUExecutionProvider"])
        return {node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node}


# what cannot be run


def test_an_unsupported_operation_is_named_with_its_place(tmp_path: Path):
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    def block(x: Any) -> Any:
        return mb.non_zero(x=x, name="the_places")

    with pytest.raises(UnsupportedOperationError, match="'the_places': non_zero") as caught:
        open_program(write(build(block, {"x": ((3, 3), "float32")}), tmp_path))
    assert caught.value.exit_code == 2


def test_a_resizing_that_is_not_defined_is_no_guess(tmp_path: Path):
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    def block(x: Any) -> Any:
        return mb.resize_nearest_neighbor(x=x, target_size_height=3, target_size_width=3)

    program = open_program(write(build(block, {"x": ((1, 1, 4, 4), "float32")}), tmp_path))
    with pytest.raises(UnsupportedOperationError, match="from 4 to 3 values"):
        program.run(np.zeros((1, 1, 4, 4), np.float32))


def test_images_of_another_size_are_refused(packages: dict[str, Path]):
    program = open_program(packages["float32"])
    for images in (pixels(2)[:, 1:], pixels(2, 1), pixels(2)[0], pixels(0)):
        with pytest.raises(ArtifactError, match="expected images of 6 x 5 x 3"):
            program.run(images)


def test_a_model_without_its_package(packages: dict[str, Path], tmp_path: Path):
    """An .mlmodel is the message alone; its weights lie in a folder beside it, and nothing else is read."""
    shutil.copy(packages["float32"] / MODEL, tmp_path / "alone.mlmodel")
    shutil.copytree((packages["float32"] / WEIGHTS).parent, tmp_path / "weights")
    images = pixels(3)
    np.testing.assert_allclose(open_runner(tmp_path / "alone.mlmodel").predict(images), expected(images), atol=1e-6)
    shutil.rmtree(tmp_path / "weights")
    with pytest.raises(ArtifactError, match=r"weight\.bin is missing"):
        open_runner(tmp_path / "alone.mlmodel")


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_packages_are_told_in_one_line(name: str, package: Path) -> None:
    damage, says = DAMAGE[name]
    (package.parent / "secret.txt").write_text("not to be read")
    damage(package)
    with pytest.raises(ArtifactError) as caught:
        open_program(package).run(pixels(1))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_random_damage_is_an_error_or_scores_and_nothing_else(package: Path) -> None:
    """Bytes of the message changed at random: no other exception, no endless loop."""
    whole = (package / MODEL).read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for position in generator.integers(0, len(data), generator.integers(1, 6)):
            data[position] = generator.integers(0, 256)
        (package / MODEL).write_bytes(bytes(data))
        try:
            program = open_program(package)
            program.run(pixels(2), [program.outputs[-1]])
        except EdgeclsError as error:
            assert error.exit_code == 2
            refused += 1
    assert refused > 40


def test_the_command_line_says_it_in_one_line(package: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(pixels(1)[0]).save(tmp_path / "image.png")
    command = [str(Path(sys.executable).with_name("edgecls")), "predict", str(package), str(tmp_path / "image.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "computed by the Core ML reference" in done.stderr
    assert "ant" in done.stdout
    (package / WEIGHTS).write_bytes((package / WEIGHTS).read_bytes()[:80])
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (2, "", 1)


def test_opening_loads_neither_coremltools_nor_tensorflow(packages: dict[str, Path]) -> None:
    code = (
        "import sys, pathlib\n"
        "from edgecls.coreml_reference import open_program\n"
        "import numpy as np\n"
        f"program = open_program(pathlib.Path({str(packages['float32'])!r}))\n"
        "program.run(np.zeros((1, 6, 5, 3), np.uint8))\n"
        "print({'coremltools', 'tensorflow'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_weights_are_not_held_more_than_twice(dtype: str, tmp_path: Path) -> None:
    """Once here and once as the engine lays them out, but for one layer while it opens; the file is mapped, its pages are not the process's
    own."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    size, layers = 2048, 8
    weights = np.random.default_rng(0).normal(size=(layers, size, size)).astype(dtype)

    def block(x: Any) -> Any:
        for weight in weights:
            x = mb.linear(x=x, weight=weight)
        return x

    path = write(build(block, {"x": ((1, size), dtype)}), tmp_path)
    code = (
        "import sys, pathlib, threading, time\n"
        "import numpy as np, onnx, onnxruntime\n"
        "from edgecls.coreml_reference import open_program\n"
        "def own(): return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('RssAnon'))\n"
        "before = peak = own()\n"
        "done = threading.Event()\n"
        "def watch():\n"
        "    global peak\n"
        "    while not done.is_set():\n"
        "        peak = max(peak, own())\n"
        "        time.sleep(0.001)\n"
        "watcher = threading.Thread(target=watch)\n"
        "watcher.start()\n"
        f"program = open_program(pathlib.Path({str(path)!r}))\n"
        f"program.run(np.zeros((1, {size}), np.float32))\n"
        "done.set(); watcher.join()\n"
        "print((peak - before) * 1024, (own() - before) * 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    peak, held = map(int, done.stdout.split())
    layer, room = size * size * 4, 16 << 20  # room for the engine itself
    assert held <= 2 * layers * layer + room
    assert peak <= (2 * layers + 1) * layer + room
