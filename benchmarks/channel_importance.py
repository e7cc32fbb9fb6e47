"""Which channels to remove: top-1 of test images when 30 and 50 % of the multiply-accumulates are gone, before any training.

    python benchmarks/channel_importance.py [MODEL …] [--test-images 1000] [--out results.json] [--folder DIR]

The channels go at once, by first-order Taylor importance on 512 training images, by the magnitude of their weights, and by chance (three
draws). BatchNorm then takes its mean and variance from the same 512 images. With --folder, the tutorial CNN, which is trained first, stays.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from compression_accuracy import SHARED, fashion, resnet8, tutorial
from edgecls.compression.channels import choose, magnitude, multiply_accumulates, sizes_of, trace_channels, without
from edgecls.compression.channels.importance import at_random, loss_of, taylor
from edgecls.compression.channels.sensitivity import weighed
from edgecls.compression.channels.statistics import estimate_again
from edgecls.compression.strided import subsample_first
from edgecls.data import open_images
from edgecls.models import rebuild
from edgecls.records.recipe import Training
from edgecls.training.images import TrainingImages
from edgecls.workflow.opening import ModelOptions, open_model

MODELS = {"fashion": (fashion, None), "resnet8": (resnet8, "0..255"), "tutorial": (tutorial, None)}
SHARES = (0.3, 0.5)
IMAGES, BATCH, DRAWS, MULTIPLE = 512, 32, 3, 8


def examine(path: Path, data: Path, preprocess: str | None, test_images: int) -> dict[str, Any]:
    """Top-1 in % of the whole model and of each smaller one, and how many channels each group of it has left."""
    begun = open_model(ModelOptions(path, preprocess=preprocess))
    model, spec = rebuild(begun.model).model, begun.spec
    subsample_first(model)
    training = open_images(data, spec, role="training", labels=begun.labels)
    images = TrainingImages(training, spec, begun.model.outputs, Training(batch=BATCH))
    test = open_images(data, spec, role="data", labels=begun.labels, limit=test_images)

    def batches() -> Iterator[np.ndarray]:
        return (inputs for inputs, _ in islice(images.epoch(0), IMAGES // BATCH))

    def top1(judged: Any) -> float:
        answers = [judged.predict_on_batch(spec.apply(pixels)).argmax(axis=1) for pixels in test.batches(100)]
        return 100 * float((np.concatenate(answers) == test.labels).mean())

    channels = trace_channels(model)
    whole = multiply_accumulates(channels)
    kind = begun.model.output_kind
    within = taylor(model, channels, batches(), loss_of(kind, begun.model.outputs))
    scores = {
        "taylor": weighed(model, channels, within, batches(), kind),
        "magnitude": magnitude(channels),
        **{f"random {seed}": at_random(channels, seed) for seed in range(DRAWS)},
    }
    found: dict[str, Any] = {
        "test_images": len(test),
        "whole": top1(model),
        "groups": [len(group.channels) for group in channels.groups],
    }
    for share in SHARES:
        for name, values in scores.items():
            stays = choose(channels, values, (1 - share) * whole, MULTIPLE, sizes_of(channels)).stays
            smaller = without(model, channels, stays)
            subsample_first(smaller)
            estimate_again(smaller, batches())
            left = [int(stays[group.channels].sum()) for group in channels.groups]
            found[f"{name}, {share:.0%}"] = {"top1": top1(smaller), "left": left}
            print(name, f"{share:.0%}", found[f"{name}, {share:.0%}"], flush=True)
    return found


def rows(name: str, found: dict[str, Any]) -> str:
    """Markdown of a model."""
    lines = []
    for share in SHARES:
        draws = [found[f"random {seed}, {share:.0%}"]["top1"] for seed in range(DRAWS)]
        cells = [f"{found[f'{by}, {share:.0%}']['top1']:.1f}" for by in ("taylor", "magnitude")]
        spread = f"{np.mean(draws):.1f} ({min(draws):.1f} … {max(draws):.1f})"
        lines.append(f"| {name}, −{share:.0%} | {found['whole']:.1f} | {' | '.join(cells)} | {spread} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"among {', '.join(MODELS)}; all by default")
    parser.add_argument("--test-images", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "channel_importance.json")
    parser.add_argument("--folder", type=Path, help="keep the model that is trained first here; a temporary one by default")
    arguments = parser.parse_args()
    if unknown := set(arguments.models) - set(MODELS):
        parser.error(f"models among {', '.join(MODELS)}, not {', '.join(unknown)}")
    if not SHARED.is_dir():
        print(f"left out: the models and images are not here ({SHARED})")
        return
    written: dict[str, Any] = {}
    for name in arguments.models or MODELS:
        prepare, preprocess = MODELS[name]
        with tempfile.TemporaryDirectory(prefix="edgecls-bench-") as temporary:
            folder = arguments.folder or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            model, data = prepare(folder)
            written[name] = examine(model, data, preprocess, arguments.test_images)
        arguments.out.write_text(json.dumps(written, indent=1))
        print(rows(name, written[name]), flush=True)


if __name__ == "__main__":
    main()
