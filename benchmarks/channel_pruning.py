"""What removing whole channels costs in accuracy and saves in time, beside a control, random channels and those of least magnitude.

    python benchmarks/channel_pruning.py [ROW …] [--seeds 0,1,2] [--importance taylor,magnitude,random] [--out results.json] [--folder DIR]
                                         [--epochs N] [--images N]

Every row fine-tunes one model with each seed and each importance, converts the variants, and asks the produced files about the test images,
which nothing has seen before. The results are written as they come. With --folder, models and variants stay there, and another run trains
only what the recipe has changed; rows of one model share its control. --epochs and --images make it shorter than the table's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compression_accuracy import DISTILLATION, SHARED, examine, fashion, flowers, resnet8, tutorial
from edgecls.crew import BenchOptions
from edgecls.records.recipe import Recipe
from edgecls.workflow import BenchRequest, CompressOptions, ConvertOptions, bench, compress, convert_all, read_variants

SCHEMES = "tflite:float32,tflite:int8,onnx:float32,onnx:int8"
IMPORTANCES = ("taylor", "magnitude", "random")


@dataclass(frozen=True)
class Row:
    """One model, its data and a share.

    Attributes:
        prepare: makes (model, data) in a folder.
        training: of the recipe, without seed.
        limit: most points of top-1 that the variant may be under its control.
        qat: whether the variant that is judged is trained for int8 afterwards, and its int8 file asked.
    """

    prepare: Callable[[Path], tuple[Path, Path]]
    share: float
    training: dict[str, Any]
    limit: float
    qat: bool = False
    preprocess: str | None = None

    @property
    def variant(self) -> str:
        return f"pruned-channels{100 * self.share:g}{'-qat' if self.qat else ''}"

    @property
    def judged(self) -> tuple[str, str]:
        """The file that is judged, and that of the control that trained as long."""
        if self.qat:
            return f"{self.variant}-tflite-int8", "control2-tflite-float32"
        return f"{self.variant}-tflite-float32", "control-tflite-float32"


AUGMENTED = {"augmentation": {"flip": True, "shift": 0.1}}
RESNET8 = {"epochs": 24, "learning_rate": 1e-3, **AUGMENTED}
ROWS = {
    "fashion": Row(fashion, 0.5, {"epochs": 6, "learning_rate": 1e-3}, 0.5, qat=True),
    "tutorial": Row(tutorial, 0.5, {"epochs": 12, "learning_rate": 1e-3}, 0.5),
    "resnet8-30": Row(resnet8, 0.3, RESNET8, 1.0, preprocess="0..255"),
    "resnet8-50": Row(resnet8, 0.5, RESNET8, 2.5, preprocess="0..255"),
    "flowers": Row(flowers, 0.3, {"epochs": 6, "learning_rate": 5e-4}, 1.5),
}


def run_seed(
    row: Row, model: Path, data: Path, seed: int, importance: str, place: Path, shorter: dict[str, int]
) -> dict[str, Any]:
    """Compress, convert and examine with one seed and one importance; the control is trained beside the first."""
    training = {**row.training, **shorter, "seed": seed, "distillation": DISTILLATION}
    parts = {
        "channels": {"share": row.share, "importance": importance},
        "training": training,
        "control": importance == IMPORTANCES[0],
    }
    recipe = Recipe.model_validate({**parts, **({"qat": {}} if row.qat else {}), "variants": [row.variant]})
    options = CompressOptions(model, data, recipe, output=place / "variants", preprocess=row.preprocess, resume=True)
    compress(options)
    manifest = convert_all(
        ConvertOptions(
            place / "variants",
            targets=("tflite", "onnx"),
            schemes=SCHEMES,
            calibration=data,
            calibration_images=200,
            output=place / artifacts_of(row),
        )
    )
    read = {variant.name: variant for variant in read_variants(place / "variants")}[f"pruned-channels{100 * row.share:g}"]
    widths = {layer: [change.before, change.after] for layer, change in read.widths.items()}
    found = examine(manifest, place / artifacts_of(row), data)
    return {"seed": seed, "importance": importance, "training": training, "widths": widths, **found}


def artifacts_of(row: Row) -> str:
    """Name of the folder of a row's files."""
    return f"artifacts-{row.variant}"


