"""What is read from .mlpackage folders: edgecls's own, other tools', damaged and hostile ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from damaged_packages import DAMAGE, MODEL, WEIGHTS
from edgecls.converters.coreml.convert import convert_coreml
from edgecls.errors import ArtifactError
from edgecls.formats import describe, read_record
from edgecls.formats.coreml.labels import unique_labels
from edgecls.formats.coreml.read import describe_mlpackage, open_package
from edgecls.models import load_model
from edgecls.records.metadata import ArtifactMetadata
from edgecls.system.extras import require


@pytest.fixture(scope="module")
def record() -> ArtifactMetadata:
    from edgecls.records.image_spec import ImageSpec

    return ArtifactMetadata(
        name="fashion",
        image_spec=ImageSpec(height=28, width=28, channels=1, color_order="GRAY", std=(255.0,)),
        labels=["shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"],
        outputs=10,
        output_kind="softmax",
        source_sha256="0" * 64,
        edgecls_version="0.1.0",
    )


@pytest.fixture(scope="module")
def own(zoo: Path, record: ArtifactMetadata, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Path]:
    """scheme -> package of the fashion CNN."""
    folder = tmp_path_factory.mktemp("own")
    graph = load_model(zoo / "fashion_cnn" / "fashion_mnist_model.h5").freeze(folder)
    return convert_coreml(graph, record, ["float32", "float16", "weight8"], folder)


@pytest.fixture
def package(own: dict[Any, Path], tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(own["weight8"], tmp_path / "copy.mlpackage"))


def test_everything_about_a_package(own: dict[Any, Path], record: ArtifactMetadata) -> None:
    found = describe(own["float16"])
    assert found.format == "Core ML ML program, specification 6"
    assert [(item.name, item.shape, item.dtype) for item in (*found.inputs, *found.outputs)] == [
        ("image", [1, 28, 28, 1], "uint8"),
        ("classLabel", [], "string"),
        ("scores", [10], "float32"),
    ]
    assert found.record == record == read_record(own["float16"])
    assert found.actual.operations["conv"] == 3
    assert (found.actual.input_dtype, found.actual.output_dtype) == ("uint8", "float32")
    assert found.actual.minimum_deployment_target == "iOS15"
    assert found.metadata["labels"].startswith("shirt, trouser, pullover, dress, coat, sandal, shirt (2), sneaker")
    assert found.metadata["color_layout"] == "GRAY"
    assert found.size_bytes == sum(path.stat().st_size for path in own["float16"].rglob("*") if path.is_file())


def test_weights_are_counted_and_the_preprocessing_is_not(own: dict[Any, Path], zoo: Path) -> None:
    parameters = load_model(zoo / "fashion_cnn" / "fashion_mnist_model.h5").model.count_params()
    described = {scheme: describe(path) for scheme, path in own.items()}
    assert described["float32"].actual.weight_dtypes == {"float32": parameters}
    assert described["float16"].actual.weight_dtypes == {"float16": parameters}
    eight = described["weight8"]
    assert sum(eight.actual.weight_dtypes.values()) == parameters
    assert set(eight.actual.weight_dtypes) == {"float16", "int8"}
    assert [(layer.operation, layer.dtype) for layer in eight.layers] == [
        ("conv", "int8"),
        ("conv", "int8"),
        ("conv", "int8"),
        ("linear", "int8"),
        ("linear", "int8"),
    ]
    assert sum(layer.elements for layer in eight.layers) == parameters
    assert eight.actual.stayed_float == []
    assert described["float32"].actual.activation_dtypes.keys() == {"float32"}
    assert described["float16"].actual.activation_dtypes["float16"] > 10


def test_sparsity_is_counted(own: dict[Any, Path], tmp_path: Path) -> None:
    path = Path(shutil.copytree(own["float32"], tmp_path / "sparse.mlpackage"))
    data = bytearray((path / WEIGHTS).read_bytes())
    kernels = [weight for weight in open_package(path).constants.values() if weight.rank > 1]
    largest = max(kernels, key=lambda weight: weight.elements)
    assert largest.values is not None
    start = data.index(largest.values.tobytes())
    data[start : start + largest.size_bytes // 2] = bytes(largest.size_bytes // 2)
    (path / WEIGHTS).write_bytes(bytes(data))
    expected = largest.elements // 2 / sum(kernel.elements for kernel in kernels)
    assert describe(path).actual.sparsity == pytest.approx(expected, abs=1e-6)  # up to a weight that was zero before


def run_python(script: str) -> str:
    run = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_described_without_tensorflow(own: dict[Any, Path]) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom edgecls.formats import describe\n"
        f"print(describe(Path({str(own['weight8'])!r})).actual.weight_dtypes)\n"
        "assert not {'tensorflow', 'coremltools'} & set(sys.modules)\n"
    )
    assert "int8" in run_python(script)


@pytest.mark.slow
def test_coremltools_can_be_imported_behind_a_description(own: dict[Any, Path]) -> None:
    path = str(own["weight8"])
    script = (
        f"from pathlib import Path\nfrom edgecls.formats import describe\nbefore = describe(Path({path!r}))\n"
        f"import coremltools\nassert coremltools.utils.load_spec({path!r}).specificationVersion == 7\n"
        f"assert describe(Path({path!r})) == before\n"
    )
    run_python(script)


# packages of other tools


@pytest.fixture(scope="module")
def foreign(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Made by coremltools' documented calls of a real Keras model."""
    tf: Any = require("tensorflow")
    ct: Any = require("coremltools")
    tf_keras: Any = require("tf_keras")
    folder = tmp_path_factory.mktemp("foreign")
    model = tf_keras.models.load_model(zoo / "mlperf_tiny" / "pretrainedResnet.h5", compile=False)
    function = tf.function(lambda image: model(image, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((1, 32, 32, 3), tf.float32, name="image"))
    network = ct.convert([concrete], source="tensorflow", convert_to="neuralnetwork", skip_model_load=True)
    package = folder / "network.mlpackage"
    ct.models.MLModel(network.get_spec(), skip_model_load=True).save(str(folder / "network.mlmodel"))
    _as_package(folder / "network.mlmodel", package)
    target = ct.target.iOS18
    program = ct.convert([concrete], source="tensorflow", convert_to="mlprogram", minimum_deployment_target=target)
    program.save(str(folder / "program.mlpackage"))
    optimize = ct.optimize.coreml
    palettes = optimize.OptimizationConfig(global_config=optimize.OpPalettizerConfig(mode="uniform", nbits=4))
    optimize.palettize_weights(program, palettes).save(str(folder / "palettized.mlpackage"))
    pruned = optimize.OptimizationConfig(global_config=optimize.OpMagnitudePrunerConfig(target_sparsity=0.75))
    optimize.prune_weights(program, pruned).save(str(folder / "pruned.mlpackage"))
    return {path.stem: path for path in folder.glob("*.mlpackage")}


def _as_package(model: Path, package: Path) -> None:
    (package / MODEL.parent).mkdir(parents=True)
    shutil.copy(model, package / MODEL)
    entry = {"author": "com.apple.CoreML", "description": "", "name": "model.mlmodel", "path": "com.apple.CoreML/model.mlmodel"}
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": {"1": entry}, "rootModelIdentifier": "1"}
    (package / "Manifest.json").write_text(json.dumps(manifest))


def test_a_foreign_program(foreign: dict[str, Path]) -> None:
    found = describe(foreign["program"])
    assert found.record is None
    assert [(item.name, item.shape, item.dtype) for item in found.inputs] == [("image", [1, 32, 32, 3], "float16")]
    assert [(item.shape, item.dtype) for item in found.outputs] == [([1, 10], "float16")]
    assert found.actual.minimum_deployment_target == "iOS18"
    assert found.actual.stayed_float == []


def test_palettized_and_sparse_weights(foreign: dict[str, Path]) -> None:
    plain, palettized, pruned = (describe(foreign[name]).actual for name in ("program", "palettized", "pruned"))
    weights = sum(plain.weight_dtypes.values())
    assert palettized.weight_dtypes["palette4"] > 0.9 * weights
    assert sum(palettized.weight_dtypes.values()) == sum(pruned.weight_dtypes.values()) == weights
    assert pruned.weight_dtypes["sparse-float16"] > 0.9 * weights
    assert pruned.sparsity > 0.7  # three quarters of each kernel that was large enough


def test_a_neural_network_is_named(foreign: dict[str, Path]) -> None:
    with pytest.raises(ArtifactError, match=r"holds an ML program, found .*a neural network, .*; convert the source model anew"):
        describe(foreign["network"])


# damaged and hostile packages


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_packages_are_told_in_one_line(name: str, package: Path) -> None:
    damage, says = DAMAGE[name]
    (package.parent / "secret.txt").write_text("not to be read")
    damage(package)
    with pytest.raises(ArtifactError) as caught:
        describe_mlpackage(package)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_random_damage_is_an_error_or_a_description_and_nothing_else(package: Path) -> None:
    """Bytes of the model message changed at random: no other exception, no endless loop, no allocation of what a length says."""
    whole = (package / MODEL).read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        for position in generator.integers(0, len(data), generator.integers(1, 6)):
            data[position] = generator.integers(0, 256)
        (package / MODEL).write_bytes(bytes(data))
        try:
            describe_mlpackage(package)
        except ArtifactError:
            refused += 1
    assert refused > 100


def test_unique_labels() -> None:
    assert unique_labels(["a", "b"]) == ["a", "b"]
    assert unique_labels(["a", "a", "a"]) == ["a", "a (2)", "a (3)"]
    assert unique_labels(["a", "a", "a (2)"]) == ["a", "a (3)", "a (2)"]  # what is unique stays
    assert unique_labels(["a (2)", "a", "a", "a (2)"]) == ["a (2)", "a", "a (3)", "a (2) (2)"]
    assert unique_labels(["", ""]) == ["", " (2)"]
