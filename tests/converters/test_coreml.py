"""Core ML conversion. Core ML itself is absent on most machines: `mil_program` computes what the packages hold."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.converters.coreml import convert as coreml
from edgecls.converters.coreml.convert import check_structure, convert_coreml
from edgecls.errors import ConversionError, OutputError, SchemeError
from edgecls.formats import describe, sha256
from edgecls.formats.coreml.read import class_labels, open_package
from edgecls.models import load_model
from edgecls.records.artifact import OutputKind, Scheme
from edgecls.records.frozen_graph import FrozenGraph
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from edgecls.system.extras import require
from mil_program import run_package

ALL: list[Scheme] = ["float32", "float16", "weight8"]
Small = tuple[FrozenGraph, ArtifactMetadata]


def record_for(spec: ImageSpec, outputs: int, kind: OutputKind = "softmax", labels: list[str] | None = None) -> ArtifactMetadata:
    return ArtifactMetadata(
        name="model",
        image_spec=spec,
        labels=labels or [f"class_{index}" for index in range(max(outputs, 2))],
        outputs=outputs,
        output_kind=kind,
        source_sha256="0123456789abcdef" * 4,
        edgecls_version="0.1.0",
    )


def linear_graph(folder: Path, spec: ImageSpec, outputs: int, finish: str = "Softmax", *, width: int = 1) -> FrozenGraph:
    """scores = finish(inputs @ weights): every input value has a weight of its own, so that a mix-up of any two shows."""
    tf: Any = require("tensorflow")
    shape = (1, *spec.input_shape)
    size = int(np.prod(spec.input_shape))
    typical = np.abs(spec.apply(np.full((1, spec.height, spec.width, spec.channels), 200))).max()
    weights = np.random.default_rng(1).standard_normal((size, outputs)) * width / typical / np.sqrt(size)
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, shape, name="image")
        scores = tf.matmul(tf.reshape(image, (1, size)), tf.constant(weights, tf.float32))
        scores = {"Softmax": tf.nn.softmax, "Sigmoid": tf.sigmoid, "None": tf.identity}[finish](scores)
        tf.identity(scores, name="scores")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return FrozenGraph(path, "image:0", "scores:0", shape, outputs)


def run_graph(graph: FrozenGraph, inputs: np.ndarray) -> np.ndarray:
    tf: Any = require("tensorflow")
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(graph.path.read_bytes())
    imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    function = imported.prune(graph.input, graph.output)
    return np.concatenate([function(tf.constant(item[None])).numpy() for item in inputs])


def pixels_for(spec: ImageSpec, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, spec.height, spec.width, spec.channels)).astype(np.uint8)


SPECS = {
    "0..1": ImageSpec(height=6, width=5, channels=3).with_preprocess("0..1"),
    "-1..1": ImageSpec(height=6, width=5, channels=3).with_preprocess("-1..1"),
    "torch: a std for each channel": ImageSpec(height=6, width=5, channels=3).with_preprocess("imagenet-torch"),
    "caffe: BGR": ImageSpec(height=6, width=5, channels=3).with_preprocess("imagenet-caffe"),
    "BGR with a std for each channel": ImageSpec(
        height=6, width=5, channels=3, color_order="BGR", mean=(100, 110, 120), std=(50, 60, 70)
    ),
    "grey": ImageSpec(height=6, width=5, channels=1, color_order="GRAY", mean=(33,), std=(78,)),
    "no channel axis": ImageSpec(height=6, width=5, channels=1, color_order="GRAY", layout="HW", std=(255,)),
    "flat grey": ImageSpec(height=6, width=5, channels=1, color_order="GRAY", layout="flat", mean=(127.5,), std=(127.5,)),
    "flat colour": ImageSpec(height=6, width=5, channels=3, layout="flat", mean=(1, 2, 3), std=(10, 20, 30)),
    "four channels": ImageSpec(height=6, width=5, channels=4, color_order="OTHER", mean=(1, 2, 3, 4), std=(50, 60, 70, 80)),
    "two channels": ImageSpec(height=6, width=5, channels=2, color_order="OTHER", mean=(9,), std=(99,)),
}


@pytest.mark.parametrize("name", SPECS)
def test_the_package_does_the_preprocessing(name: str, tmp_path: Path) -> None:
    spec = SPECS[name]
    graph, record = linear_graph(tmp_path, spec, 4), record_for(spec, 4)
    packages = convert_coreml(graph, record, ["float32", "float16"], tmp_path)
    pixels = pixels_for(spec)
    expected = run_graph(graph, spec.apply(pixels))
    # a sum of up to 90 products in float32, in another order: 90 * 2^-24 of its terms, at most 1e-5 of a probability
    np.testing.assert_allclose(run_package(packages["float32"], pixels), expected, atol=1e-5)
    # weights rounded to float16, relative 2^-11, of logits of a few units
    np.testing.assert_allclose(run_package(packages["float16"], pixels), expected, atol=5e-3)
    assert [check_structure(path, record) for path in packages.values()] == ["", ""]
    kind = open_package(packages["float16"]).spec.description.input[0].type.WhichOneof("Type")
    assert kind == ("imageType" if spec.channels in (1, 3) else "multiArrayType")


@pytest.mark.parametrize(("finish", "kind"), [("Sigmoid", "sigmoid"), ("None", "logits")])
def test_a_single_output_becomes_two_classes(finish: str, kind: OutputKind, tmp_path: Path) -> None:
    spec = SPECS["0..1"]
    graph, record = linear_graph(tmp_path, spec, 1, finish), record_for(spec, 1, kind, ["cat", "dog"])
    package = convert_coreml(graph, record, ["float32"], tmp_path)["float32"]
    scores = run_graph(graph, spec.apply(pixels_for(spec)))
    negative = 1 - scores if kind == "sigmoid" else -scores  # a logit is no probability, and is not made one
    np.testing.assert_allclose(run_package(package, pixels_for(spec)), np.hstack([negative, scores]), atol=1e-6)
    assert class_labels(open_package(package)) == ["cat", "dog"]
    assert check_structure(package, record) == ""


def test_many_logits_stay_logits(tmp_path: Path) -> None:
    spec = SPECS["0..1"]
    graph = linear_graph(tmp_path, spec, 4, "None", width=20)
    record = record_for(spec, 4, "logits")
    package = convert_coreml(graph, record, ["float32"], tmp_path)["float32"]
    expected = run_graph(graph, spec.apply(pixels_for(spec)))
    assert expected.min() < 0  # these are no probabilities
    np.testing.assert_allclose(run_package(package, pixels_for(spec)), expected, atol=1e-5 * np.abs(expected).max())
    scores = open_package(package).spec.description.output[1]
    assert (scores.name, "logits" in scores.shortDescription) == ("scores", True)


def test_labels_and_record_are_written_for_people_and_apps(tmp_path: Path) -> None:
    spec = SPECS["torch: a std for each channel"]
    labels = ["crane", "maillot", "crane", "schön", "crane"]  # as in ImageNet, where two classes share a name
    graph, record = linear_graph(tmp_path, spec, 5), record_for(spec, 5, labels=labels)
    package = open_package(convert_coreml(graph, record, ["float16"], tmp_path)["float16"])
    assert class_labels(package) == ["crane", "maillot", "crane (2)", "schön", "crane (3)"]
    user = package.spec.description.metadata.userDefined
    assert ArtifactMetadata.model_validate_json(user["edgecls"]) == record
    assert json.loads(user["renamed_labels"]) == {"2": "crane (2)", "4": "crane (3)"}
    assert user["source_sha256"] == record.source_sha256
    assert "58.395 57.12 57.375" in user["preprocessing"]
    assert [item.name for item in (*package.spec.description.input, *package.spec.description.output)] == [
        "image",
        "classLabel",
        "scores",
    ]


def test_weight8_is_the_float16_program_with_rounded_weights(zoo: Path, tmp_path: Path) -> None:
    """One scale a channel: a dequantized weight is off by half a step, and a step is the channel's largest weight / 127."""
    model = load_model(zoo / "fashion_cnn" / "fashion_mnist_model.h5")
    record = record_for(model.image_spec, model.outputs)
    packages = convert_coreml(model.freeze(tmp_path), record, ["float16", "weight8"], tmp_path)
    half, eight = (_materialized(packages[scheme]) for scheme in ("float16", "weight8"))
    quantized = [name for name in eight if name.endswith("_quantized")]
    assert len(quantized) == 5  # every kernel, also those of up to 2048 weights
    for name in quantized:
        source = half[name.removesuffix("_quantized")].astype(np.float32)
        step = np.abs(source.reshape(len(source), -1)).max(axis=1) / 127
        off = np.abs(eight[name] - source).reshape(len(source), -1)
        # beside the rounding to half a step: scale and product are float16, 2^-11 relative, of up to 127 steps
        assert (off.max(axis=1) <= step * (0.5 + 127 * 2**-10)).all()
    actual = describe(packages["weight8"]).actual
    assert actual.weight_dtypes["int8"] == sum(eight[name].size for name in quantized)
    assert actual.minimum_deployment_target == "iOS16"
    assert actual.stayed_float == []


