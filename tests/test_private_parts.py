"""Canaries: the parts of other libraries that are not theirs to promise, and that this package uses. When a release changes one, its test
says which, and the name of the file that has to follow."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "edgecls"


def _reach(path: str) -> Any:
    """What `module:name.of.it` names."""
    module, _, names = path.partition(":")
    found: Any = importlib.import_module(module)
    for name in names.split("."):
        found = getattr(found, name)
    return found


# library -> what is used of it -> the file that uses it
USED: dict[str, dict[str, str]] = {
    "tensorflow": {
        "tensorflow.python.framework.convert_to_constants:_replace_variables_by_constants": "models/freezing.py",
        "tensorflow.python.framework.convert_to_constants:_FunctionConverterDataInEager": "models/freezing.py",
        "tensorflow.python.framework.op_def_registry:get": "models/graph_scan.py",
        "tensorflow.core.protobuf.saved_model_pb2:SavedModel": "models/saved_model.py",
        "tensorflow.core.framework.variable_pb2:VariableDef": "models/graph_scan.py",
    },
    "tf_keras": {
        "tf_keras.src.backend:RandomGenerator._maybe_init": "training/loop.py",
        "tf_keras.src.applications.convnext:LayerScale": "models/keras_model.py",
        "tf_keras.src.applications.convnext:StochasticDepth": "models/keras_model.py",
        "tf_keras.src.saving.serialization_lib:SafeModeScope": "models/keras_model.py",
        "tf_keras.src.layers.core.tf_op_layer:TFOpLambda": "models/written_out.py",
        "tf_keras.src.utils.generic_utils:func_load": "models/lambda_names.py",
        "tf_keras:Model._flatten_layers": "models/keras_model.py",
    },
    "keras": {
        "keras:Model._flatten_layers": "models/keras_model.py",
        "keras:Layer._flatten_layers": "models/flat_base.py",
        "keras.src.models.functional:Functional": "models/keras_model.py",
        "keras.src.utils.python_utils:func_load": "models/lambda_names.py",
        "keras:Layer._open_name_scope": "models/layer_scopes.py",
        "keras.layers:EinsumDense._adjust_scale_for_dequant": "models/dequantize.py",
    },
    "tf2onnx": {
        "tf2onnx.optimizer:_get_optimizers": "converters/onnx/convert.py",
        "tf2onnx.optimizer:optimize_graph": "converters/onnx/convert.py",
        "tf2onnx.tfonnx:process_tf_graph": "converters/onnx/convert.py",
    },
    "coremltools": {
        "coremltools.converters.mil.frontend.tensorflow2.load:TF2Loader": "converters/coreml/program.py",
        "coremltools.converters.mil.frontend.milproto.load:load": "converters/coreml/program.py",
        "coremltools.converters.mil.backend.mil.load:load": "converters/coreml/program.py",
        "coremltools.converters.mil.backend.mil.load:CoreMLProtoExporter.get_func_output": "converters/coreml/program.py",
        "coremltools.converters.mil.frontend.tensorflow.tf_op_registry:_TF_OPS_REGISTRY": "converters/coreml/operations.py",
        "coremltools.converters.mil.mil:Block._propagate_nonreplaceable_vars": "converters/coreml/program.py",
        "coremltools.converters.mil.mil:Program.validate": "converters/coreml/program.py",
        "coremltools.optimize._utils:pack_elements_into_bits": "converters/coreml/weights.py",
        "coremltools.proto.MIL_pb2:Program": "formats/coreml/message.py",
    },
    "litert_quantizer": {
        "litert_quantizer.quantizer:Quantizer.quantize": "quantization/reduced.py",
        "litert_quantizer.recipe_manager:RecipeManager.add_quantization_config": "quantization/reduced.py",
        "litert_quantizer.qtyping:QuantGranularity.TENSORWISE": "quantization/reduced.py",
    },
    "ai_edge_litert": {
        "ai_edge_litert.interpreter:Interpreter._get_ops_details": "runners/tflite.py",
        "ai_edge_litert.schema_py_generated:ModelT.InitFromPackedBuf": "formats/tflite/graph.py",
    },
    "onnxruntime": {
        "onnxruntime.capi.onnxruntime_pybind11_state:InvalidGraph": "coreml_reference/engine.py",
        "onnxruntime.transformers.float16:convert_float_to_float16": "converters/onnx/convert.py",
    },
}


@pytest.mark.parametrize("library", USED)
def test_what_is_used_of_a_library_is_still_there(library: str):
    gone = {}
    for path, user in USED[library].items():
        try:
            _reach(path)
        except (ImportError, AttributeError) as error:
            gone[f"{path}, used in {user}"] = str(error)
    assert not gone


def test_the_files_that_use_them_are_there():
    users = {user for parts in USED.values() for user in parts.values()}
    assert [user for user in sorted(users) if not (SOURCE / user).is_file()] == []


def _small_model(keras: Any) -> Any:
    inputs = keras.Input((4, 4, 1))
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))


@pytest.mark.parametrize("generation", ["keras", "tf_keras"])
def test_models_tell_their_calls(generation: str):
    model = _small_model(importlib.import_module(generation))
    depths = model._nodes_by_depth
    assert sorted(depths) == [0, 1, 2]
    assert all(len(nodes) == 1 for nodes in depths.values())
    assert all(hasattr(tensor, "_keras_history") for tensor in (*model.inputs, *model.outputs))


def test_a_scope_of_keras_holds_the_one_of_tensorflow():
    from keras.src.backend.tensorflow.core import name_scope

    assert hasattr(name_scope("layer"), "_tf_name_scope")  # which models/layer_scopes.py replaces


def test_tf2onnx_has_the_passes_by_name():
    from edgecls.converters.onnx.convert import PASSES

    optimizers: Callable[[], dict[str, Any]] = _reach("tf2onnx.optimizer:_get_optimizers")
    assert set(PASSES) <= set(optimizers())
