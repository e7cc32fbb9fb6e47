"""SavedModels: the image contract inside the graph, to the bit; signatures, labels and layout read back from the produced files."""

from __future__ import annotations

import io
import itertools
import json
import warnings
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from edgecls.converters.saved_model.convert import write_saved_model
from edgecls.converters.saved_model.pictures import normalised, pixels_of
from edgecls.converters.saved_model.resizing import fit_pixels
from edgecls.data.decode import decode_bytes
from edgecls.data.resize import fit_pixels as fit_pixels_of_ours
from edgecls.errors import ArtifactError
from edgecls.formats import describe, read_record
from edgecls.records.image_spec import PREPROCESS_CHOICES, Filter, ImageSpec
from edgecls.runners import open_runner
from edgecls.workflow import convert_model
from edgecls.workflow.convert_model import ConvertedModel
from make_golden import FITS, PAD_COLORS, SIZES, SOURCES, draw, spec_for

SPEC = ImageSpec(height=24, width=20, channels=3)
LABELS = ["red", "green", "blue"]
NAME = "base-saved_model-float32.savedmodel"


def encoded(picture: Image.Image, kind: str, orientation: int = 0) -> bytes:
    exif, stream = Image.Exif(), io.BytesIO()
    if orientation:
        exif[0x0112] = orientation
    picture.save(stream, kind, quality=90, **({"exif": exif.tobytes()} if orientation else {}))
    return stream.getvalue()


def picture(mode: str = "RGB") -> Image.Image:
    """61 x 45 pixels, each side and corner of other colours."""
    down, across = np.mgrid[0:45, 0:61]
    values = np.stack([down * 5, across * 4, (down * across) % 251], axis=-1).astype(np.uint8)
    return Image.fromarray(values).convert(mode)


@pytest.mark.parametrize(("size", "kind"), itertools.product((1,), get_args(Filter)))
def test_fit_and_filter_are_those_of_the_contract_to_the_bit(size: int, kind: Filter) -> None:
    compare_with_ours(size, kind)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "kind"), itertools.product(range(len(SIZES)), get_args(Filter)))
def test_all_golden_vectors_are_met_to_the_bit(size: int, kind: Filter) -> None:
    compare_with_ours(size, kind)


def compare_with_ours(size: int, kind: Filter) -> None:
    """All fits, against what the golden vectors hold."""
    import tensorflow as tf

    name, height, width = SIZES[size]
    pixels = draw(list(SOURCES).index(name), *SOURCES[name])
    for fit in FITS:
        spec = spec_for(fit, kind, height, width, SOURCES[name][2], PAD_COLORS[size % 2])
        run = tf.function(lambda values, spec=spec: fit_pixels(values, spec), autograph=False)
        found = run(tf.constant(pixels, tf.int32)).numpy()
        assert np.array_equal(found, fit_pixels_of_ours(pixels, spec)), fit


@pytest.fixture(scope="module")
def decoder() -> Callable[[bytes], np.ndarray]:
    """Pixels of a file as the graph computes them."""
    import tensorflow as tf

    run = tf.function(lambda content: pixels_of(content, SPEC), input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
    return lambda content: run(content).numpy()


def test_a_grey_model_gets_the_luma_of_the_contract() -> None:
    import tensorflow as tf

    spec = SPEC.model_copy(update={"channels": 1})
    content = encoded(picture(), "PNG")
    found = tf.function(lambda given: pixels_of(given, spec), autograph=False)(tf.constant(content))
    assert np.array_equal(found.numpy(), decode_bytes(content, spec, 10**6))


@pytest.mark.parametrize("orientation", range(10))
def test_a_jpeg_is_turned_as_its_exif_says(decoder: Callable[[bytes], np.ndarray], orientation: int) -> None:
    content = encoded(picture(), "JPEG", orientation)
    # both decode by libjpeg-turbo's slow integer transform: no level differs as long as their versions agree, as those of the pins do
    assert np.abs(decoder(content) - decode_bytes(content, SPEC, 10**6)).max() <= 1


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1", "I;16"])
def test_a_png_of_any_kind_has_the_same_pixels(decoder: Callable[[bytes], np.ndarray], mode: str) -> None:
    wide = np.random.default_rng(0).integers(0, 1 << 16, (45, 61)).astype(np.uint16)
    content = encoded(Image.fromarray(wide) if mode == "I;16" else picture(mode), "PNG")
    assert np.array_equal(decoder(content), decode_bytes(content, SPEC, 10**6))


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"GIF89a" + bytes(50), encoded(picture(), "JPEG")[:400], b"\xff\xd8\xff\xe1" + bytes(40)]
)
def test_what_is_no_picture_ends_the_call_and_no_more(decoder: Callable[[bytes], np.ndarray], content: bytes) -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError):
        decoder(content)
    assert decoder(encoded(picture(), "PNG")).shape == (24, 20, 3)


