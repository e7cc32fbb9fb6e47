"""What does int8 without training cost? The zoo's models beside TFLiteConverter's full int8 and litert-quantizer's own calibration.

All three get the same calibration images and none of those that measure. The models and images are looked for in ../shared beside the
clone. About twenty minutes on two cores; each line is printed as it is measured.

    python benchmarks/int8_accuracy.py [--images 100] [--only NAME …]
    python benchmarks/int8_accuracy.py --ours --images 16 32 100 500     # only ours, for several numbers of calibration images
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from edgecls.converters.onnx.convert import float_onnx
from edgecls.converters.tflite.convert import float_tflite
from edgecls.converters.tflite.metadata import add_signature
from edgecls.data import open_images
from edgecls.evaluation.statistics import mcnemar_p
from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.quantization.int8 import quantize
from edgecls.records.frozen_graph import FrozenGraph
from edgecls.records.image_spec import ImageSpec
from edgecls.system.extras import quiet_frameworks
from edgecls.workflow import ConvertOptions
from edgecls.workflow.opening import open_model

SHARED = Path(__file__).resolve().parents[2] / "shared"
BATCH, MOST_MEASURED, THREADS = 4, 1000, 2


@dataclass(frozen=True)
class Subject:
    """A model of the zoo, how pixels enter it, its images, and whether their labels are its classes."""

    path: str
    preprocess: str
    images: str
    labelled: bool = False


SUBJECTS = {
    "MobileNetV1 0.25, ImageNet": Subject("imagenet_mobilenet_v1_025/mobilenet_v1_0.25_224.h5", "-1..1", "flowers"),
    "ResNet-8, CIFAR-10": Subject("mlperf_tiny/pretrainedResnet.h5", "0..255", "cifar10.npz", labelled=True),
    "MobileNetV1 0.25, person or none": Subject("mlperf_tiny/vww_96.h5", "0..1", "flowers"),
    "Teachable Machine, MobileNetV2 0.35": Subject("teachable_machine_water/keras_model.h5", "-1..1", "flowers"),
    "CNN, Fashion-MNIST": Subject("fashion_cnn/fashion_mnist_model.h5", "0..1", "fashion_mnist.npz", labelled=True),
    "mini-Xception, faces": Subject("face_xception/fer2013_mini_XCEPTION.102-0.66.hdf5", "-1..1", "flowers"),
    "big Xception, faces": Subject("face_xception/fer2013_big_XCEPTION.54-0.66.hdf5", "-1..1", "flowers"),
    "CNN, five flowers": Subject("flowers_grey30/flowers.h5", "0..1", "flowers"),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, nargs="+", default=[100])
    parser.add_argument("--only", nargs="+", default=list(SUBJECTS))
    parser.add_argument("--ours", action="store_true")
    asked = parser.parse_args()
    print(
        "| model, images that measured | calibration images | file | same winner as float | top-1 | SNR, dB | p against ours | made by |"
    )
    print("| --- | --: | --- | --: | --: | --: | --: | --- |")
    for name in asked.only:
        measure(name, SUBJECTS[name], asked.images, ours_alone=asked.ours)


def measure(name: str, subject: Subject, counts: list[int], *, ours_alone: bool) -> None:
    """Print the lines of one model."""
    with tempfile.TemporaryDirectory() as folder:
        opened = open_model(ConvertOptions(SHARED / "zoo" / subject.path, preprocess=subject.preprocess), None)
        frozen = opened.model.freeze(Path(folder))
        graph = TFLiteGraph(add_signature(float_tflite(frozen)))
        onnx = float_onnx(graph)
        pixels, labels = images_of(subject, opened.spec)
        test = slice(max(counts), max(counts) + MOST_MEASURED)
        inputs, truth = opened.spec.apply(pixels[test]), labels[test] if subject.labelled and labels is not None else None
        reference = answers(graph.file, inputs)
        title = f"{name}, {len(inputs)}"
        print(line(title, "", "float32", reference, reference, truth, None, ""), flush=True)
        for count in counts:
            calibration = opened.spec.apply(pixels[:count])
            ours = quantize(graph, onnx, batches_of(calibration), estimator=None, threads=THREADS)
            scores = answers(ours.model, inputs)
            print(line(title, count, "edgecls", reference, scores, truth, None, str(ours.way)), flush=True)
            others = {} if ours_alone else {"TFLiteConverter": converter_int8, "litert-quantizer": litert_int8}
            for other, make in others.items():
                try:
                    found = answers(make(frozen, graph, calibration), inputs)
                except Exception as error:  # noqa: BLE001 - another tool's failure is a line of the table
                    print(f"| {title} | {count} | {other} | {type(error).__name__} | | | | |", flush=True)
                    continue
                print(line(title, count, other, reference, found, truth, scores, ""), flush=True)


def images_of(subject: Subject, spec: ImageSpec) -> tuple[np.ndarray, np.ndarray | None]:
    """All images of a subject in a random order, and their labels."""
    images = open_images(SHARED / "data" / subject.images, spec, role="data")
    order = np.random.default_rng(0).permutation(len(images))
    pixels = images.pixels.read(0, len(images))[order]
    return pixels, None if images.labels is None else np.asarray(images.labels)[order]


def batches_of(inputs: np.ndarray) -> Callable[[], Iterator[np.ndarray]]:
    """Model inputs, a few at a time, as often as asked."""
    return lambda: (inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH))


def converter_int8(frozen: FrozenGraph, graph: TFLiteGraph, calibration: np.ndarray) -> bytes:
    """https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/post_training_quantization"""
    import tensorflow as tf

    source, result = (name.partition(":")[0] for name in (frozen.input, frozen.output))
    converter = tf.compat.v1.lite.TFLiteConverter.from_frozen_graph(
        str(frozen.path), [source], [result], {source: list(frozen.input_shape)}
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with quiet_frameworks():
        return converter.convert()


def litert_int8(frozen: FrozenGraph, graph: TFLiteGraph, calibration: np.ndarray) -> bytes:
    """https://github.com/google-ai-edge/ai-edge-quantizer"""
    from litert_quantizer import recipe
    from litert_quantizer.quantizer import Quantizer

    quantizer = Quantizer(graph.file, recipe.static_wi8_ai8())
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        seen = quantizer.calibrate({"serving_default": [{"image": image[None]} for image in calibration]})
        return bytes(quantizer.quantize(seen).quantized_model or b"")