def under_control(row: Row, results: list[dict[str, Any]], importance: str) -> list[float]:
    """Points of top-1 by which the judged file is under the control of its seed, seed by seed."""
    variant, control = row.judged
    top1 = {(result["seed"], result["importance"]): result["artifacts"] for result in results}
    return [
        top1[seed, IMPORTANCES[0]][control]["top1"] - artifacts[variant]["top1"]
        for (seed, name), artifacts in top1.items()
        if name == importance
    ]


def ratios(row: Row, folder: Path) -> dict[str, float]:
    """p50 of each file of the variant as a share of the base's, one thread, measured in one run."""
    report = bench(BenchRequest(folder, options=BenchOptions(min_seconds=3.0, min_runs=200)))
    if failed := [f"{item.artifact}: {item.reason}" for item in report.measurements if item.latency is None]:
        raise SystemExit("; ".join(failed))
    p50 = {item.artifact: item.latency.p50_ms for item in report.measurements if item.latency is not None}
    return {
        name.removeprefix(f"{row.variant}-"): value / p50[name.replace(row.variant, "base")]
        for name, value in p50.items()
        if name.startswith(f"{row.variant}-")
    }


def table(name: str, results: list[dict[str, Any]]) -> str:
    """Markdown of a row: points under the control by importance, mean and spread over the seeds."""
    row = ROWS[name]
    lines = [f"| {name}: {row.judged[0]} under {row.judged[1]}, points | mean | least … greatest | required |"]
    lines.append("| --- | --: | --: | --: |")
    for importance in dict.fromkeys(result["importance"] for result in results):
        points = under_control(row, results, importance)
        required = f"≤ {row.limit:g}" if importance == IMPORTANCES[0] else f"more than {IMPORTANCES[0]}"
        lines.append(f"| {importance} | {statistics.fmean(points):.2f} | {min(points):.2f} … {max(points):.2f} | {required} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"among {', '.join(ROWS)}; all by default")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--importance", default=",".join(IMPORTANCES), help=f"{IMPORTANCES[0]} first, which brings the control")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "channel_pruning.json")
    parser.add_argument("--folder", type=Path, help="keep models and variants here; a temporary one by default")
    parser.add_argument("--epochs", type=int, help="of the fine-tuning, instead of the row's")
    parser.add_argument("--images", type=int, help="train on at most so many")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(ROWS):
        parser.error(f"rows among {', '.join(ROWS)}, not {', '.join(unknown)}")
    if not SHARED.is_dir():
        print(f"left out: the models and images are not here ({SHARED})")
        sys.exit(0)
    shorter = {"epochs": arguments.epochs, "limit": arguments.images}
    shorter = {key: value for key, value in shorter.items() if value is not None}
    written: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for name in arguments.rows or ROWS:
        row, results = ROWS[name], []
        written[name] = {"results": results}
        with tempfile.TemporaryDirectory(prefix="edgecls-bench-") as temporary:
            folder = (arguments.folder or Path(temporary)) / row.prepare.__name__
            folder.mkdir(parents=True, exist_ok=True)
            model, data = row.prepare(folder)
            places = {
                (seed, importance): folder / f"seed{seed}-{importance}"
                for seed in map(int, arguments.seeds.split(","))
                for importance in arguments.importance.split(",")
            }
            for (seed, importance), place in places.items():
                results.append(run_seed(row, model, data, seed, importance, place, shorter))
                arguments.out.write_text(json.dumps(written, indent=1))
            written[name]["p50_ratios"] = ratios(row, next(iter(places.values())) / artifacts_of(row))
            arguments.out.write_text(json.dumps(written, indent=1))
        print(table(name, results))
        print(
            ", ".join(f"{file} {ratio:.2f}" for file, ratio in written[name]["p50_ratios"].items()),
            "of the base's p50\n",
            flush=True,
        )


if __name__ == "__main__":
    main()
