"""The Core ML runner. It runs on macOS alone; elsewhere a stand-in takes the place of coremltools' `MLModel` and computes the
package by `mil_program`, so that what surrounds the engine is tested on every platform."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgecls.converters.coreml.convert import convert_coreml
from edgecls.errors import ArtifactError
from edgecls.formats.coreml.read import class_labels, open_package
from edgecls.models import load_model
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from edgecls.runners import coreml, open_runner
from mil_program import run_package


@pytest.fixture(scope="module")
def fashion(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A real model and its package."""
    folder = tmp_path_factory.mktemp("fashion")
    model = load_model(zoo / "fashion_cnn" / "fashion_mnist_model.h5")
    record = ArtifactMetadata(
        name="fashion",
        image_spec=model.image_spec,
        labels=[f"class_{index}" for index in range(10)],
        outputs=10,
        output_kind="softmax",
        source_sha256="0" * 64,
        edgecls_version="0.1.0",
    )
    return model, convert_coreml(model.freeze(folder), record, ["float32"], folder)["float32"]


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML exists here")
def test_elsewhere_the_reference_computes_it(fashion: tuple[Any, Path]) -> None:
    model, path = fashion
    runner = open_runner(path)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1)).astype(np.uint8)
    # scores of a softmax up to 1 by another order of float32 sums: some tens of roundings of 6e-8
    np.testing.assert_allclose(runner.predict(pixels), model.predict(model.image_spec.apply(pixels)), atol=1e-5)
    assert (runner.outputs, runner.output_kind, runner.spec) == (10, "softmax", model.image_spec)
    assert runner.stand_in == "the Core ML reference"


@pytest.fixture
def macos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend to be on macOS with a Core ML that answers as MLModel.predict does."""

    class Model:
        def __init__(self, path: str) -> None:
            self.path, self.__proxy__ = Path(path), object()

        def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
            (image,) = inputs.values()
            pixels = np.asarray(image)
            pixels = pixels[..., None] if pixels.ndim == 2 else pixels
            scores = run_package(self.path, pixels[None] if pixels.ndim == 3 else pixels)[0]
            labels = class_labels(open_package(self.path))
            answer = dict(sorted(zip(labels, scores.tolist(), strict=True), key=lambda item: item[1]))  # in no useful order
            return {"classLabel": max(answer, key=lambda label: answer[label]), "scores": answer}

    monkeypatch.setattr(coreml.sys, "platform", "darwin")
    monkeypatch.setattr(coreml, "require", lambda *_: SimpleNamespace(models=SimpleNamespace(MLModel=Model)))


@pytest.mark.skipif(sys.platform == "darwin", reason="no need to pretend")
@pytest.mark.usefixtures("macos")
def test_scores_in_the_order_of_the_classes(fashion: tuple[Any, Path]) -> None:
    model, path = fashion
    runner = open_runner(path)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1)).astype(np.uint8)
    np.testing.assert_allclose(runner.predict(pixels), model.predict(model.image_spec.apply(pixels)), atol=1e-5)
    assert (runner.outputs, runner.output_kind, runner.spec) == (10, "softmax", model.image_spec)
    runner.prepare(pixels[:1])
    assert set(runner.invoke()) == {"classLabel", "scores"}  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform == "darwin", reason="no need to pretend")
@pytest.mark.usefixtures("macos")
@pytest.mark.parametrize("kind", ["sigmoid", "logits"])
def test_two_classes_become_the_single_output_again(kind: Any, tmp_path: Path) -> None:
    from edgecls.records.frozen_graph import FrozenGraph
    from edgecls.system.extras import require

    tf: Any = require("tensorflow")
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, 4, 4, 2), name="image")
        value = tf.reshape(tf.reduce_mean(image, axis=(1, 2, 3)), (1, 1)) * 30 - 15
        tf.identity(tf.sigmoid(value) if kind == "sigmoid" else value, name="scores")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    spec = ImageSpec(height=4, width=4, channels=2, color_order="OTHER", std=(255,))
    record = ArtifactMetadata(
        name="one", image_spec=spec, labels=["no", "yes"], outputs=1, output_kind=kind, source_sha256="0", edgecls_version="0.1.0"
    )
    frozen = FrozenGraph(tmp_path / "graph.pb", "image:0", "scores:0", (1, 4, 4, 2), 1)
    runner = open_runner(convert_coreml(frozen, record, ["float32"], tmp_path)["float32"])
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 2)).astype(np.uint8)
    values = spec.apply(pixels).mean(axis=(1, 2, 3))[:, None] * 30 - 15
    expected = 1 / (1 + np.exp(-values)) if kind == "sigmoid" else values
    # logits of a few units by way of float32 probabilities: relative 2^-24 of each, near 1 that is 1e-6 of a logit
    np.testing.assert_allclose(runner.predict(pixels), expected, atol=1e-5)


@pytest.mark.usefixtures("macos")
@pytest.mark.skipif(sys.platform == "darwin", reason="no need to pretend")
def test_damaged_packages_are_refused_before_core_ml_sees_them(fashion: tuple[Any, Path], tmp_path: Path) -> None:
    import shutil

    path = Path(shutil.copytree(fashion[1], tmp_path / "copy.mlpackage"))
    shutil.rmtree(path / "Data" / "com.apple.CoreML" / "weights")
    with pytest.raises(ArtifactError, match=r"weight\.bin is missing"):
        open_runner(path)
