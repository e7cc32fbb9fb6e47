"""Accuracy of real models on real images, through the whole flow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecls.converters import CalibrationImages, Conversion, plan_jobs
from edgecls.converters.hub import Hub
from edgecls.crew import BenchOptions
from edgecls.data import open_images
from edgecls.models import load_model
from edgecls.quantization.int8 import _run_tflite
from edgecls.records.metadata import ArtifactMetadata
from edgecls.workflow import BenchRequest, ConvertOptions, bench, convert
from zoo_models import MODELS, ZooModel

MEASURED = [model for model in MODELS if model.images in ("fashion_mnist.npz", "cifar10.npz") and model.images_are_its_own]
QUICK = BenchOptions(min_seconds=0.05, min_runs=5, least_rounds=1)


@pytest.mark.parametrize("model", MEASURED, ids=lambda model: model.id)
def test_float_has_the_sources_accuracy_and_int8_is_within_0_7_points(
    model: ZooModel, zoo: Path, shared_data: Path, tmp_path: Path
):
    data = model.data(shared_data)
    folder = tmp_path / "out"
    options = ConvertOptions(
        model=zoo / model.path,
        preprocess=model.preprocess,
        targets=("tflite", "onnx"),
        schemes="float32,int8",
        calibration=data,
        data=data,
        output=folder,
    )
    manifest = convert(options)
    report = bench(BenchRequest(folder=folder, options=QUICK))
    top1 = {row.artifact: row.accuracy.top1 for row in report.measurements if row.accuracy}

    archive = np.load(data)
    source = load_model(zoo / model.path)
    scores = source.predict(manifest.image_spec.apply(archive["x_test"]))
    expected = float((scores.argmax(1) == archive["y_test"].ravel()).mean())
    # An image whose two best scores differ by less than float rounding may go either way: allow one.
    one_image = 1 / len(scores) + 1e-12
    for target in ("tflite", "onnx"):
        assert top1[f"base-{target}-float32"] == pytest.approx(expected, abs=one_image)
        assert top1[f"base-{target}-int8"] >= expected - 0.007


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_int8_agrees_with_its_float_self_as_often_as_tflite_converters_own(
    model: ZooModel, zoo: Path, shared_data: Path, tmp_path: Path
):
    import tensorflow as tf

    loaded = load_model(zoo / model.path, weights=zoo / model.weights if model.weights else None)
    spec = loaded.image_spec.with_preprocess(model.preprocess)
    graph = loaded.freeze(tmp_path)
    calibration = open_images(model.data(shared_data), spec, role="calibration", limit=100)
    test = open_images(model.data(shared_data), spec, role="data", limit=600, seed=1)
    inputs = spec.apply(np.concatenate(list(test.batches())))

    record = ArtifactMetadata(
        name="base",
        image_spec=spec,
        labels=[str(index) for index in range(max(2, loaded.outputs))],
        outputs=loaded.outputs,
        output_kind=loaded.output_kind,
        source_sha256=loaded.source.sha256,
        edgecls_version="test",
    )
    ours_from = CalibrationImages(lambda: (spec.apply(pixels) for pixels in calibration.batches(8)))
    jobs = plan_jobs(["tflite"], "int8", calibrated=True)
    hub = Hub(Conversion(graph, record, jobs, tmp_path, ours_from))

    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(graph.path.read_bytes())
    imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([imported.prune(graph.input, graph.output)], imported)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([spec.apply(pixels)] for pixels in calibration.batches(1))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]

    winners = _run_tflite(hub.tflite, inputs, 2)[0].argmax(1)
    ours = (_run_tflite(hub.quantized.model, inputs, 2)[0].argmax(1) == winners).mean()
    theirs = (_run_tflite(converter.convert(), inputs, 2)[0].argmax(1) == winners).mean()
    # Where both are nearly perfect, which of them flips one more image is chance: its standard error, for two shares near p.
    p = (ours + theirs) / 2
    noise = (2 * p * (1 - p) / len(inputs)) ** 0.5
    assert ours >= theirs - noise, f"ours {ours:.4f}, TFLiteConverter {theirs:.4f}"
