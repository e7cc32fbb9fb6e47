"""SavedModels whose graphs reach files: refused wherever the operation hides, and only where it would run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.errors import UnsafeModelError
from edgecls.models import load_model
from edgecls.models.graph_scan import scan_saved_model

SHAPE = (None, 4, 4, 1)


def save_checkpoint(tf: Any, place: Path) -> Any:
    return tf.raw_ops.SaveV2(prefix=str(place), tensor_names=["x"], shape_and_slices=[""], tensors=[tf.constant([1.0])])


def export(tf: Any, folder: Path, body: Callable[[Any], Any]) -> Path:
    """A SavedModel of TensorFlow 2 whose serving function computes `body`."""
    module = tf.Module()
    module.serve = tf.function(body, input_signature=[tf.TensorSpec(SHAPE, tf.float32, name="image")])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return folder


def scores(tf: Any, image: Any) -> Any:
    return tf.reshape(image, (-1, 16))[:, :3]


def _under_a_control_dependency(tf, image, place):
    with tf.control_dependencies([save_checkpoint(tf, place)]):
        return scores(tf, image)


def _in_a_branch(tf, image, place):
    def branch():
        with tf.control_dependencies([save_checkpoint(tf, place)]):
            return scores(tf, image)

    return tf.cond(tf.reduce_sum(image) > -1.0, branch, lambda: scores(tf, image))


def _in_a_called_function(tf, image, place):
    @tf.function
    def inner(value):
        with tf.control_dependencies([save_checkpoint(tf, place)]):
            return tf.identity(value)

    return scores(tf, inner(image))


def _merging_checkpoints(tf, image, place):
    merge = tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=[str(place)], destination_prefix=str(place) + "-to")
    with tf.control_dependencies([merge]):
        return scores(tf, image)


def _mapping_a_file(tf, image, place):
    region = tf.raw_ops.ImmutableConst(dtype=tf.float32, shape=[1], memory_region_name=str(place))
    return scores(tf, image) + region


def _reading_a_checkpoint(tf, image, place):
    (value,) = tf.raw_ops.RestoreV2(prefix=str(place), tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32])
    return scores(tf, image) + tf.reshape(value, [-1])[:1]


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        (_under_a_control_dependency, "SaveV2"),
        (_in_a_branch, "SaveV2"),
        (_in_a_called_function, "SaveV2"),
        (_merging_checkpoints, "MergeV2Checkpoints"),
        (_mapping_a_file, "ImmutableConst"),
        (_reading_a_checkpoint, "RestoreV2"),
    ],
)
def test_serving_functions_that_reach_files(tf, tmp_path, body, operation):
    folder = export(tf, tmp_path / "folder", lambda image: body(tf, image, tmp_path / "planted"))
    with pytest.raises(UnsafeModelError, match=rf"\S+/\w+ \({operation}: .*repeat with --allow-code") as caught:
        load_model(folder)
    assert caught.value.exit_code == 2
    assert not list(tmp_path.glob("planted*"))


def test_allow_code_lets_it_run(tf, tmp_path):
    """The trap of these tests works: with the user's word the planted file appears."""
    planted = tmp_path / "planted"
    folder = export(tf, tmp_path / "folder", lambda image: _under_a_control_dependency(tf, image, planted))
    load_model(folder, allow_code=True).predict(np.zeros((1, 4, 4, 1), np.float32))
    assert list(tmp_path.glob("planted*"))


def export_v1(tf: Any, folder: Path, build: Callable[[Any, Any], dict[str, Any]]) -> Path:
    """A SavedModel of TensorFlow 1; `build` takes the image and its scores and returns what the builder is told beside."""
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        image = v1.placeholder(tf.float32, SHAPE, name="image")
        weights = v1.get_variable("weights", (16, 3), use_resource=False)
        result = tf.identity(tf.reshape(image, (-1, 16)) @ weights, name="result")
        more = build(image, result)
        session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
        signature = v1.saved_model.predict_signature_def({"image": image}, {"scores": more.pop("scores", result)})
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature}, **more)
        builder.save()
    return folder


def _v1_output(tf, place, result):
    with tf.control_dependencies([save_checkpoint(tf, place)]):
        return {"scores": tf.identity(result)}


def _v1_init_op(tf, place, result):
    with tf.control_dependencies([save_checkpoint(tf, place)]):
        return {"main_op": tf.no_op()}


def _v1_restore(tf, place, result):
    saver = tf.compat.v1.train.Saver()
    restore = tf.compat.v1.get_default_graph().get_operation_by_name(saver.saver_def.restore_op_name)
    restore._add_control_input(save_checkpoint(tf, place))
    return {"saver": saver}


def _v1_restores_another_file(tf, place, result):
    (value,) = tf.raw_ops.RestoreV2(prefix=str(place), tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32])
    saver = tf.compat.v1.train.Saver()
    restore = tf.compat.v1.get_default_graph().get_operation_by_name(saver.saver_def.restore_op_name)
    restore._add_control_input(value.op)
    return {"saver": saver}


def _v1_local_variable(tf, place, result):
    with tf.control_dependencies([save_checkpoint(tf, place)]):
        start = tf.constant(0.0)
    local = [tf.compat.v1.GraphKeys.LOCAL_VARIABLES]
    tf.compat.v1.get_variable("count", initializer=start, collections=local, use_resource=False)
    return {}