def _materialized(path: Path) -> dict[str, np.ndarray]:
    from coremltools.converters.mil.frontend.milproto.load import load

    package = open_package(path)
    program = load(package.spec, package.spec.specificationVersion, str(package.files.model.parent / "weights"))
    return {
        operation.outputs[0].name: operation.materialized_val_inference()
        if operation.op_type.startswith("constexpr_")
        else operation.outputs[0].val
        for operation in program.functions["main"].operations
        if operation.op_type == "const" or operation.op_type.startswith("constexpr_")
    }


FAST_MODELS = ["fashion_cnn/fashion_mnist_model.h5", "mnist_tensorspace/mnist.h5", "sign_mnist/best_model.keras"]
SLOW_MODELS = [
    "face_xception/fer2013_big_XCEPTION.54-0.66.hdf5",
    "face_xception/fer2013_mini_XCEPTION.102-0.66.hdf5",
    "face_xception/tiny_XCEPTION_KDEF.hdf5",
    "flowers_grey30/flowers.h5",
    "imagenet_mobilenet_v1_025/mobilenet_v1_0.25_224.h5",
    "mlperf_tiny/pretrainedResnet.h5",
    "mlperf_tiny/vww_96.h5",
    "mnist_tensorspace/saved_model_tf1",
    "mnist_tensorspace/tf_keras_model.h5",
    "teachable_machine_water/keras_model.h5",
]