@pytest.mark.parametrize(
    ("preprocess", "layout"), [*((name, "HWC") for name in PREPROCESS_CHOICES), ("imagenet-caffe", "CHW"), ("0..1", "flat")]
)
def test_pixels_enter_as_image_spec_says(preprocess: str, layout: Any) -> None:
    spec = SPEC.model_copy(update={"layout": layout}).with_preprocess(preprocess)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 24, 20, 3)).astype(np.float32)
    assert np.array_equal(np.asarray(normalised(pixels, spec)), spec.apply(pixels))


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that answers with the mean of each colour."""
    import keras

    image = keras.Input((24, 20, 3))
    scores = keras.layers.Softmax()(keras.layers.Flatten()(keras.layers.AveragePooling2D((24, 20))(image)))
    path = tmp_path_factory.mktemp("mean") / "mean.keras"
    keras.Model(image, scores).save(path)
    return path


@pytest.fixture(scope="module")
def converted(model_file: Path) -> ConvertedModel:
    return convert_model(model_file, targets=("saved_model", "tflite"), schemes="float32", labels=LABELS, preprocess="0..1")


@pytest.fixture(scope="module")
def folder(converted: ConvertedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted.of("saved_model", "float32").write(tmp_path_factory.mktemp("served"))


def test_it_is_laid_out_verified_and_read_back(converted: ConvertedModel, folder: Path) -> None:
    row = converted.of("saved_model", "float32").record
    assert row.parity is not None and row.parity.verdict == "passed"
    assert row.path == folder.name == NAME
    assert (folder / "1" / "assets" / "labels.txt").read_text().split() == LABELS
    found = describe(folder)
    assert found.format == "TensorFlow SavedModel"
    assert found.actual.operations["DecodeJpeg"] == 2  # of serving_bytes and classify
    assert found.inputs[0].shape == [None, 24, 20, 3]
    record = read_record(folder)
    assert record is not None and record.labels == LABELS


def test_its_runner_answers_as_the_tflite_file(converted: ConvertedModel, folder: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 24, 20, 3), np.uint8)
    other = open_runner(converted.of("tflite", "float32").write(tmp_path))
    runner = open_runner(folder)
    assert runner.engine().name == "TensorFlow"
    assert np.allclose(runner.predict(images), other.predict(images), atol=1e-6)  # float32 sums of 480 values of 0..1


def test_signatures_take_pictures_and_sort_labels(folder: Path) -> None:
    import tensorflow as tf

    signatures = tf.saved_model.load(str(folder / "1")).signatures
    assert set(signatures) == {"serving_default", "serving_bytes", "classify"}
    contents = [encoded(Image.new("RGB", (50, 40), colour), "PNG") for colour in ((0, 255, 0), (10, 100, 200))]
    scores = signatures["serving_bytes"](image_bytes=tf.constant(contents))["scores"].numpy()
    expected = open_runner(folder).predict(np.stack([decode_bytes(content, SPEC, 10**6) for content in contents]))
    assert np.array_equal(scores, expected)
    answer = signatures["classify"](image_bytes=tf.constant(contents))
    assert answer["classes"].numpy().tolist() == [[b"green", b"red", b"blue"], [b"blue", b"green", b"red"]]
    assert np.array_equal(answer["scores"].numpy(), -np.sort(-scores, axis=1))


def test_a_graph_of_one_image_answers_to_several(model_file: Path, tmp_path: Path) -> None:
    """A network whose graph cannot be freed of its batch takes them one after another, and says so."""
    import tensorflow as tf

    from edgecls.records.frozen_graph import FrozenGraph
    from edgecls.records.metadata import ArtifactMetadata

    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, 24, 20, 3), "image")
        pooled = tf.reshape(tf.reduce_mean(image, (1, 2)), (3,))  # the batch axis is gone
        tf.identity(tf.nn.softmax(pooled)[None], "scores")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    record = ArtifactMetadata(
        name="base", image_spec=SPEC, labels=LABELS, outputs=3, output_kind="softmax", source_sha256="0" * 64, edgecls_version="0"
    )
    frozen = FrozenGraph(tmp_path / "graph.pb", "image:0", "scores:0", (1, 24, 20, 3), 3, ())
    (note,) = write_saved_model(tmp_path / NAME, frozen, record)
    assert "one after another" in note
    images = np.random.default_rng(0).integers(0, 256, (4, 24, 20, 3), np.uint8)
    assert open_runner(tmp_path / NAME).predict(images).shape == (4, 3)


def test_a_stranger_s_operation_is_not_run(folder: Path, tmp_path: Path) -> None:
    import shutil

    import tensorflow as tf

    module = tf.Module()
    target = tmp_path / "written.txt"

    def write(images: Any) -> dict[str, Any]:
        tf.io.write_file(str(target), "owned")
        return {"scores": tf.reduce_mean(images, (1, 2))}

    shape = tf.TensorSpec((None, 24, 20, 3), tf.float32, name="images")
    bad = tmp_path / NAME
    tf.saved_model.save(module, str(bad / "1"), tf.function(write, input_signature=[shape]))
    shutil.copytree(folder / "1" / "assets.extra", bad / "1" / "assets.extra")
    with pytest.raises(ArtifactError, match="WriteFile"):
        open_runner(bad)
    assert not target.exists()
    (bad / "1" / "saved_model.pb").write_bytes(b"\x12\xff")
    with pytest.raises(ArtifactError):
        open_runner(bad)


@pytest.fixture
def served(folder: Path) -> Iterator[str]:
    """The address of a small server that speaks TensorFlow Serving's gRPC: the real one is no Python package."""
    grpc = pytest.importorskip("grpc")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        service = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc")
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    model = tf.saved_model.load(str(folder / "1"))

    class Servicer(service.PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
            signature = model.signatures[request.model_spec.signature_name or "serving_default"]
            inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
            try:
                outputs = signature(**inputs)
            except tf.errors.InvalidArgumentError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            response = predict_pb2.PredictResponse()
            for name, tensor in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(tensor.numpy()))
            return response

    server = grpc.server(futures.ThreadPoolExecutor(2))
    service.add_PredictionServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_the_client_of_tensorflow_serving_gets_answers(served: str, folder: Path) -> None:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    def request(signature: str, **inputs: Any) -> Any:
        message = predict_pb2.PredictRequest()
        message.model_spec.name, message.model_spec.signature_name = "mean", signature
        for name, values in inputs.items():
            message.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        return message

    with grpc.insecure_channel(served) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        content = encoded(picture(), "JPEG")
        answer = stub.Predict(request("classify", image_bytes=[content]), timeout=60)
        pixels = decode_bytes(content, SPEC, 10**6)[None]
        scores = open_runner(folder).predict(pixels)[0]
        classes = [label.decode() for label in tf.make_ndarray(answer.outputs["classes"])[0]]
        assert classes == [LABELS[index] for index in np.argsort(-scores)]
        spec = SPEC.with_preprocess("0..1")
        floats = stub.Predict(request("", images=spec.apply(pixels)), timeout=60)
        assert np.allclose(tf.make_ndarray(floats.outputs["scores"])[0], scores, atol=1e-6)  # one batch and another
        with pytest.raises(grpc.RpcError) as raised:
            stub.Predict(request("serving_bytes", image_bytes=[b"no picture"]), timeout=60)
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]


def test_bench_and_inspect_take_it(edgecls: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    shown = edgecls("inspect", folder)
    assert shown.exit_code == 0 and "SavedModel" in shown.stdout
    done = edgecls("bench", folder, "--min-seconds", "0", "--min-runs", "3", "-o", tmp_path / "results.json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "results.json").read_text())["measurements"]
    assert row["target"] == "saved_model" and row["latency"]["runs"] >= 3
    assert row["engine"]["name"] == "TensorFlow"
