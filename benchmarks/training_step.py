"""Time of a training step of pruning and of quantization-aware training against the plain one (control), as `edgecls compress` takes it.

Required: pruning at most 1.3 and quantization-aware training at most 2.5 times the plain step. Images are random: a step takes as long.
The median of the steps of the second epoch, in which nothing is traced any more; variants are trained one after another, twice, and the
lower time of each counts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from edgecls.records.recipe import Pruning, QuantizationAwareTraining, Recipe, Training
from edgecls.workflow import CompressOptions, compress, read_variants

BATCH, STEPS, EPOCHS, ROUNDS = 32, 12, 2, 2
SHARED = Path(__file__).resolve().parents[2] / "shared" / "zoo"
# Model file in the zoo -> shape of its images and number of classes.
MODELS: dict[str, tuple[tuple[int, int, int], int]] = {
    "fashion_cnn/fashion_mnist_model.h5": ((28, 28, 1), 10),
    "mlperf_tiny/pretrainedResnet.h5": ((32, 32, 3), 10),
    "mlperf_tiny/vww_96.h5": ((96, 96, 3), 2),
}
RECIPE = Recipe(
    pruning=Pruning(sparsity=0.5),
    qat=QuantizationAwareTraining(),
    control=True,
    training=Training(epochs=EPOCHS, batch=BATCH, held_out=0.1),
    variants=("pruned50", "qat"),
)


def main() -> None:
    """Measure and print the table."""
    print("| model | plain, ms | pruning | QAT | QAT, ranges frozen |")
    print("| --- | --- | --- | --- | --- |")
    for name, (shape, classes) in MODELS.items():
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for freeze, frozen in ((1.0, ""), (0.0, ", frozen")):
                for variant, milliseconds in _measure(SHARED / name, shape, classes, freeze).items():
                    times.setdefault(variant + (frozen if variant == "qat" else ""), []).append(milliseconds)
        plain, pruning, qat, frozen_qat = (min(times[key]) for key in ("control", "pruned50", "qat", "qat, frozen"))
        ratios = " | ".join(f"{value:.1f} ({value / plain:.2f}x)" for value in (pruning, qat, frozen_qat))
        print(f"| {Path(name).stem} | {plain:.1f} | {ratios} |")


def _measure(model: Path, shape: tuple[int, int, int], classes: int, freeze: float) -> dict[str, float]:
    """Variant -> milliseconds of a step, on random images."""
    count = round(BATCH * STEPS / (1 - RECIPE.training.held_out)) + classes
    generator = np.random.default_rng(0)
    recipe = RECIPE.model_copy(update={"qat": QuantizationAwareTraining(freeze=freeze, calibration_images=64)})
    with tempfile.TemporaryDirectory() as name:
        data, out = Path(name) / "images.npz", Path(name) / "variants"
        np.savez(data, x=generator.integers(0, 256, (count, *shape)).astype(np.uint8), y=np.arange(count) % classes)
        compress(CompressOptions(model=model, data=data, recipe=recipe, output=out))
        return {variant.name: variant.epochs[-1].step_ms for variant in read_variants(out)}


if __name__ == "__main__":
    main()