APPLICATIONS = ["MobileNet", "MobileNetV2", "MobileNetV3Small", "ResNet50", "EfficientNetB0", "DenseNet121", "Xception"]
APPLICATIONS += ["ConvNeXtTiny", "NASNetMobile", "VGG16", "InceptionV3"]


@pytest.mark.parametrize("name", [*FAST_MODELS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_MODELS)])
def test_real_models_compute_the_same(name: str, zoo: Path, tmp_path: Path) -> None:
    model = load_model(zoo / name)
    record = record_for(model.image_spec, model.outputs, model.output_kind)
    packages = convert_coreml(model.freeze(tmp_path), record, ALL, tmp_path)
    assert {scheme: check_structure(path, record) for scheme, path in packages.items()} == dict.fromkeys(ALL, "")
    pixels = pixels_for(model.image_spec)
    expected = model.predict(model.image_spec.apply(pixels))
    # float32 in another order of operations: 1e-4 of the largest score is the project's own limit; 1e-5 is met with BatchNorm folded
    np.testing.assert_allclose(run_package(packages["float32"], pixels), expected, atol=1e-5 * np.abs(expected).max())
    # Weights rounded to float16 are off by 2^-12 of themselves on average, -72 dB a layer. Noise in place of photos and MobileNetV1's
    # depthwise weights of up to 75 amplify that by up to 40 dB. A transposed weight or a swapped class leaves less than 10 dB.
    assert snr_db(run_package(packages["float16"], pixels), expected) > 30
    if name in FAST_MODELS:
        # rounding to 1 / (127 * sqrt(12)) of a weight is -53 dB a layer; the softmax turns errors of logits of 20 into ten times that
        assert snr_db(run_package(packages["weight8"], pixels), expected) > 30


