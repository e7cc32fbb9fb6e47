"""Files that would run code are refused before anything of them is deserialized, whatever disguise they wear.

Each planted piece of code would create a file; a test that finds it fails.
"""

from __future__ import annotations

import base64
import json
import marshal
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from written_models import convolution, edit_h5, edit_zip, small_classifier

from edgecls.errors import ModelFileError, UnsafeModelError, UnsupportedModelError
from edgecls.formats.computing_operations import COMPUTING
from edgecls.models import load_model
from edgecls.models.safety import scan_config, scan_operations


@pytest.fixture
def trap(tmp_path):
    """A path that planted code creates, and which must not exist when the test ends."""
    path = tmp_path / "code-ran"
    yield path
    assert not path.exists()


def planted(trap: Path):
    """A function whose every call leaves a trace; self-contained, as marshalled code must be."""
    source = f"lambda x: (open({str(trap)!r}, 'w').close(), x)[1]"
    return eval(source)


def lambda_models(framework, trap):
    """Lambda layers at the places a model can hold one."""
    layers = framework.layers
    plain = layers.Lambda(planted(trap), output_shape=(8, 8, 3), name="payload")
    yield "plain", small_classifier(framework, plain)
    nested = framework.Sequential(
        [framework.Input((8, 8, 3)), layers.Lambda(planted(trap), output_shape=(8, 8, 3), name="payload")]
    )
    yield "nested", small_classifier(framework, nested)
    inner = framework.Sequential([framework.Input((8, 3)), layers.Lambda(planted(trap), output_shape=(8, 3), name="payload")])
    yield "wrapped", small_classifier(framework, layers.TimeDistributed(inner))


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
@pytest.mark.parametrize("index", [0, 1, 2], ids=["plain", "nested", "wrapped"])
def test_lambda_layers(framework, tmp_path, name, index):
    trap = tmp_path / "code-ran"
    model = list(lambda_models(framework, trap))[index][1]
    model.save(str(tmp_path / name))
    trap.unlink(missing_ok=True)  # building the model ran it
    with pytest.raises(UnsafeModelError, match=r"payload \(Lambda: Python code.*--allow-code") as caught:
        load_model(tmp_path / name)
    assert caught.value.exit_code == 2
    assert not trap.exists()
    loaded = load_model(tmp_path / name, allow_code=True)
    assert trap.exists()
    assert loaded.predict(np.zeros((1, 8, 8, 3), np.float32)).shape == (1, 3)


def test_lambda_in_a_keras2_saved_model(tf_keras, tmp_path):
    trap = tmp_path / "code-ran"
    model = small_classifier(tf_keras, tf_keras.layers.Lambda(planted(trap), name="payload"))
    model.save(str(tmp_path / "folder"))
    trap.unlink(missing_ok=True)
    with pytest.raises(UnsafeModelError, match="payload"):
        load_model(tmp_path / "folder")
    assert not trap.exists()
    assert load_model(tmp_path / "folder", allow_code=True).outputs == 3


@pytest.mark.parametrize("generation", ["keras", "tf_keras"])
def test_lambda_in_an_architecture(request, tmp_path, generation):
    framework = request.getfixturevalue(generation)
    trap = tmp_path / "code-ran"
    model = small_classifier(framework, framework.layers.Lambda(planted(trap), output_shape=(8, 8, 3), name="payload"))
    model.save_weights(str(tmp_path / "w.weights.h5"))
    (tmp_path / "m.json").write_text(model.to_json())
    trap.unlink(missing_ok=True)
    with pytest.raises(UnsafeModelError, match="payload"):
        load_model(tmp_path / "m.json", weights=tmp_path / "w.weights.h5")
    assert not trap.exists()
    assert load_model(tmp_path / "m.json", weights=tmp_path / "w.weights.h5", allow_code=True).outputs == 3


def marshalled(trap: Path) -> str:
    return base64.b64encode(marshal.dumps(planted(trap).__code__)).decode()


