"""What pruning and quantization-aware training cost in accuracy, beside a control that was trained as long without them.

    python benchmarks/compression_accuracy.py [ROW …] [--seeds 0,1,2] [--out results.json] [--folder DIR]

Every row fine-tunes one model with each seed, converts all variants, and asks the produced files about the test images, which nothing
has seen before. The results are written after every seed. With --folder, models and variants stay there, and another run goes on where
this one was stopped and trains only what the recipe has changed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from _trained_models import split_flowers, train_flowers, train_tutorial_cnn
from edgecls.data import open_images
from edgecls.records.artifact import Manifest
from edgecls.records.recipe import Recipe
from edgecls.runners import open_runner
from edgecls.workflow import CompressOptions, ConvertOptions, compress, convert_all, read_variants

SHARED = Path(__file__).resolve().parents[2] / "shared"
SCHEMES = "tflite:float32,tflite:int8,onnx:int8"
DISTILLATION = {"temperature": 2.0, "weight": 0.7}
PRUNED = {"pruning": {"sparsity": 0.5, "end": 0.4}, "qat": {}}
IN_BLOCKS = {"pruning": {"sparsity": 0.5, "end": 0.4, "pattern": "8x1"}, "qat": {}}


@dataclass(frozen=True)
class Row:
    """One model and its data.

    Attributes:
        prepare: makes (model, data) in a folder.
        recipe: without seed.
        limits: name of a difference -> most points it may be.
    """

    prepare: Callable[[Path], tuple[Path, Path]]
    recipe: dict[str, Any]
    limits: dict[str, float]
    preprocess: str | None = None


def fashion(_: Path) -> tuple[Path, Path]:
    return SHARED / "zoo/fashion_cnn/fashion_mnist_model.h5", SHARED / "data/fashion_mnist.npz"


def resnet8(_: Path) -> tuple[Path, Path]:
    return SHARED / "zoo/mlperf_tiny/pretrainedResnet.h5", SHARED / "data/cifar10.npz"


def tutorial(folder: Path) -> tuple[Path, Path]:
    model, data = folder / "tutorial_cnn.keras", SHARED / "data/cifar10.npz"
    if not model.exists():
        train_tutorial_cnn(data, model)
    return model, data


def flowers(folder: Path) -> tuple[Path, Path]:
    model, photos = folder / "flowers.h5", folder / "flowers"
    if not model.exists():
        split_flowers(SHARED / "data/flowers", photos)
        train_flowers(SHARED / "zoo/imagenet_mobilenet_v1_025/mobilenet_v1_0.25_224.h5", photos, model)
    return model, photos


ROWS = {
    "fashion": Row(
        fashion,
        {**PRUNED, "training": {"epochs": 6, "learning_rate": 1e-3}},
        {"pruned under control": 0.3, "PQAT under control": 0.5, "deflated PQAT / QAT": 0.65},
    ),
    "fashion-blocks": Row(  # zeros in runs of eight, which deflate stores in less than scattered ones
        fashion,
        {**IN_BLOCKS, "training": {"epochs": 6, "learning_rate": 1e-3}},
        {"pruned under control": 0.3, "PQAT under control": 0.5, "deflated PQAT / QAT": 0.65},
    ),
    "resnet8": Row(
        resnet8,
        {**PRUNED, "training": {"epochs": 8, "learning_rate": 3e-4, "augmentation": {"flip": True, "shift": 0.1}}},
        {"QAT under control": 0.5, "QAT under PTQ": 0.0, "PQAT under control": 1.5},
        preprocess="0..255",
    ),
    "tutorial": Row(
        tutorial,
        {"qat": {}, "training": {"epochs": 3, "learning_rate": 1e-4}},
        {"QAT under control": 0.7},
    ),
    "flowers": Row(
        flowers,
        {**PRUNED, "training": {"epochs": 12, "learning_rate": 2e-4, "augmentation": {"flip": True, "shift": 0.1}}},
        {"PQAT under control": 1.5},
    ),
}  # fmt: skip


def run_seed(row: Row, model: Path, data: Path, seed: int, folder: Path) -> dict[str, Any]:
    """Compress, convert and examine with one seed."""
    started = time.perf_counter()
    training = {**row.recipe["training"], "seed": seed, "distillation": DISTILLATION}
    recipe = Recipe.model_validate({**row.recipe, "training": training, "control": True})
    compress(CompressOptions(model, data, recipe, output=folder / "variants", preprocess=row.preprocess, resume=True))
    trained = time.perf_counter() - started
    options = ConvertOptions(
        folder / "variants",
        targets=("tflite", "onnx"),
        schemes=SCHEMES,
        calibration=data,
        calibration_images=200,
        output=folder / "artifacts",
    )
    manifest = convert_all(options)
    step_ms = {variant.name: variant.epochs[-1].step_ms for variant in read_variants(folder / "variants")}
    return {
        "seed": seed,
        "training_s": round(trained, 1),
        "total_s": round(time.perf_counter() - started, 1),
        "step_ms": step_ms,
        **examine(manifest, folder / "artifacts", data),
    }


def examine(manifest: Manifest, folder: Path, data: Path) -> dict[str, Any]:
    """Top-1 of every artifact on the test images, deflated bytes, what is in them, and how the int8 files of a variant agree."""
    images = open_images(data, manifest.image_spec, role="data", labels=manifest.labels)
    winners, artifacts = {}, {}
    for row in manifest.artifacts:
        if row.status != "ok" or row.actual is None:
            raise SystemExit(f"{row.name}: {row.status}: {row.reason}")
        runner = open_runner(folder / row.path, spec=manifest.image_spec)
        winners[row.name] = np.concatenate([runner.predict(pixels).argmax(axis=1) for pixels in images.batches(64)])
        artifacts[row.name] = {
            "top1": 100 * float((winners[row.name] == images.labels).mean()),
            "size_bytes": row.size_bytes,
            "compressed_bytes": row.compressed_bytes,
            "sparsity": round(row.actual.sparsity, 4),
            "weight_dtypes": row.actual.weight_dtypes,
            "stayed_float": [entry.operation for entry in row.actual.stayed_float],
        }
    agreement = {
        variant: float((winners[f"{variant}-tflite-int8"] == winners[f"{variant}-onnx-int8"]).mean())
        for variant in dict.fromkeys(row.variant for row in manifest.artifacts)
        if {f"{variant}-tflite-int8", f"{variant}-onnx-int8"} <= winners.keys()
    }
    return {"test_images": len(images), "artifacts": artifacts, "tflite_onnx_agreement": agreement}


def differences(result: dict[str, Any]) -> dict[str, float]:
    """What the requirements are about: points of top-1 that a variant lies under another, and a ratio of bytes."""
    top1 = {name: values["top1"] for name, values in result["artifacts"].items()}
    deflated = {name: values["compressed_bytes"] for name, values in result["artifacts"].items()}
    control, qat, ptq = top1["control-tflite-float32"], top1["qat-tflite-int8"], top1["control-tflite-int8"]
    found = {"QAT under control": control - qat, "QAT under PTQ": ptq - qat, "PTQ under control": control - ptq}
    if "pruned50-qat-tflite-int8" in top1:
        found["pruned under control"] = control - top1["pruned50-tflite-float32"]
        found["PQAT under control"] = top1["control2-tflite-float32"] - top1["pruned50-qat-tflite-int8"]  # both of two stages
        found["deflated PQAT / QAT"] = deflated["pruned50-qat-tflite-int8"] / deflated["qat-tflite-int8"]
    found["least agreement of TFLite and ONNX int8, %"] = 100 * min(result["tflite_onnx_agreement"].values())
    return found


def table(name: str, results: list[dict[str, Any]]) -> str:
    """Markdown of a row: accuracies and differences, mean and spread over the seeds."""
    lines = [f"| {name}, {results[0]['test_images']} test images | mean | least … greatest of {len(results)} | required |"]
    lines.append("| --- | --: | --: | --: |")
    for artifact in results[0]["artifacts"]:
        lines.append(f"| top-1 {artifact} | {_spread([result['artifacts'][artifact]['top1'] for result in results])} | |")
    for difference in differences(results[0]):
        limit = ROWS[name].limits.get(difference)
        required = "≥ 99.9" if difference.startswith("least") else "" if limit is None else f"≤ {limit:g}"
        lines.append(f"| {difference} | {_spread([differences(result)[difference] for result in results])} | {required} |")
    for variant in results[0]["step_ms"]:
        lines.append(f"| step of {variant}, ms | {_spread([result['step_ms'][variant] for result in results])} | |")
    seconds = sum(result["total_s"] for result in results)
    return "\n".join([*lines, "", f"{seconds:.0f} s in all"])


def _spread(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f} | {min(values):.2f} … {max(values):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"among {', '.join(ROWS)}; all by default")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "compression.json")
    parser.add_argument("--folder", type=Path, help="keep models and variants here; a temporary one by default")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(ROWS):
        parser.error(f"rows among {', '.join(ROWS)}, not {', '.join(unknown)}")
    if not SHARED.is_dir():
        print(f"left out: the models and images are not here ({SHARED})")
        sys.exit(0)
    written: dict[str, list[dict[str, Any]]] = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for name in arguments.rows or ROWS:
        written[name] = []
        with tempfile.TemporaryDirectory(prefix="edgecls-bench-") as temporary:
            folder = (arguments.folder or Path(temporary)) / name
            folder.mkdir(parents=True, exist_ok=True)
            model, data = ROWS[name].prepare(folder)
            for seed in map(int, arguments.seeds.split(",")):
                written[name].append(run_seed(ROWS[name], model, data, seed, folder / f"seed{seed}"))
                arguments.out.write_text(json.dumps(written, indent=1))
        print(table(name, written[name]), "\n", flush=True)


if __name__ == "__main__":
    main()