def snr_db(scores: np.ndarray, expected: np.ndarray) -> float:
    return float(10 * np.log10(np.square(expected).sum() / np.square(scores - expected).sum()))


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_keras_applications(name: str, tmp_path: Path) -> None:
    keras: Any = require("keras")
    size = 224 if name == "NASNetMobile" else 96
    made = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classifier_activation=None)
    _disturb_batch_norms(made)
    made.save(tmp_path / "model.keras")
    model = load_model(tmp_path / "model.keras")
    record = record_for(model.image_spec, model.outputs, "logits")
    packages = convert_coreml(model.freeze(tmp_path), record, ALL, tmp_path)
    assert {scheme: check_structure(path, record) for scheme, path in packages.items()} == dict.fromkeys(ALL, "")
    pixels = pixels_for(model.image_spec, 2)
    expected = model.predict(model.image_spec.apply(pixels))
    # float32 with BatchNorm folded, operations in another order: the project's limit is 1e-4 of the largest score
    np.testing.assert_allclose(run_package(packages["float32"], pixels), expected, atol=1e-4 * np.abs(expected).max())


def _disturb_batch_norms(model: Any) -> None:
    """Random weights leave every BatchNorm an identity, which would hide a wrong one."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([weight + generator.random(weight.shape) * 0.2 for weight in layer.get_weights()])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[FrozenGraph, ArtifactMetadata]:
    """A graph large enough for int8 weights, quickly converted."""
    spec = ImageSpec(height=32, width=32, channels=3).with_preprocess("-1..1")
    return linear_graph(tmp_path_factory.mktemp("small"), spec, 4), record_for(spec, 4)


@pytest.mark.parametrize(
    ("target", "scheme", "specification"),
    [
        (None, "float16", 6),
        (None, "float32", 6),
        (None, "weight8", 7),
        ("iOS16", "float16", 7),
        ("macOS13", "weight8", 7),
        ("iOS17", "weight8", 8),
        ("iOS18", "weight8", 9),
        ("macOS15", "float16", 9),
    ],
)
def test_deployment_targets(small: Small, target: str | None, scheme: Scheme, specification: int, tmp_path: Path) -> None:
    graph, record = small
    package = convert_coreml(graph, record, [scheme], tmp_path, minimum_deployment_target=target)[scheme]
    assert open_package(package).spec.specificationVersion == specification
    assert check_structure(package, record) == ""
    pixels = pixels_for(record.image_spec)
    expected = run_graph(graph, record.image_spec.apply(pixels))
    # int8: 3072 weights of 3.5 standard deviations at most, rounded to 1/127 of that, are off by 0.8 % of a logit of 1.5 together; a
    # probability moves by a quarter of it at most, and three standard deviations are 0.01
    np.testing.assert_allclose(run_package(package, pixels), expected, atol=1e-2 if scheme == "weight8" else 5e-3)
    packing = "constexpr_blockwise_shift_scale" if specification >= 9 else "constexpr_affine_dequantize"
    assert (packing in describe(package).actual.operations) == (scheme == "weight8")


@pytest.mark.parametrize(
    ("target", "schemes", "says"),
    [
        ("iOS99", ["float16"], "'iOS99'; choose one of iOS15"),
        ("ios16", ["float16"], "'ios16'; choose one of"),
        ("iOS14", ["float16"], "iOS15 or newer for Core ML float16, found 'iOS14'"),
        ("macOS12", ["float16", "weight8"], "iOS16 or newer for Core ML weight8, found 'macOS12'"),
        ("iOS16", ["int8"], "iOS17 or newer for Core ML int8, found 'iOS16'"),
        ("iOS17", ["weight4"], "iOS18 or newer for Core ML weight4, found 'iOS17'; choose one of iOS18"),
        ("iOS15", ["palette4"], "iOS16 or newer for Core ML palette4, found 'iOS15'"),
        ("iOS17", ["sparse-palette4"], "iOS18 or newer for Core ML sparse-palette4"),
        (None, ["dynamic"], "a Core ML scheme (float32, float16, int8, weight8"),
    ],
)
def test_refused_before_any_work(small: Small, target: str | None, schemes: list[Scheme], says: str, tmp_path: Path) -> None:
    with pytest.raises(SchemeError) as caught:
        convert_coreml(*small, schemes, tmp_path / "out", minimum_deployment_target=target)
    assert says in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_labels_of_another_number_are_refused(small: Small, tmp_path: Path) -> None:
    graph, record = small
    with pytest.raises(ConversionError, match="4 labels"):
        convert_coreml(graph, record.model_copy(update={"labels": ["a", "b", "c"]}), ["float16"], tmp_path)


def test_an_unknown_operation_is_named(tmp_path: Path) -> None:
    tf: Any = require("tensorflow")
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, 4), name="image")
        tf.identity(tf.math.lgamma(image), name="scores")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    frozen = FrozenGraph(tmp_path / "graph.pb", "image:0", "scores:0", (1, 4), 4)
    spec = ImageSpec(height=2, width=2, channels=1, color_order="GRAY", layout="flat")
    with pytest.raises(ConversionError, match=r"found Lgamma \(Lgamma\); replace the layer"):
        convert_coreml(frozen, record_for(spec, 4), ["float16"], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_gelu_of_keras_3_becomes_one_operation(tmp_path: Path) -> None:
    """Keras writes 0.5 x erfc(-x / sqrt 2); Core ML's own `gelu` is what the Neural Engine runs."""
    tf: Any = require("tensorflow")
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, 4), name="image")
        tf.identity(0.5 * image * tf.math.erfc(-image * np.float32(2**-0.5)), name="scores")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    frozen = FrozenGraph(tmp_path / "graph.pb", "image:0", "scores:0", (1, 4), 4)
    spec = ImageSpec(height=2, width=2, channels=1, color_order="GRAY", layout="flat")
    package = convert_coreml(frozen, record_for(spec, 4), ["float16"], tmp_path)["float16"]
    operations = describe(package).actual.operations
    assert operations["gelu"] == 1
    assert "erf" not in operations