# What an attacker may put in the place of a layer or of a field of one: (id, change of the convolution's description)
DISGUISES = {
    "registered name": lambda layer, code: layer.update(
        class_name="Custom>Lambda", config={"name": "c", "function": [code, None, None]}
    ),
    "lambda under another class": lambda layer, code: layer["config"].update(function=[code, None, None], function_type="lambda"),
    "class name in the registered name": lambda layer, code: layer.update(registered_name="Lambda", module="keras.layers"),
    "marshalled activation": lambda layer, code: layer["config"].update(
        activation={"class_name": "__lambda__", "config": {"value": [code, None, None]}}
    ),
    "module os": lambda layer, code: layer["config"].update(
        activation={"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    ),
    "module posix": lambda layer, code: layer.update(module="posix", class_name="system", registered_name=None),
    "python builtin": lambda layer, code: layer["config"].update(
        activation={"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "exec"}
    ),
    "keras download": lambda layer, code: layer["config"].update(
        activation={"module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file"}
    ),
    "dotted class": lambda layer, code: layer.update(module="keras", class_name="utils.get_file", registered_name=None),
    "keras function as a class": lambda layer, code: layer.update(
        module="keras.models", class_name="load_model", registered_name=None
    ),
    "unsafe switch": lambda layer, code: layer.update(
        module="keras.config", class_name="function", config="enable_unsafe_deserialization", registered_name=None
    ),
    "look-alike of keras": lambda layer, code: layer.update(
        module="keras_evil.layers", class_name="Conv2D", registered_name=None
    ),
    "TensorFlow file operation": lambda layer, code: layer.update(
        class_name="TFOpLambda", config={"name": "c", "function": "io.write_file"}
    ),
    "TensorFlow raw operation": lambda layer, code: layer.update(
        class_name="TFOpLambda", config={"name": "c", "function": "raw_ops.WriteFile"}
    ),
    "TensorFlow library": lambda layer, code: layer.update(
        class_name="TFOpLambda", config={"name": "c", "function": "load_library"}
    ),
    "TensorFlow graph operation": lambda layer, code: layer.update(
        class_name="TensorFlowOpLayer", config={"name": "c", "node_def": json.dumps({"op": "WriteFile"}), "constants": {}}
    ),
    "class method": lambda layer, code: layer.update(
        class_name="ClassMethod", config={"name": "c", "cls_symbol": "io.gfile.GFile", "method_name": "write"}
    ),
    "another model": lambda layer, code: layer.update(class_name="TFSMLayer", config={"name": "c", "filepath": "/tmp/x"}),
    "pickled torch": lambda layer, code: layer.update(class_name="TorchModuleWrapper", config={"name": "c", "module": code}),
    "a file as vocabulary": lambda layer, code: layer.update(
        class_name="StringLookup", config={"name": "c", "vocabulary": "/etc/passwd"}
    ),
    "inside the compilation": lambda layer, code: layer["config"].update(
        compile_config={}, activation={"a": [{"b": {"class_name": "Lambda", "config": {"function": [code, None, None]}}}]}
    ),
    "class name that is no text": lambda layer, code: layer.update(class_name=["Lambda"]),
}


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
@pytest.mark.parametrize("disguise", DISGUISES)
def test_disguises(framework, saved, trap, name, disguise):
    path = saved(small_classifier(framework), name)
    edit = edit_h5 if name == "m.h5" else edit_zip
    edit(path, lambda config: DISGUISES[disguise](convolution(config), marshalled(trap)))
    with pytest.raises((UnsafeModelError, UnsupportedModelError)) as caught:
        load_model(path)
    assert caught.value.exit_code == 2
    if disguise != "look-alike of keras":
        assert isinstance(caught.value, UnsafeModelError)


def test_architecture_as_bytes(tf_keras, tmp_path):
    trap = tmp_path / "code-ran"
    path = tmp_path / "m.h5"
    small_classifier(tf_keras, tf_keras.layers.Lambda(planted(trap))).save(str(path))
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = np.bytes_(file.attrs["model_config"])
        file.attrs["keras_version"] = np.bytes_(b"2.9.0")
    trap.unlink(missing_ok=True)
    with pytest.raises(UnsafeModelError):
        load_model(path)
    assert not trap.exists()


def test_metadata_that_contradicts_the_architecture(keras, tmp_path, trap):
    """The scan does not depend on which generation an archive claims to be."""
    path = tmp_path / "m.keras"
    small_classifier(keras, keras.layers.Lambda(planted(trap), output_shape=(8, 8, 3))).save(str(path))
    trap.unlink(missing_ok=True)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for version in ("2.15.0", "9.0.0", "no version"):
        parts["metadata.json"] = json.dumps({"keras_version": version}).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
        with pytest.raises(UnsafeModelError):
            load_model(path)


def test_two_architectures_in_one_archive(keras, saved):
    path = saved(small_classifier(keras), "m.keras")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", "{}")
    with pytest.raises(Exception, match="two files of one name"):
        load_model(path)


def test_graph_operations_of_the_host(tf, tmp_path, trap):
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image")])
    def serve(image):
        tf.io.write_file(str(trap), "ran")
        return tf.reshape(image, (-1, 64))[:, :3]

    module.serve = serve
    tf.saved_model.save(module, str(tmp_path / "folder"), signatures={"serving_default": serve})
    with pytest.raises(UnsafeModelError, match="WriteFile"):
        load_model(tmp_path / "folder")


def test_python_functions_in_a_graph(tf, tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda image: tf.ensure_shape(tf.numpy_function(lambda x: x.reshape(len(x), 64)[:, :3], [image], tf.float32), (None, 3)),
        input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image")],
    )
    tf.saved_model.save(module, str(tmp_path / "folder"), signatures={"serving_default": module.serve})
    with pytest.raises(UnsafeModelError, match="PyFunc"):
        load_model(tmp_path / "folder")


def test_keras_description_moved_into_the_graph(tf_keras, tmp_path):
    """Before TensorFlow 2.5 the descriptions of layers were in the object graph; Keras still reads them there."""
    from tensorflow.core.protobuf import saved_model_pb2
    from tf_keras.protobuf import saved_metadata_pb2

    trap = tmp_path / "code-ran"
    folder = tmp_path / "folder"
    small_classifier(tf_keras, tf_keras.layers.Lambda(planted(trap), name="payload")).save(str(folder))
    trap.unlink(missing_ok=True)
    metadata = saved_metadata_pb2.SavedMetadata()  # pyright: ignore[reportAttributeAccessIssue]
    metadata.ParseFromString((folder / "keras_metadata.pb").read_bytes())
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((folder / "saved_model.pb").read_bytes())
    nodes = saved_model.meta_graphs[0].object_graph_def.nodes
    for node in metadata.nodes:
        nodes[node.node_id].user_object.identifier = node.identifier
        nodes[node.node_id].user_object.metadata = node.metadata
    (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    (folder / "keras_metadata.pb").unlink()
    with pytest.raises(UnsafeModelError, match="payload"):
        load_model(folder)
    assert not trap.exists()


def test_pickles_are_refused_even_with_allow_code(tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(pickle.dumps({"a": 1}))
    for allow_code in (False, True):
        with pytest.raises(UnsafeModelError, match="pickle"):
            load_model(path, allow_code=allow_code)


def test_arithmetic_of_tensorflow_is_no_code(tf_keras, tf, saved):
    """What `preprocess_input` and `x / 127.5 - 1` leave in a model."""
    inputs = tf_keras.Input((8, 8, 3))
    value = tf.clip_by_value(tf.nn.relu(tf.cast(inputs, tf.float32) / 127.5 - 1.0), 0.0, 1.0)[:, 1:, 1:, :]
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(2)(tf.reduce_mean(value, axis=(1, 2))))
    loaded = load_model(saved(model, "m.h5"))
    assert loaded.image_spec.provenance == "in-model"


def test_no_finding_in_real_models(zoo):
    for path in sorted(zoo.rglob("*.h*5")):
        with h5py.File(path) as file:
            if "model_config" in file.attrs:
                assert scan_config(json.loads(str(file.attrs["model_config"]))) == [], path


def test_scan_survives_deep_nesting():
    config: dict = {"class_name": "Lambda", "config": {}}
    for _ in range(100_000):
        config = {"config": [config]}
    assert [finding.kind for finding in scan_config(config)] == ["code"]


@pytest.mark.parametrize(
    "operation",
    [
        "PyFunc",
        "EagerPyFunc",
        "PyFuncStateless",
        "ReadFile",
        "WriteFile",
        "TFRecordDatasetV2",
        "PrintV2",
        "ImmutableConst",
        "Unheard",
    ],
)
def test_operations_that_are_not_known_to_compute(operation):
    (finding,) = scan_operations([("x", operation), ("y", "Conv2D"), ("z", "VarHandleOp")])
    assert finding.what.startswith(f"{operation}: ")


def test_operations_that_compute_name_no_place(tf):
    """No operation that is let through takes a file, a directory, an address or a stream; all are TensorFlow's own."""
    from tensorflow.python.framework import op_def_registry

    place = re.compile(r"(^|_)(file|files|path|directory|dir|region|address|stream|library|descriptor)(_|$)|filename")
    harmless = {"ShardedFilename", "ShardedFilespec"}  # which join texts
    for operation in COMPUTING - harmless:
        definition = op_def_registry.get(operation)
        assert definition is not None, operation
        names = [part.name for parts in (definition.input_arg, definition.attr) for part in parts]
        assert not [name for name in names if place.search(name)], operation


def _external_link(file, secret):
    file["model_weights/stolen"] = h5py.ExternalLink(str(secret), "/")


def _external_storage(file, secret):
    file.create_dataset("model_weights/stolen", (8,), "u1", external=[(str(secret), 0, 8)])


def _virtual_dataset(file, secret):
    layout = h5py.VirtualLayout((8,), "u1")
    layout[:] = h5py.VirtualSource(str(secret), "x", (8,))
    file.create_virtual_dataset("model_weights/stolen", layout)


@pytest.mark.parametrize("reach", [_external_link, _external_storage, _virtual_dataset])
def test_hdf5_that_reads_other_files(framework, tmp_path, reach):
    """A file's weights must be its own, in every container that holds HDF5."""
    path, secret = tmp_path / "m.h5", tmp_path / "secret"
    model = small_classifier(framework)
    model.save(str(path))
    with h5py.File(path, "r+") as file:
        reach(file, secret)
    with pytest.raises(ModelFileError, match=f"stolen.* the file {secret}"):
        load_model(path)
    (tmp_path / "m.json").write_text(model.to_json())
    with pytest.raises(ModelFileError, match=f"stolen.* the file {secret}"):
        load_model(tmp_path / "m.json", weights=path)
    model.save(str(tmp_path / "whole.keras"))
    with zipfile.ZipFile(tmp_path / "whole.keras") as whole, zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name in ("config.json", "metadata.json"):
            archive.writestr(name, whole.read(name))
        archive.write(path, "model.weights.h5")
    with pytest.raises(ModelFileError, match=f"stolen.* the file {secret}"):
        load_model(tmp_path / "m.keras")


def test_hdf5_with_links_within_itself(tf_keras, tmp_path):
    path = tmp_path / "m.h5"
    small_classifier(tf_keras).save(str(path))
    with h5py.File(path, "r+") as file:
        file["model_weights/soft"] = h5py.SoftLink("/nowhere")
        file["model_weights/circle"] = file["model_weights"]
    load_model(path)


def test_nothing_but_the_scan_reads_the_file(tf_keras, tmp_path, monkeypatch):
    """Neither framework's loader is entered for a file that is refused."""
    path = tmp_path / "m.h5"
    model = small_classifier(tf_keras, tf_keras.layers.Lambda(planted(tmp_path / "ran")))
    model.save(str(path))
    monkeypatch.setattr(tf_keras.models, "load_model", lambda *a, **k: pytest.fail("was entered"))
    with pytest.raises(UnsafeModelError):
        load_model(path)
    shutil.rmtree(tmp_path)