def answers(model: bytes, inputs: np.ndarray) -> np.ndarray:
    """Scores [n, outputs] of a .tflite, quantized at its border where it is."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=THREADS)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scores = []
    for image in inputs:
        interpreter.set_tensor(source["index"], _as_border(image[None], source))
        interpreter.invoke()
        scores.append(_as_real(interpreter.get_tensor(target["index"])[0].ravel(), target))
    return np.stack(scores)


def _as_border(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    scale, zero = detail["quantization"]
    if not scale:
        return values.astype(detail["dtype"])
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.rint(values / scale) + zero, limits.min, limits.max).astype(detail["dtype"])


def _as_real(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    scale, zero = detail["quantization"]
    return (values.astype(np.float32) - zero) * scale if scale else values


def line(
    title: str,
    count: object,
    file: str,
    reference: np.ndarray,
    scores: np.ndarray,
    truth: np.ndarray | None,
    ours: np.ndarray | None,
    way: str,
) -> str:
    """One line of the table. p is McNemar's, exact, of labelled images by right answers, of others by the float model's winner."""
    wanted = reference.argmax(axis=1) if truth is None else truth
    right = scores.argmax(axis=1) == wanted
    kept = float((scores.argmax(axis=1) == reference.argmax(axis=1)).mean())
    error = float(np.square(scores.astype(np.float64) - reference).sum())
    snr = "" if not error else f"{10 * np.log10(float(np.square(reference.astype(np.float64)).sum()) / error):.1f}"
    p = ""
    if ours is not None:
        better = ours.argmax(axis=1) == wanted
        p = f"{mcnemar_p(int((better & ~right).sum()), int((right & ~better).sum())):.2g}"
        p += " (ours ahead)" if better.sum() > right.sum() else " (behind)" if better.sum() < right.sum() else ""
    top = "" if truth is None else f"{right.mean():.2%}"
    return f"| {title} | {count} | {file} | {kept:.2%} | {top} | {snr} | {p} | {way} |"


if __name__ == "__main__":
    main()