def test_the_same_model_gives_the_same_bytes_and_no_noise(
    small: Small, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    first = convert_coreml(*small, ALL, tmp_path / "a")
    second = convert_coreml(*small, ALL, tmp_path / "b")
    assert {scheme: sha256(path) for scheme, path in first.items()} == {scheme: sha256(path) for scheme, path in second.items()}
    assert list(first) == ALL
    assert sorted(item.name for item in (tmp_path / "a").iterdir()) == sorted(
        f"model-coreml-{scheme}.mlpackage" for scheme in ALL
    )
    text = capfd.readouterr()
    assert "Running" not in text.err + text.out  # coremltools' progress bars


def test_a_package_that_was_there_survives_a_failure(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sha256(convert_coreml(*small, ["float16"], tmp_path)["float16"])

    def full_disk(path: Path, spec: Any, weights: Path) -> None:
        path.mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(coreml, "write_package", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        convert_coreml(*small, ["float16"], tmp_path)
    assert [sha256(path) for path in tmp_path.iterdir()] == [before]
    monkeypatch.undo()
    assert sha256(convert_coreml(*small, ["float16"], tmp_path)["float16"]) == before  # and is replaced by the next run


def test_a_folder_that_cannot_be_made(small: Small, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        convert_coreml(*small, ["float16"], tmp_path / "file" / "out")


# check_structure must see what is wrong


def edit_spec(path: Path, change: Any) -> None:
    model = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    package = open_package(path)
    change(package.spec, package)
    model.write_bytes(package.spec.SerializeToString())


def operations(package: Any, kind: str) -> list[Any]:
    return [operation for operation in package.block.operations if operation.type == kind]


def _swap_labels(spec: Any, package: Any) -> None:
    values = operations(package, "classify")[0].inputs["classes"].arguments[0].value.immediateValue.list.values
    first, second = (values[index].immediateValue.tensor.strings.values for index in (0, 1))
    first[0], second[0] = second[0], first[0]


def _drop_label(spec: Any, package: Any) -> None:
    classes = operations(package, "classify")[0].inputs["classes"].arguments[0].value
    del classes.immediateValue.list.values[-1]
    classes.type.listType.length.constant.size -= 1


def _other_bias(spec: Any, package: Any) -> None:
    constant = next(item for item in operations(package, "const") if item.outputs[0].name.startswith("image__biased__"))
    constant.attributes["val"].immediateValue.tensor.floats.values[1] += 0.01


def _other_scale(spec: Any, package: Any) -> None:
    constant = next(item for item in operations(package, "const") if item.outputs[0].name.startswith("image__scaled__"))
    constant.attributes["val"].immediateValue.tensor.floats.values[0] = 1 / 255


def _other_color(spec: Any, package: Any) -> None:
    spec.description.input[0].type.imageType.colorSpace = 30


def _other_size(spec: Any, package: Any) -> None:
    spec.description.input[0].type.imageType.width = 33


def _unknown_operation(spec: Any, package: Any) -> None:
    operations(package, "softmax")[0].type = "softmaximum"


def _wrong_shape(spec: Any, package: Any) -> None:
    operations(package, "softmax")[0].outputs[0].type.tensorType.dimensions[1].constant.size = 5


def _no_record(spec: Any, package: Any) -> None:
    del spec.description.metadata.userDefined["edgecls"]


def _other_record(spec: Any, package: Any) -> None:
    user = spec.description.metadata.userDefined
    user["edgecls"] = user["edgecls"].replace('"outputs":4', '"outputs":5')


def _other_names(spec: Any, package: Any) -> None:
    spec.description.predictedProbabilitiesName = "classLabel"


BREAKS = {
    "class 0 is labelled 'class_1', not 'class_0'": _swap_labels,
    "number of classes must match": _drop_label,
    "applies the bias": _other_bias,
    "applies the scale [0.0039": _other_scale,
    "32 x 32 BGR, not 32 x 32 RGB": _other_color,
    "image of 33 x 32": _other_size,
    "softmaximum": _unknown_operation,
    "Mismatch between var types": _wrong_shape,
    "the file: ": _no_record,
    "differs in outputs": _other_record,
    "not the predicted label and the scores": _other_names,
}


@pytest.fixture(scope="module")
def sound(small: Small, tmp_path_factory: pytest.TempPathFactory) -> dict[Scheme, Path]:
    return convert_coreml(*small, ["float16", "weight8"], tmp_path_factory.mktemp("sound"))


@pytest.mark.parametrize("says", BREAKS)
def test_what_is_wrong_is_told(says: str, sound: dict[Scheme, Path], small: Small, tmp_path: Path) -> None:
    path = tmp_path / "broken.mlpackage"
    shutil.copytree(sound["float16"], path)
    assert check_structure(path, small[1]) == ""
    edit_spec(path, BREAKS[says])
    assert says in check_structure(path, small[1])


def test_weights_must_be_finite(sound: dict[Scheme, Path], small: Small, tmp_path: Path) -> None:
    path = tmp_path / "broken.mlpackage"
    shutil.copytree(sound["float16"], path)
    name, values = max(open_package(path).float_values(), key=lambda item: item[1].size)
    weights = path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    data = bytearray(weights.read_bytes())
    position = data.index(values.tobytes())
    data[position : position + 2] = np.float16(np.inf).tobytes()
    weights.write_bytes(bytes(data))
    assert check_structure(path, small[1]) == f"constant {name!r} has 1 values that are not finite"


def test_scales_of_int8_weights_must_be_finite(sound: dict[Scheme, Path], small: Small, tmp_path: Path) -> None:
    path = tmp_path / "broken.mlpackage"
    shutil.copytree(sound["weight8"], path)

    def infinite_scale(spec: Any, package: Any) -> None:
        packed = operations(package, "constexpr_affine_dequantize")[0]
        packed.attributes["scale"].immediateValue.tensor.bytes.values = np.array([np.inf, 1, np.nan, 1], np.float16).tobytes()

    assert check_structure(path, small[1]) == ""
    edit_spec(path, infinite_scale)
    assert "has 2 values that are not finite" in check_structure(path, small[1])


def test_a_missing_weight_file_is_told(sound: dict[Scheme, Path], small: Small, tmp_path: Path) -> None:
    path = tmp_path / "broken.mlpackage"
    shutil.copytree(sound["float16"], path)
    shutil.rmtree(path / "Data" / "com.apple.CoreML" / "weights")
    assert "weight.bin is missing" in check_structure(path, small[1])


@pytest.mark.slow
def test_killed_while_converting_nothing_half_written_is_left(small: Small, tmp_path: Path) -> None:
    """A process that dies between the first package and the second leaves the first complete and no second."""
    graph, record = small
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "import edgecls.converters.coreml.convert as coreml\nfrom edgecls.records.frozen_graph import FrozenGraph\n"
        "from edgecls.records.metadata import ArtifactMetadata\n"
        f"graph = FrozenGraph(Path({str(graph.path)!r}), 'image:0', 'scores:0', {graph.input_shape!r}, 4)\n"
        "record = ArtifactMetadata.model_validate_json(sys.argv[1])\n"
        "put = coreml._put\n"
        "coreml._put = lambda *arguments: (put(*arguments), os.kill(os.getpid(), signal.SIGKILL))\n"
        f"coreml.convert_coreml(graph, record, ['float16', 'weight8'], Path({str(tmp_path)!r}))\n"
    )
    run = subprocess.run([sys.executable, "-c", script, record.model_dump_json()], check=False, capture_output=True, timeout=120)
    assert run.returncode == -9
    visible = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert [path.name for path in visible] == ["model-coreml-float16.mlpackage"]
    assert check_structure(visible[0], record) == ""


def test_scale_and_shift_are_not_scaled_by_an_epsilon(tmp_path: Path) -> None:
    """coremltools makes a `batch_norm` with an epsilon of 1e-5 of them: 5e-6 of the value, eighty times float32's rounding."""
    require("coremltools")
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY

    from edgecls.converters.coreml.program import exact_batch_norms
    from mil_packages import build, computed

    rng = np.random.default_rng(0)
    scale, shift = rng.uniform(0.5, 2, (2, 1, 3, 1, 1)).astype(np.float32)

    def block(x: Any) -> Any:
        return mb.add(x=mb.mul(x=x, y=scale), y=shift)

    program = build(block, {"x": ((1, 3, 4, 5), "float32")}, "iOS16")
    with exact_batch_norms():
        PASS_REGISTRY["common::fuse_elementwise_to_batchnorm"](program)
    assert [item.op_type for item in program.functions["main"].operations if item.op_type != "const"] == ["batch_norm"]
    x = rng.normal(size=(1, 3, 4, 5)).astype(np.float32)
    (found,) = computed(program, {"x": x}, tmp_path, "iOS16")
    np.testing.assert_allclose(found, x * scale + shift, rtol=0, atol=1e-6)  # a few roundings of values up to 8
