"""Does the ONNX int8 file answer as the TFLite int8 file does on this processor, and what does that cost?

Its weights are uint8, but for depthwise kernels. Beside it runs the same file with all weights int8: on x86 without VNNI onnxruntime's
products of uint8 and int8 saturate, on others they are exact and may be faster. Winners and scores are compared with TFLite's on every
image; both ONNX files take turns, one thread, one image at a time, and a ratio is that of the medians.

Models of others on real images, looked for in ../shared beside the clone, quantized after training and, with `--qat`, after an epoch of
quantization-aware training; MobileNetV1-0.25 has 1,000 classes and its photos five, so that it learns the winners of its own float file.

    python benchmarks/onnx_int8_answers.py [--models fashion,resnet,mobilenet] [--qat] [--seconds 10]
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edgecls.crew.environment import environment
from edgecls.data import open_images
from edgecls.records.recipe import QuantizationAwareTraining, Recipe, Training
from edgecls.runners import open_runner
from edgecls.workflow import CompressOptions, ConvertOptions, compress, convert
from onnx_int8_speed import SHARED, interleaved

CALIBRATION_IMAGES, TRAINED_IMAGES = 100, 2000


@dataclass(frozen=True)
class Case:
    """A model and its images in ../shared; without `labelled` they are not of its classes."""

    title: str
    model: str
    images: str
    preprocess: str
    labelled: bool = True


CASES = {
    "fashion": Case("Fashion-MNIST CNN", "zoo/fashion_cnn/fashion_mnist_model.h5", "data/fashion_mnist.npz", "0..1"),
    "resnet": Case("MLPerf Tiny ResNet-8", "zoo/mlperf_tiny/pretrainedResnet.h5", "data/cifar10.npz", "0..255"),
    "mobilenet": Case(
        "MobileNetV1-0.25",
        "zoo/imagenet_mobilenet_v1_025/mobilenet_v1_0.25_224.h5",
        "data/flowers",
        "-1..1",
        labelled=False,
    ),
}
COLUMNS = (
    "images",
    "tflite top-1",
    "onnx top-1",
    "same winner",
    "apart",
    "int8 weights: top-1",
    "same winner",
    "p50, onnx / int8 weights",
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(CASES))
    parser.add_argument("--qat", action="store_true")
    parser.add_argument("--seconds", type=float, default=10.0, help="of timing each model")
    arguments = parser.parse_args()
    here = environment()
    print(f"| {here.processor} ({', '.join(here.instruction_sets)}) | {' | '.join(COLUMNS)} |")
    print(f"| --- |{' --: |' * len(COLUMNS)}")
    for name in arguments.models.split(","):
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            trainings = [("after training", SHARED / case.model)]
            if arguments.qat:
                trainings.append(("QAT", _train(case, Path(folder))))
            for kind, model in trainings:
                print(f"| {case.title}, {kind} | {' | '.join(_row(case, model, Path(folder) / kind, arguments.seconds))} |")


def _row(case: Case, model: Path, out: Path, seconds: float) -> list[str]:
    variant = "qat" if (model / "variant.json").exists() else "base"
    manifest = convert(
        ConvertOptions(
            model,
            output=out,
            targets=("tflite", "onnx"),
            schemes="int8",
            calibration=None if variant == "qat" else SHARED / case.images,
            calibration_images=CALIBRATION_IMAGES,
            preprocess=None if variant == "qat" else case.preprocess,
            verify=False,
        )
    )
    role = "data" if case.labelled else "calibration"
    images = open_images(SHARED / case.images, manifest.image_spec, role=role, labels=manifest.labels)
    pixels, labels = np.concatenate(list(images.batches())), images.labels
    tflite, ours, signed = out / f"{variant}-tflite-int8.tflite", out / f"{variant}-onnx-int8.onnx", out / "signed.onnx"
    save_signed(ours, signed)
    scores = [open_runner(path, spec=manifest.image_spec).predict(pixels) for path in (tflite, ours, signed)]
    winners = [found.argmax(axis=1) for found in scores]
    top1 = [f"{np.mean(found == labels):.2%}" if labels is not None and case.labelled else "" for found in winners]
    same = [f"{np.mean(found == winners[0]):.2%}" for found in winners]
    ours_ms, signed_ms = interleaved([ours, signed], manifest.image_spec.apply(pixels[:1]), seconds, 1)
    apart = f"{np.abs(scores[1] - scores[0]).max():.1e}"
    return [f"{len(pixels):,}", top1[0], top1[1], same[1], apart, top1[2], same[2], f"{ours_ms / signed_ms:.2f}"]


def save_signed(source: Path, target: Path) -> None:
    """The same file with all weights int8: the codes and zero points of uint8 ones are 128 lower."""
    model = onnx.load(source)
    constants = {item.name: item for item in model.graph.initializer}
    for name, weights in list(constants.items()):
        if not name.endswith("/weights/codes") or weights.data_type != onnx.TensorProto.UINT8:
            continue
        for item in (weights, constants[name.removesuffix("codes") + "zero_point"]):
            codes = (numpy_helper.to_array(item).astype(np.int16) - 128).astype(np.int8)
            item.CopyFrom(numpy_helper.from_array(codes, item.name))
    onnx.save(model, target)


def _train(case: Case, folder: Path) -> Path:
    """The variant of one epoch of quantization-aware training."""
    data = SHARED / case.images if case.labelled else _own_winners(case, folder)
    recipe = Recipe(qat=QuantizationAwareTraining(), training=Training(epochs=1, limit=TRAINED_IMAGES))
    options = CompressOptions(SHARED / case.model, data, recipe, output=folder / "variants", preprocess=case.preprocess)
    compress(options)
    return folder / "variants" / "qat"


def _own_winners(case: Case, folder: Path) -> Path:
    """The photos with the classes that the float file gives them."""
    out = folder / "float"
    options = ConvertOptions(SHARED / case.model, output=out, targets=("tflite",), schemes="float32", preprocess=case.preprocess)
    manifest = convert(options)
    images = open_images(SHARED / case.images, manifest.image_spec, role="calibration", labels=manifest.labels)
    pixels = np.concatenate(list(images.batches()))
    winners = open_runner(out / "base-tflite-float32.tflite").predict(pixels).argmax(axis=1)
    np.savez(folder / "photos.npz", x_train=pixels, y_train=winners)
    return folder / "photos.npz"


if __name__ == "__main__":
    main()
