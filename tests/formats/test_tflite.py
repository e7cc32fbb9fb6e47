"""What is read of .tflite files, held against LiteRT's own interpreter and against hand counts of the MLPerf Tiny ResNet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgecls.errors import ArtifactError
from edgecls.formats import FileDescription, describe
from edgecls.formats.tflite import flatbuffer
from edgecls.formats.tflite import schema as tflite_schema
from edgecls.formats.tflite.schema import Buffer, Model

# Kernels and biases of the ResNet: 9 convolutions (7 of 3 x 3, 2 of 1 x 1; BatchNorm folded) and a Dense
KERNELS = 3 * 9 * 16 + 2 * 16 * 9 * 16 + 16 * 9 * 32 + 32 * 9 * 32 + 16 * 32 + 32 * 9 * 64 + 64 * 9 * 64 + 32 * 64 + 64 * 10
BIASES = 3 * 16 + 3 * 32 + 3 * 64 + 10


@pytest.fixture(scope="module")
def described(foreign_tflite: dict[str, Path]) -> dict[str, FileDescription]:
    return {scheme: describe(path) for scheme, path in foreign_tflite.items()}


@pytest.mark.parametrize("scheme", ["float32", "float16", "dynamic", "int8", "int8-io", "behind"])
def test_border_and_operations_are_those_of_the_interpreter(foreign_tflite: dict[str, Path], scheme: str) -> None:
    from ai_edge_litert.interpreter import OpResolverType

    described = describe(foreign_tflite[scheme])
    interpreter = Interpreter(
        str(foreign_tflite[scheme]), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    for ours, theirs in (
        (described.inputs, interpreter.get_input_details()),
        (described.outputs, interpreter.get_output_details()),
    ):
        assert [(info.name, info.shape, info.dtype) for info in ours] == [
            (detail["name"], detail["shape"].tolist(), np.dtype(detail["dtype"]).name) for detail in theirs
        ]
    names = [operation["op_name"] for operation in interpreter._get_ops_details()]
    assert described.actual.operations == {name: names.count(name) for name in names}
    assert described.size_bytes == foreign_tflite[scheme].stat().st_size


def test_weights_are_counted_by_the_dtype_they_are_stored_in(described: dict[str, FileDescription]) -> None:
    counted = {scheme: description.actual.weight_dtypes for scheme, description in described.items()}
    assert counted["float32"] == {"float32": KERNELS + BIASES}
    assert counted["float16"] == {"float16": KERNELS + BIASES}
    assert counted["int8"] == counted["int8-io"] == {"int8": KERNELS, "int32": BIASES}
    for scheme in ("dynamic", "behind"):
        assert set(counted[scheme]) == {"int8", "float32"}
        assert sum(counted[scheme].values()) == KERNELS + BIASES
        assert counted[scheme]["int8"] > 0.9 * KERNELS


def test_activations_between_operations(described: dict[str, FileDescription]) -> None:
    for scheme in ("float32", "float16", "dynamic", "behind"):
        assert set(described[scheme].actual.activation_dtypes) == {"float32"}
    assert set(described["int8"].actual.activation_dtypes) == {"int8"}
    assert described["int8"].actual.input_dtype == described["int8"].actual.output_dtype == "float32"
    assert described["int8-io"].actual.input_dtype == described["int8-io"].actual.output_dtype == "int8"


def test_only_what_stayed_float_is_said_to(described: dict[str, FileDescription]) -> None:
    for scheme in ("float32", "float16", "int8", "int8-io"):
        assert described[scheme].actual.stayed_float == []
    left = described["dynamic"].actual.stayed_float  # TFLiteConverter leaves kernels of fewer than 1,024 elements in float
    assert {layer.name for layer in described["dynamic"].layers if layer.dtype == "float32"} == {item.name for item in left}
    assert 0 < len(left) < len(described["dynamic"].layers)


def test_an_operation_left_in_float_within_int8_is_named(foreign_tflite: dict[str, Path], tmp_path: Path) -> None:
    from litert_quantizer import qtyping, quantizer, recipe_manager

    from edgecls.converters.tflite.metadata import add_signature

    manager = recipe_manager.RecipeManager()
    names = qtyping.TFLOperationName
    manager.add_static_config(regex=".*", operation_name=names.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    for operation in (names.SOFTMAX, names.INPUT, names.OUTPUT):
        manager.add_quantization_config(".*", operation, algorithm_key=recipe_manager.AlgorithmName.NO_QUANTIZE)
    model = add_signature(foreign_tflite["float32"].read_bytes())
    tool = quantizer.Quantizer(model, manager.get_quantization_recipe())
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    result = tool.quantize(tool.calibrate({"serving_default": [{"image": image}]}))
    path = tmp_path / "mixed.tflite"
    path.write_bytes(result.quantized_model or b"")
    actual = describe(path).actual
    assert [item.operation for item in actual.stayed_float] == ["SOFTMAX"]
    assert "resolution" in actual.stayed_float[0].reason
    assert actual.weight_dtypes == {"int8": KERNELS, "int32": BIASES}


def test_layers_add_up(described: dict[str, FileDescription]) -> None:
    for description in described.values():
        assert len(description.layers) == 10  # 9 convolutions, 1 Dense
        assert {layer.operation for layer in description.layers} == {"CONV_2D", "FULLY_CONNECTED"}
        assert sum(layer.elements for layer in description.layers) == KERNELS + BIASES
    bytes_of = {scheme: sum(layer.size_bytes for layer in item.layers) for scheme, item in described.items()}
    assert bytes_of["float32"] == 4 * (KERNELS + BIASES)
    assert bytes_of["float16"] == 2 * (KERNELS + BIASES)
    assert bytes_of["int8"] == KERNELS + 4 * BIASES


def _with_zeroed_kernels(source: Path, target: Path, every: int) -> tuple[int, int]:
    """Write a copy whose kernels are zero at every n-th element; (zeros, elements) of all kernels."""
    data = bytearray(source.read_bytes())
    zeros = elements = 0
    for buffer in tflite_schema.open_model(data).tables(Model.BUFFERS):
        start, values = buffer.target(Buffer.DATA), buffer.array(Buffer.DATA, "u1")
        if start is None or values.size < 4 * 16 * 9 * 3:
            continue
        kernel = np.frombuffer(data, "<f4", values.size // 4, start + 4)
        kernel[::every] = 0
        zeros, elements = zeros + int(np.sum(kernel == 0)), elements + kernel.size
    target.write_bytes(data)
    return zeros, elements


def test_sparsity_is_the_share_of_zero_weights(foreign_tflite: dict[str, Path], tmp_path: Path) -> None:
    zeros, elements = _with_zeroed_kernels(foreign_tflite["float32"], tmp_path / "sparse.tflite", every=2)
    description = describe(tmp_path / "sparse.tflite")
    assert description.actual.sparsity == pytest.approx(zeros / elements, abs=1e-3)  # the Dense kernel, 640 elements, has none
    assert description.actual.sparsity > 0.45
    assert all(layer.sparsity >= 0.5 for layer in description.layers if layer.operation == "CONV_2D" and layer.elements > 2000)


def test_a_foreign_file_has_no_record(described: dict[str, FileDescription]) -> None:
    assert described["float32"].record is None


@pytest.mark.parametrize("scheme", ["float32", "int8", "behind"])
def test_no_damage_gets_through_as_anything_but_artifact_error(
    foreign_tflite: dict[str, Path], tmp_path: Path, scheme: str
) -> None:
    """Cut at random places and with bytes changed in the tables: read as before, or refused in one line."""
    sound = foreign_tflite[scheme].read_bytes()
    generator = np.random.default_rng(7)
    path = tmp_path / "damaged.tflite"
    refused = 0
    for trial in range(600):
        data = bytearray(sound)
        if trial % 3 == 0:
            data = data[: int(generator.integers(1, len(sound)))]
        for _ in range(int(generator.integers(0 if trial % 3 == 0 else 1, 9))):
            # three of four in the tables: the first bytes and everything that is not weights is what offsets are in
            where = generator.integers(0, len(data)) if generator.random() < 0.25 else generator.integers(0, min(len(data), 3000))
            data[int(where)] = int(generator.integers(0, 256))
        path.write_bytes(data)
        try:
            describe(path)
        except ArtifactError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 250


def test_every_cut_of_the_tables_is_refused(foreign_tflite: dict[str, Path], tmp_path: Path) -> None:
    sound = foreign_tflite["int8"].read_bytes()
    path = tmp_path / "cut.tflite"
    for length in {*range(1, 64), *range(64, len(sound), 997), len(sound) // 2}:
        path.write_bytes(sound[:length])
        with pytest.raises(ArtifactError):
            describe(path)


def test_a_length_of_four_billion_is_no_invitation_to_read_it() -> None:
    # root table at 12: index at 8 (two bytes of index length 6, object size 8, field 0 at 4), vector at 20
    numbers = [12, 0, 6 | 8 << 16, 4, 4, 0xFFFFFFFF, 0, 0]
    data = b"".join(number.to_bytes(4, "little") for number in numbers)
    table = flatbuffer.Table(data, 12)
    with pytest.raises(flatbuffer.DamagedError):
        table.array(0, "u1")
