"""Core ML schemes side by side: size, download, accuracy, and agreement with the float model and with the TFLite int8 file.

Three models of others on real images, calibrated on 100 of them; packages are executed by `coreml_reference`, on any platform. The models
and images are not part of the repository: they are looked for in ../shared beside the clone. About 12 minutes on two cores.

    python benchmarks/coreml_schemes.py [--limit N] [--models fashion,resnet,mobilenet]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.data import open_images
from edgecls.evaluation.parity import decide
from edgecls.records.artifact import Artifact
from edgecls.runners import open_runner
from edgecls.workflow import ConvertOptions, convert

SHARED = Path(__file__).resolve().parents[2] / "shared"
SCHEMES = "tflite:float32,tflite:int8,onnx:int8,coreml:float16,coreml:int8,weight8,weight4,palette8,palette6,palette4,palette2"


@dataclass(frozen=True)
class Case:
    """A model, its images, and whether their labels are the model's."""

    name: str
    model: str
    data: str
    preprocess: str
    labelled: bool


CASES = {
    "fashion": Case("Fashion-MNIST CNN", "fashion_cnn/fashion_mnist_model.h5", "fashion_mnist.npz", "0..1", True),
    "resnet": Case("MLPerf Tiny ResNet-8", "mlperf_tiny/pretrainedResnet.h5", "cifar10.npz", "0..255", True),
    "mobilenet": Case("MobileNetV1-0.25", "imagenet_mobilenet_v1_025/mobilenet_v1_0.25_224.h5", "flowers", "-1..1", False),
}


def main() -> None:
    """Print one table a model, or fail when an artifact cannot be made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=2000, help="images at most")
    parser.add_argument("--models", default=",".join(CASES))
    parser.add_argument("--target", help="minimum deployment target, as iOS18")
    chosen = parser.parse_args()
    failed = [name for name in chosen.models.split(",") if not run(CASES[name], chosen.limit, chosen.target)]
    sys.exit(f"artifacts failed: {', '.join(failed)}" if failed else 0)


def run(case: Case, limit: int, target: str | None) -> bool:
    """Convert, execute and print; whether every artifact was made."""
    with tempfile.TemporaryDirectory() as folder:
        options = ConvertOptions(
            model=SHARED / "zoo" / case.model,
            output=Path(folder),
            schemes=SCHEMES,
            calibration=SHARED / "data" / case.data,
            calibration_images=100,
            preprocess=case.preprocess,
            minimum_deployment_target=target,
        )
        manifest = convert(options)
        images = open_images(SHARED / "data" / case.data, manifest.image_spec, role="data", limit=limit)
        pixels = np.concatenate(list(images.batches()))
        labels = images.labels if case.labelled else None
        winners = {}
        for artifact in manifest.artifacts:
            path = Path(folder) / artifact.path
            if artifact.status == "failed":
                print(f"{artifact.name}: {artifact.reason}", file=sys.stderr)
                continue
            scores = open_runner(path, spec=manifest.image_spec).predict(pixels)
            winners[artifact.name] = decide(scores, manifest.output_kind)
        print(f"\n{case.name}, {len(pixels)} images\n")
        print("| artifact | iOS | size KiB | download KiB | top-1 | as float32 | as TFLite int8 | verdict |")
        print("| --- | --- | --: | --: | --: | --: | --: | --- |")
        for artifact in manifest.artifacts:
            if artifact.name in winners:
                print(_row(artifact, winners, labels))
        return len(winners) == len(manifest.artifacts)


def _row(artifact: Artifact, winners: dict[str, np.ndarray], labels: np.ndarray | None) -> str:
    own = winners[artifact.name]
    top1 = "" if labels is None else f"{np.mean(own == labels):.2%}"
    alike = [f"{np.mean(own == winners[f'base-tflite-{scheme}']):.2%}" for scheme in ("float32", "int8")]
    ios = (artifact.actual.minimum_deployment_target if artifact.actual else None) or ""
    sizes = [f"{size / 1024:.0f}" for size in (artifact.size_bytes, artifact.compressed_bytes)]
    name = artifact.name.removeprefix("base-").replace("-", " ", 1)
    return f"| {' | '.join([name, ios, *sizes, top1, *alike, artifact.parity.verdict if artifact.parity else ''])} |"


if __name__ == "__main__":
    main()
