"""What half of the multiply-accumulates fewer make of the latency: p50 of a model and of its half, in one run, one thread.

    python benchmarks/channel_latency.py [MODEL …] [--share 0.5] [--out results.json] [--folder DIR] [--seconds 3]

The weights are random, as latency does not ask for them; the channels go by their magnitude. The results are written after every model.
"""

from __future__ import annotations

import argparse
import importlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.compression.channels import plan_channels
from edgecls.crew import BenchOptions
from edgecls.models import load_model, rebuild
from edgecls.records.recipe import ChannelPruning
from edgecls.workflow import BenchRequest, ConvertOptions, bench, convert

SCHEMES = "tflite:float32,tflite:int8,onnx:float32,onnx:int8"
REQUIRED = 0.62
CALIBRATION_IMAGES = 16


def mobilenet_v2(keras: Any) -> Any:
    return keras.applications.MobileNetV2(weights=None)


def resnet50(keras: Any) -> Any:
    return keras.applications.ResNet50(weights=None)


def tutorial(keras: Any) -> Any:
    """The network of `_trained_models.train_tutorial_cnn`."""
    layers, blocks = keras.layers, []
    for filters in (32, 64, 128):
        for _ in range(2):
            blocks += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.BatchNormalization()]
        blocks.append(layers.MaxPooling2D())
    head = [layers.Flatten(), layers.Dense(128, activation="relu"), layers.BatchNormalization()]
    return keras.Sequential([keras.Input((32, 32, 3)), *blocks, *head, layers.Dense(10, activation="softmax")])


MODELS: dict[str, Callable[[Any], Any]] = {model.__name__: model for model in (tutorial, mobilenet_v2, resnet50)}


def ratios(model: Any, share: float, folder: Path, seconds: float) -> dict[str, Any]:
    """p50 of each file of the smaller model as a share of that of the whole one."""
    whole, smaller = folder / "whole.keras", folder / "smaller.keras"
    model.save(whole)
    plan = plan_channels(rebuild(load_model(whole)).model, ChannelPruning(share=share))
    plan.smaller.save(smaller)
    images, side = folder / "images.npz", model.input_shape[1]
    pixels = np.random.default_rng(0).integers(0, 256, (CALIBRATION_IMAGES, side, side, 3), np.uint8)
    classes = model.output_shape[-1]
    np.savez(images, x=pixels, y=np.arange(CALIBRATION_IMAGES) % classes)
    files = []
    for path in (whole, smaller):
        options = ConvertOptions(
            path,
            targets=("tflite", "onnx"),
            schemes=SCHEMES,
            calibration=images,
            output=folder / path.stem,
            preprocess="0..1",
            verify=False,
        )
        rows = convert(options).artifacts
        if failed := [f"{row.name}: {row.reason}" for row in rows if row.status != "ok"]:
            raise SystemExit("; ".join(failed))
        for row in rows:  # a run asks for files of different names
            file = folder / path.stem / row.path
            files.append(file.rename(folder / f"{path.stem}-{file.name}"))
    request = BenchRequest(
        files=tuple(files), output=folder / "results.json", options=BenchOptions(min_seconds=seconds, min_runs=50)
    )
    report = bench(request)
    if failed := [f"{item.artifact}: {item.reason}" for item in report.measurements if item.latency is None]:
        raise SystemExit("; ".join(failed))
    p50 = [item.latency.p50_ms for item in report.measurements if item.latency is not None]
    half = len(files) // 2
    names = [f"{path.suffix.removeprefix('.')} {'int8' if 'int8' in path.stem else 'float32'}" for path in files[:half]]
    whole_ms, smaller_ms = dict(zip(names, p50[:half], strict=True)), dict(zip(names, p50[half:], strict=True))
    return {
        "multiply_accumulates_left": plan.choice.macs / plan.macs,
        "whole_p50_ms": whole_ms,
        "smaller_p50_ms": smaller_ms,
        "ratios": {name: smaller_ms[name] / whole_ms[name] for name in names},
    }


def row(name: str, found: dict[str, Any]) -> str:
    """Markdown of a model."""
    cells = [f"{ratio:.2f} ({found['whole_p50_ms'][file]:.2f} ms)" for file, ratio in found["ratios"].items()]
    return f"| {name} | {found['multiply_accumulates_left']:.1%} | {' | '.join(cells)} | ≤ {REQUIRED} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"among {', '.join(MODELS)}; all by default")
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of measuring, for each file")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "channel_latency.json")
    parser.add_argument("--folder", type=Path, help="keep models and files here; a temporary one by default")
    arguments = parser.parse_args()
    if unknown := set(arguments.models) - set(MODELS):
        parser.error(f"models among {', '.join(MODELS)}, not {', '.join(unknown)}")
    keras: Any = importlib.import_module("keras")
    written: dict[str, Any] = {}
    for name in arguments.models or MODELS:
        with tempfile.TemporaryDirectory(prefix="edgecls-bench-") as temporary:
            folder = (arguments.folder or Path(temporary)) / name
            folder.mkdir(parents=True, exist_ok=True)
            written[name] = ratios(MODELS[name](keras), arguments.share, folder, arguments.seconds)
        arguments.out.write_text(json.dumps(written, indent=1))
        print(row(name, written[name]), flush=True)


if __name__ == "__main__":
    main()
