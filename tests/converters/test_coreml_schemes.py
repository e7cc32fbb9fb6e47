"""Core ML's compressed weights: each scheme is read back as it was asked, and what must be exact is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.converters.coreml.convert import check_structure, convert_coreml
from edgecls.converters.coreml.weights import symmetric
from edgecls.errors import SchemeError
from edgecls.evaluation.examination import STORED_AS
from edgecls.formats import describe, file_sizes
from edgecls.formats.coreml.read import open_package
from edgecls.models import load_model
from edgecls.records.artifact import Actual, Scheme
from edgecls.records.frozen_graph import FrozenGraph
from edgecls.records.metadata import ArtifactMetadata
from edgecls.system.extras import require
from mil_program import run_package

FASHION = Path("fashion_cnn", "fashion_mnist_model.h5")
WEIGHTS = 93088  # of its five kernels
DENSE: tuple[Scheme, ...] = ("weight8", "weight4", "palette8", "palette6", "palette4", "palette2")
SPARSE: tuple[Scheme, ...] = ("sparse", "sparse-palette4", "sparse-weight8")
NEEDS_IOS18: tuple[Scheme, ...] = ("weight4", "sparse-palette4", "sparse-weight8")
Model = tuple[FrozenGraph, ArtifactMetadata]
Packages = dict[Scheme, Path]


def changed(source: Path, folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> Model:
    """A Keras model with other kernels, frozen."""
    keras: Any = require("keras")
    model = keras.models.load_model(source, compile=False)
    for layer in model.layers:
        layer.set_weights([change(weights) if weights.ndim > 1 else weights for weights in layer.get_weights()])
    model.save(folder / "changed.keras")
    return frozen(folder / "changed.keras", folder)


def frozen(path: Path, folder: Path) -> Model:
    model = load_model(path)
    record = ArtifactMetadata(
        name="model",
        image_spec=model.image_spec,
        labels=[f"class_{index}" for index in range(model.outputs)],
        outputs=model.outputs,
        output_kind=model.output_kind,
        source_sha256="0123456789abcdef" * 4,
        edgecls_version="0.1.0",
    )
    return model.freeze(folder), record


def pruned(weights: np.ndarray, share: float = 0.6) -> np.ndarray:
    return np.where(np.abs(weights) > np.quantile(np.abs(weights), share), weights, 0)


def clustered(weights: np.ndarray, count: int = 16) -> np.ndarray:
    """Values of few distinct sizes, which float16 holds exactly."""
    values = np.linspace(weights.min(), weights.max(), count).astype(np.float16)
    return values[np.abs(weights[..., None] - values).argmin(axis=-1)].astype(np.float32)


@pytest.fixture(scope="module")
def fashion(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return frozen(zoo / FASHION, tmp_path_factory.mktemp("fashion"))


@pytest.fixture(scope="module")
def dense(fashion: Model, tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return convert_coreml(*fashion, ["float16", *DENSE], tmp_path_factory.mktemp("dense"))


@pytest.fixture(scope="module")
def sparse(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Packages:
    folder = tmp_path_factory.mktemp("sparse")
    return convert_coreml(*changed(zoo / FASHION, folder, pruned), ["float16", *DENSE, *SPARSE], folder)


def kernels(package: Path) -> dict[str, np.ndarray]:
    """The kernels as Core ML computes with them, by the operation that takes them; unpacked by coremltools."""
    from coremltools.converters.mil.frontend.milproto.load import load

    opened = open_package(package)
    program = load(opened.spec, opened.spec.specificationVersion, str(opened.files.model.parent / "weights"))
    found = {}
    for operation in program.functions["main"].operations:
        if operation.op_type in ("conv", "linear"):
            made_by = operation.weight.op
            constexpr = made_by.op_type.startswith("constexpr_")
            found[operation.name] = made_by.materialized_val_inference() if constexpr else operation.weight.val
    return found


def actual(package: Path) -> Actual:
    return describe(package).actual


@pytest.mark.parametrize("scheme", DENSE)
def test_read_back_as_asked(scheme: Scheme, dense: Packages, fashion: Model) -> None:
    found = actual(dense[scheme])
    small = 288 if scheme == "palette8" else 0  # of the first kernel, for which a table of 256 is larger than float16
    assert found.weight_dtypes == {STORED_AS[scheme]: WEIGHTS - small, "float16": 234 + small}
    assert found.minimum_deployment_target == ("iOS18" if scheme in NEEDS_IOS18 else "iOS16")
    assert [item.reason for item in found.stayed_float] == (
        ["its weights are stored as float16: packing only 288 saves little or nothing"] if small else []
    )
    assert check_structure(dense[scheme], fashion[1]) == ""


@pytest.mark.parametrize("scheme", SPARSE)
def test_sparse_kernels_are_read_back_as_asked(scheme: Scheme, sparse: Packages, fashion: Model) -> None:
    found = actual(sparse[scheme])
    assert found.weight_dtypes == {STORED_AS[scheme]: WEIGHTS, "float16": 234}
    assert found.minimum_deployment_target == ("iOS18" if scheme in NEEDS_IOS18 else "iOS16")
    assert found.sparsity == pytest.approx(0.6, abs=1e-3)  # quantiles of kernels of 288 weights and more
    assert found.stayed_float == []


def test_smaller_with_fewer_bits(dense: Packages, sparse: Packages) -> None:
    def sizes(packages: Packages, *schemes: Scheme) -> list[int]:
        return [file_sizes(packages[scheme])[0] for scheme in schemes]

    for ordered in (
        sizes(dense, "palette2", "palette4", "palette6", "weight8", "float16"),
        sizes(dense, "palette4", "weight4", "palette8", "float16"),
        sizes(sparse, "sparse-palette4", "sparse-weight8", "sparse", "float16"),
        sizes(sparse, "sparse-palette4", "palette4"),
    ):
        assert ordered == sorted(ordered), ordered
    # 4 bits a weight instead of 16, a header of 128 bytes for each of a few constants, and the program itself
    program = (dense["float16"] / "Data/com.apple.CoreML/model.mlmodel").stat().st_size
    assert sizes(dense, "palette4")[0] < WEIGHTS / 2 + program * 1.3 + 20 * 128


def test_no_scheme_brings_a_pruned_weight_back(sparse: Packages) -> None:
    source = kernels(sparse["float16"])
    for scheme in (*DENSE, *SPARSE):
        for name, values in kernels(sparse[scheme]).items():
            assert not values[source[name] == 0].any(), (scheme, name)


def test_sparse_changes_no_weight(sparse: Packages) -> None:
    source = kernels(sparse["float16"])
    for name, values in kernels(sparse["sparse"]).items():
        assert values.dtype == np.float16
        assert np.array_equal(values, source[name]), name


def test_clustered_weights_keep_their_values(zoo: Path, tmp_path: Path) -> None:
    packages = convert_coreml(*changed(zoo / FASHION, tmp_path, clustered), ["float16", "palette4", "palette6"], tmp_path)
    source = kernels(packages["float16"])
    assert all(len(np.unique(values)) <= 16 for values in source.values())
    for scheme in ("palette4", "palette6"):
        for name, values in kernels(packages[scheme]).items():
            assert np.array_equal(values, source[name]), (scheme, name)


def test_sparse_is_refused_for_a_model_that_was_not_pruned(fashion: Model, tmp_path: Path) -> None:
    with pytest.raises(SchemeError, match=r"at least 20% of its weights exactly zero, found 0\.0%"):
        convert_coreml(*fashion, ["sparse", "palette4", "float16"], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [  # the others are there
        "model-coreml-float16.mlpackage",
        "model-coreml-palette4.mlpackage",
    ]


def test_groups_of_channels_have_tables_of_their_own_from_ios_18_on(fashion: Model, dense: Packages, tmp_path: Path) -> None:
    grouped = convert_coreml(*fashion, ["palette4", "palette2"], tmp_path, minimum_deployment_target="iOS18")
    source = [values.astype(np.float64) for values in kernels(dense["float16"]).values()]

    def error(package: Path) -> float:  # in the order of the operations: their names count what the process converted before
        return sum(float(np.square(pair[0] - pair[1]).sum()) for pair in zip(kernels(package).values(), source, strict=True))

    for scheme in ("palette4", "palette2"):
        found = actual(grouped[scheme])
        assert found.minimum_deployment_target == "iOS18"
        assert found.weight_dtypes[scheme] == WEIGHTS
        assert error(grouped[scheme]) < error(dense[scheme])  # a table for a part is at least as good as one for all
        assert file_sizes(grouped[scheme])[0] < 1.1 * file_sizes(dense[scheme])[0]


@pytest.mark.parametrize(("bits", "block"), [(8, (1, 24, 3, 3)), (4, (1, 8, 3, 3))])
def test_integers_are_within_half_a_step(bits: int, block: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).standard_normal((16, 24, 3, 3)).astype(np.float16)
    values[3] = 0
    affine = symmetric(values, bits, block)
    scale = np.repeat(affine.scale.astype(np.float64), block[1], axis=1)
    assert affine.scale.shape == (16, 24 // block[1], 1, 1)
    highest = 2 ** (bits - 1) - 1
    assert np.abs(affine.codes).max() == highest
    # half a step, and for the largest weight of a block what rounding its scale to float16 (2^-11) takes off
    assert (np.abs(affine.codes * scale - values) <= scale * (0.5 + highest * 2**-11)).all()


REAL = [pytest.param("mlperf_tiny/pretrainedResnet.h5", marks=pytest.mark.slow), "mnist_tensorspace/mnist.h5"]


@pytest.mark.parametrize("name", REAL)
def test_real_models_keep_their_scores(name: str, zoo: Path, tmp_path: Path) -> None:
    """A table of 256 values rounds a weight by -40 dB or less a layer; eight layers and a softmax of noise images make 20 dB of it.
    Indices in another order, or tables swapped, leave less than 3 dB."""
    graph, record = frozen(zoo / name, tmp_path)
    packages = convert_coreml(graph, record, ["float16", "palette8"], tmp_path)
    spec = record.image_spec
    pixels = np.random.default_rng(0).integers(0, 256, (2, spec.height, spec.width, spec.channels)).astype(np.uint8)
    expected = run_package(packages["float16"], pixels)
    scores = run_package(packages["palette8"], pixels)
    assert 10 * np.log10(np.square(expected).sum() / np.square(scores - expected).sum()) > 15
    assert check_structure(packages["palette8"], record) == ""