@pytest.mark.parametrize("plant", [_v1_output, _v1_init_op, _v1_restore, _v1_restores_another_file, _v1_local_variable])
def test_graphs_of_tensorflow_1_that_reach_files(tf, tmp_path, plant):
    place = tmp_path / "planted"
    folder = export_v1(tf, tmp_path / "folder", lambda image, result: plant(tf, place, result))
    for left in tmp_path.glob("planted*"):  # making the graph may have run it
        left.unlink()
    with pytest.raises(UnsafeModelError, match=r"(SaveV2|RestoreV2): .*--allow-code"):
        load_model(folder)
    assert not list(tmp_path.glob("planted*"))


def test_savers_nothing_runs_are_harmless(tf, tmp_path):
    """A graph that was trained holds the saver of its training beside the one of its export."""

    def with_two_savers(image, result):
        tf.compat.v1.train.Saver()
        return {}

    assert load_model(export_v1(tf, tmp_path / "folder", with_two_savers)).outputs == 3


def test_functions_called_by_their_names(tf, tmp_path):
    """TensorFlow 1 calls a function by a node whose operation is the function's name."""

    def with_defun(image, result):
        from tensorflow.python.framework import function

        @function.Defun(tf.float32)
        def double(value):
            return value * 2.0

        doubled = double(result)
        doubled.set_shape((None, 3))
        return {"scores": doubled}

    assert load_model(export_v1(tf, tmp_path / "folder", with_defun)).outputs == 3


def layers_of(k: Any) -> list[Any]:
    """Layers of images, their preprocessing and augmentation, and of sequences: those whose graphs hold unusual operations."""
    return [
        k.RandomFlip(), k.RandomRotation(0.1), k.RandomZoom(0.1), k.RandomContrast(0.1), k.RandomTranslation(0.1, 0.1),
        k.Resizing(16, 16), k.Rescaling(1 / 255.0), k.CenterCrop(12, 12), k.SeparableConv2D(8, 3), k.BatchNormalization(),
        k.GroupNormalization(4), k.SpatialDropout2D(0.1), k.Conv2DTranspose(4, 3), k.UpSampling2D(), k.DepthwiseConv2D(3),
        k.GaussianNoise(0.1), k.LayerNormalization(), k.Reshape((-1, 4)), k.LSTM(4, return_sequences=True),
        k.Bidirectional(k.GRU(3)), k.Dropout(0.2), k.Dense(4), k.PReLU(), k.Dense(3), k.Softmax(),
    ]  # fmt: skip


def test_no_finding_in_a_sweep_of_layers(framework, tmp_path):
    model = framework.Sequential([framework.Input((20, 20, 3)), *layers_of(framework.layers)])
    if framework.__name__ == "keras":
        model.export(str(tmp_path / "folder"), verbose=False)
    else:
        model.compile("adam", "categorical_crossentropy")
        model.save(str(tmp_path / "folder"))
    assert scan_saved_model(parsed(tmp_path / "folder")) == []


def parsed(folder: Path) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())


def test_what_training_alone_calls_is_no_reason_to_refuse(tf, tmp_path):
    """Normalization.adapt leaves a function in the folder that takes its images from an iterator, as in every AutoKeras model."""
    import tf_keras

    layers = tf_keras.layers
    normalization = layers.Normalization()
    normalization.adapt(np.arange(60, dtype=np.float32).reshape(5, 2, 2, 3))
    inputs = tf_keras.Input((2, 2, 3))
    model = tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(normalization(inputs))))
    model.save(tmp_path / "m", save_format="tf")
    assert b"IteratorGetNext" in (tmp_path / "m" / "saved_model.pb").read_bytes()
    image = np.ones((1, 2, 2, 3), np.float32)
    np.testing.assert_allclose(load_model(tmp_path / "m").predict(image), model(image), atol=1e-6)


def test_such_a_function_is_refused_where_the_model_calls_it(tf, tmp_path):
    @tf.function(input_signature=[tf.TensorSpec(SHAPE, tf.float32)])
    def adapt(image):
        with tf.control_dependencies([save_checkpoint(tf, tmp_path / "written")]):
            return scores(tf, image)

    module = tf.Module()
    module._adapt_function = adapt
    module.serve = tf.function(lambda image: adapt(image) * 1.0, input_signature=[tf.TensorSpec(SHAPE, tf.float32, name="image")])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"serving_default": module.serve})
    with pytest.raises(UnsafeModelError, match="SaveV2"):
        load_model(tmp_path / "m")


def test_such_a_function_is_refused_where_loading_runs_it(tf, tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2

    module = tf.Module()
    module.serve = tf.function(lambda image: scores(tf, image), input_signature=[tf.TensorSpec(SHAPE, tf.float32, name="image")])

    @tf.function(input_signature=[])
    def adapt():
        save_checkpoint(tf, tmp_path / "written")

    module._adapt_function = adapt
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"serving_default": module.serve})
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((tmp_path / "m" / "saved_model.pb").read_bytes())
    assert not scan_saved_model(saved)
    nodes = saved.meta_graphs[0].object_graph_def.nodes
    numbers = {child.local_name: child.node_id for child in nodes[0].children}
    nodes[0].saveable_objects["x"].restore_function = numbers["_adapt_function"]
    assert [finding.what.partition(":")[0] for finding in scan_saved_model(saved)] == ["SaveV2"]
