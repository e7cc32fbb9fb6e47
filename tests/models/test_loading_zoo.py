"""Every real model loads, tells what it is, and freezes to the same function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from written_models import run_frozen

from edgecls.errors import ModelFileError
from edgecls.models import LoadedModel, load_model

MINUS_ONE = ((127.5,), (127.5,))
UNIT = ((0.0,), (255.0,))

# file, format, Keras version, input shape, preprocessing (mean, std), outputs
ZOO = [
    ("face_xception/fer2013_mini_XCEPTION.102-0.66.hdf5", "keras2-h5", "2.0.5", (64, 64, 1), MINUS_ONE, 7),
    ("face_xception/fer2013_big_XCEPTION.54-0.66.hdf5", "keras2-h5", "2.0.5", (64, 64, 1), MINUS_ONE, 7),
    ("face_xception/tiny_XCEPTION_KDEF.hdf5", "keras2-h5", "2.0.5", (64, 64, 1), MINUS_ONE, 7),
    ("mnist_tensorspace/mnist.h5", "keras2-h5", "2.1.6", (28, 28), UNIT, 10),
    ("mnist_tensorspace/tf_keras_model.h5", "keras2-h5", "2.1.6-tf", (28, 28), UNIT, 10),
    ("mnist_tensorspace/topology.json", "keras2-json", "2.2.2", (28, 28), UNIT, 10),
    ("mnist_tensorspace/saved_model_tf1", "savedmodel", None, (32, 32, 1), UNIT, 10),
    ("teachable_machine_water/keras_model.h5", "keras2-h5", "2.4.0", (224, 224, 3), MINUS_ONE, 2),
    ("mlperf_tiny/pretrainedResnet.h5", "keras2-h5", "2.4.0", (32, 32, 3), UNIT, 10),
    ("mlperf_tiny/vww_96.h5", "keras2-h5", "2.4.0", (96, 96, 3), UNIT, 2),
    ("imagenet_mobilenet_v1_025/mobilenet_v1_0.25_224.h5", "keras2-h5", "2.8.0", (224, 224, 3), MINUS_ONE, 1000),
    ("flowers_grey30/flowers.h5", "keras2-h5", "2.4.0", (30, 30, 1), UNIT, 5),
    ("sign_mnist/best_model.keras", "keras3-keras", "3.3.3", (28, 28, 1), UNIT, 25),
    ("fashion_cnn/fashion_mnist_model.h5", "keras3-h5", "3.10.0", (28, 28, 1), UNIT, 10),
]


def load(zoo: Path, name: str) -> LoadedModel:
    return load_model(zoo / name, weights=zoo / "mnist_tensorspace/weights.h5" if name.endswith(".json") else None)


@pytest.mark.parametrize(
    ("name", "format_name", "version", "shape", "preprocessing", "outputs"), ZOO, ids=[row[0] for row in ZOO]
)
def test_loads_and_freezes(zoo, tmp_path, tf, name, format_name, version, shape, preprocessing, outputs):
    model = load(zoo, name)
    assert (model.source.format, model.source.keras_version) == (format_name, version)
    assert len(model.source.sha256) == 64
    spec = model.image_spec
    assert spec.input_shape == shape
    assert (spec.mean, spec.std) == preprocessing
    assert spec.provenance == "assumed"
    assert "--preprocess" in spec.note
    assert (model.outputs, model.output_kind, model.repairs) == (outputs, "softmax", [])
    assert (model.training_refusal is None) == (format_name != "savedmodel")

    inputs = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    scores = model.predict(inputs)
    assert scores.shape == (3, outputs)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    # The same kernels on the same constants, batch 1 instead of 3: only the order of float32 sums inside an operation may differ, some
    # rounding steps (2^-24 each) through up to 30 layers.
    frozen = run_frozen(model.freeze(tmp_path), inputs, tf)
    np.testing.assert_allclose(frozen, scores, atol=1e-5 * scores.max())


def test_frozen_graph_holds_constants_alone(zoo, tmp_path, tf):
    graph = load(zoo, "teachable_machine_water/keras_model.h5").freeze(tmp_path)
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(graph.path.read_bytes())
    operations = {node.op for node in definition.node}
    assert not operations & {"PartitionedCall", "StatefulPartitionedCall", "VarHandleOp", "ReadVariableOp", "RandomUniform"}
    assert not definition.library.function
    assert [node.name for node in definition.node if node.op == "Placeholder"] == ["image"]
    assert (graph.input, graph.output, graph.input_shape, graph.outputs) == ("image:0", "scores:0", (1, 224, 224, 3), 2)


def test_weights_alone_name_the_remedy(zoo):
    with pytest.raises(ModelFileError, match=r"weights alone.*--weights weights\.h5"):
        load_model(zoo / "mnist_tensorspace/weights.h5")


def test_architecture_alone_names_the_remedy(zoo):
    with pytest.raises(ModelFileError, match="architecture alone; name the weights with it: --weights"):
        load_model(zoo / "mnist_tensorspace/topology.json")


def test_weights_of_another_model(zoo):
    with pytest.raises(ModelFileError, match=r"weights that fit topology\.json"):
        load_model(zoo / "mnist_tensorspace/topology.json", weights=zoo / "flowers_grey30/flowers.h5")


def test_fashion_accuracy(zoo, shared_data):
    """The zoo's own figure for this model is 89.9 % on all 10,000 images; 1,000 of them give it within a standard error of 1 point."""
    model = load(zoo, "fashion_cnn/fashion_mnist_model.h5")
    with np.load(shared_data / "fashion_mnist.npz") as data:
        images, labels = data["x_test"][:1000], data["y_test"][:1000]
    scores = model.predict(model.image_spec.apply(images[..., None]))
    assert np.mean(scores.argmax(axis=1) == labels) >= 0.89


def test_mlperf_resnet_accuracy(zoo, shared_data):
    """76.4 % on all of x_test with raw pixels; 500 of them, standard error 1.9 points: within two of them."""
    model = load(zoo, "mlperf_tiny/pretrainedResnet.h5")
    spec = model.image_spec.with_preprocess("0..255")
    with np.load(shared_data / "cifar10.npz") as data:
        images, labels = data["x_test"][:500], data["y_test"][:500].ravel()
    scores = model.predict(spec.apply(images))
    assert abs(np.mean(scores.argmax(axis=1) == labels) - 0.764) < 0.038
