"""Pruning and quantization-aware training beside tensorflow-model-optimization's own: same model, images, epochs and seeds.

    python benchmarks/tfmot.py [fashion resnet8] [--seeds 0,1,2] [--epochs 3]

Both sides start from the same trained model, as edgecls rebuilds it on tf_keras, and see the same images. tensorflow-model-optimization:
`quantize_model`, and `prune_low_magnitude` with its polynomial schedule, `fit` with Adam, and the int8 file by `TFLiteConverter` with 200
calibration images, as its guides show. edgecls: `compress` and `convert`, as they are. Both learn at the same rate on the mean: that of
`compress` falls to zero along a cosine, and starts at twice as much. What counts is top-1 of the shipped TFLite int8 file on the test
images; steps are the median of the last epoch.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.models import load_model, rebuild
from edgecls.records.image_spec import ImageSpec
from edgecls.records.recipe import Pruning, QuantizationAwareTraining, Recipe, Training
from edgecls.runners import open_runner
from edgecls.system.extras import require
from edgecls.workflow import CompressOptions, ConvertOptions, compress, convert_all, read_variants

SHARED = Path(__file__).resolve().parents[2] / "shared"
BATCH, RATE, CALIBRATION_IMAGES, SPARSITY = 32, 1e-4, 200, 0.5
TECHNIQUES = ("qat", "pruned50")


@dataclass(frozen=True)
class Case:
    """A model and its images."""

    model: Path
    data: Path
    preprocess: str


CASES = {
    "fashion": Case(SHARED / "zoo/fashion_cnn/fashion_mnist_model.h5", SHARED / "data/fashion_mnist.npz", "0..1"),
    "resnet8": Case(SHARED / "zoo/mlperf_tiny/pretrainedResnet.h5", SHARED / "data/cifar10.npz", "0..255"),
}


@dataclass(frozen=True)
class Result:
    """top1: of the int8 file, in per cent."""

    top1: float
    step_ms: float


class Images:
    """Training and test images as the model takes them."""

    def __init__(self, case: Case) -> None:
        self.spec: ImageSpec = load_model(case.model).image_spec.with_preprocess(case.preprocess)
        with np.load(case.data) as arrays:
            self.train, self.test = (arrays[name].reshape(len(arrays[name]), *self._pixels) for name in ("x_train", "x_test"))
            self.train_labels, self.test_labels = arrays["y_train"].ravel(), arrays["y_test"].ravel()

    @property
    def _pixels(self) -> tuple[int, int, int]:
        return self.spec.height, self.spec.width, self.spec.channels

    def top1(self, file: Path) -> float:
        """Of a file, in per cent of the test images."""
        runner = open_runner(file, spec=self.spec)
        parts = [runner.predict(self.test[start : start + 64]) for start in range(0, len(self.test), 64)]
        return 100 * float((np.concatenate(parts).argmax(axis=1) == self.test_labels).mean())


def with_tfmot(case: Case, images: Images, seed: int, epochs: int, folder: Path) -> dict[str, Result]:
    """tensorflow-model-optimization as its guides show it."""
    tf, keras, tfmot = require("tensorflow"), require("tf_keras"), require("tensorflow_model_optimization")
    inputs = images.spec.apply(images.train)
    steps = -(-len(inputs) // BATCH) * epochs
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, SPARSITY, 0, round(0.4 * steps))

    def pruned(model: Any) -> Any:
        return tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)

    def representative() -> Iterator[list[np.ndarray]]:
        for image in inputs[:CALIBRATION_IMAGES]:
            yield [image[None]]

    wrap: dict[str, Callable[[Any], Any]] = {"qat": tfmot.quantization.keras.quantize_model, "pruned50": pruned}
    results = {}
    for name in TECHNIQUES:
        keras.utils.set_random_seed(seed)
        model = wrap[name](rebuild(load_model(case.model)).model)
        model.compile(keras.optimizers.Adam(RATE), "sparse_categorical_crossentropy")
        clock = _StepClock(keras)
        callbacks = [clock.callback, *([tfmot.sparsity.keras.UpdatePruningStep()] if name == "pruned50" else [])]
        model.fit(inputs, images.train_labels, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks)
        plain = tfmot.sparsity.keras.strip_pruning(model) if name == "pruned50" else model
        converter = tf.lite.TFLiteConverter.from_keras_model(plain)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        file = folder / f"{name}.tflite"
        file.write_bytes(converter.convert())
        results[name] = Result(images.top1(file), clock.median_ms())
    return results


class _StepClock:
    """Times of the steps of the last epoch."""

    def __init__(self, keras: Any) -> None:
        self._started, self._seconds = 0.0, list[float]()
        self.callback = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self._seconds.clear(),
            on_batch_begin=lambda batch, logs: self._start(),
            on_batch_end=lambda batch, logs: self._seconds.append(time.perf_counter() - self._started),
        )

    def _start(self) -> None:
        self._started = time.perf_counter()

    def median_ms(self) -> float:
        """Of the last epoch."""
        return 1e3 * statistics.median(self._seconds)


def with_edgecls(case: Case, images: Images, seed: int, epochs: int, folder: Path) -> dict[str, Result]:
    """`compress` and `convert`."""
    recipe = Recipe(
        pruning=Pruning(sparsity=SPARSITY, end=0.4),
        qat=QuantizationAwareTraining(),
        training=Training(epochs=epochs, batch=BATCH, learning_rate=2 * RATE, seed=seed),
        variants=TECHNIQUES,
    )
    variants = folder / "variants"
    compress(CompressOptions(case.model, case.data, recipe, output=variants, preprocess=case.preprocess))
    options = ConvertOptions(
        variants, targets=("tflite",), schemes="int8", calibration=case.data, calibration_images=CALIBRATION_IMAGES,
        verify=False, output=folder / "artifacts",
    )  # fmt: skip
    paths = {row.variant: folder / "artifacts" / row.path for row in convert_all(options).artifacts}
    steps = {variant.name: variant.epochs[-1].step_ms for variant in read_variants(variants)}
    return {name: Result(images.top1(paths[name]), steps[name]) for name in TECHNIQUES}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"among {', '.join(CASES)}; all by default")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    if not SHARED.is_dir():
        print(f"left out: the models and images are not here ({SHARED})")
        sys.exit(0)
    print("| model, technique | top-1, tfmot | edgecls | least … greatest, tfmot | edgecls | step ms, tfmot | edgecls |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for name in arguments.cases or CASES:
        found: list[tuple[dict[str, Result], dict[str, Result]]] = []
        images = Images(CASES[name])
        for seed in map(int, arguments.seeds.split(",")):
            with tempfile.TemporaryDirectory(prefix="edgecls-bench-") as scratch:
                folder = Path(scratch)
                given = CASES[name], images, seed, arguments.epochs, folder
                found.append((with_tfmot(*given), with_edgecls(*given)))
        for technique in TECHNIQUES:
            theirs, ours = ([pair[side][technique] for pair in found] for side in (0, 1))
            print(f"| {name}, {technique} | {_row(theirs, ours)} |", flush=True)


def _row(theirs: list[Result], ours: list[Result]) -> str:
    means = [f"{statistics.fmean(result.top1 for result in side):.2f} %" for side in (theirs, ours)]
    spread = [f"{min(r.top1 for r in side):.2f} … {max(r.top1 for r in side):.2f}" for side in (theirs, ours)]
    steps = [f"{statistics.median(result.step_ms for result in side):.1f}" for side in (theirs, ours)]
    return " | ".join([*means, *spread, *steps])


if __name__ == "__main__":
    main()
