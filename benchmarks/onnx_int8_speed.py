"""How fast is the ONNX int8 file, which carries TFLite's parameters, beside onnxruntime's own static quantization of the same float file?

The other side is documented: `quant_pre_process`, then `quantize_static` in QDQ format with weights per channel, on the same
calibration images; once with int8 activations, its default, and once with uint8 ones. Its weights are int8, whose products saturate on x86
without VNNI, where ours are exact and take longer (see `onnx_int8_answers.py`). All files run in one process, in turns, one image
at a time; a ratio is that of the medians of all samples. Below it stands what onnxruntime makes of the files: the operations of its
optimized graph.

ResNet-8 and MobileNetV1-0.25 are models of others on real images, looked for in ../shared beside the clone; MobileNetV2 1.0-224 has random
weights and images. About two minutes on two cores.

    python benchmarks/onnx_int8_speed.py [--seconds 20] [--threads 1] [--models resnet,mobilenet,mobilenet_v2]
"""

from __future__ import annotations

import argparse
import collections
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from _artifacts import MODEL, PREPROCESS
from _documented_calls import onnx_int8
from _photos import save_photos
from edgecls.data import open_images
from edgecls.records.image_spec import ImageSpec
from edgecls.workflow import ConvertOptions, convert

SHARED = Path(__file__).resolve().parents[2] / "shared"
CALIBRATION_IMAGES = 32
BLOCK = 50  # inferences of one file before the next one's turn


@dataclass(frozen=True)
class Case:
    """A model and images of its kind, made or found in a folder."""

    name: str
    model: Callable[[Path], Path]
    images: Callable[[Path], Path]
    preprocess: str


def _shared(path: str) -> Callable[[Path], Path]:
    return lambda folder: SHARED / path


def _random_mobilenet(folder: Path) -> Path:
    path = folder / "mobilenet_v2.keras"
    subprocess.run([sys.executable, "-c", MODEL, path], check=True, capture_output=True)
    return path


def _random_photos(folder: Path) -> Path:
    save_photos(folder / "photos", CALIBRATION_IMAGES)
    return folder / "photos"


CASES = {
    "resnet": Case("MLPerf Tiny ResNet-8", _shared("zoo/mlperf_tiny/pretrainedResnet.h5"), _shared("data/cifar10.npz"), "0..255"),
    "mobilenet": Case(
        "MobileNetV1-0.25",
        _shared("zoo/imagenet_mobilenet_v1_025/mobilenet_v1_0.25_224.h5"),
        _shared("data/flowers"),
        "-1..1",
    ),
    "mobilenet_v2": Case("MobileNetV2 1.0-224, random weights", _random_mobilenet, _random_photos, PREPROCESS),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--models", default=",".join(CASES))
    arguments = parser.parse_args()
    print(
        f"| {arguments.threads} thread(s), median ms | its own, int8 | its own, uint8 | edgecls | to int8 | to uint8 | int8 again |"
    )
    print("| --- | --: | --: | --: | --: | --: | --: |")
    graphs = []
    for name in arguments.models.split(","):
        with tempfile.TemporaryDirectory() as folder:
            signed, unsigned, ours, image = _files(CASES[name], Path(folder))
            files = [signed, unsigned, ours, signed]
            signed_ms, unsigned_ms, ours_ms, again_ms = interleaved(files, image, arguments.seconds, arguments.threads)
            graphs += [(CASES[name].name, [_operations(path) for path in files[:3]])]
        ratios = [ours_ms / signed_ms, ours_ms / unsigned_ms]
        cells = [f"{value:.3f}" for value in (signed_ms, unsigned_ms, ours_ms, *ratios, again_ms / signed_ms)]
        print(f"| {CASES[name].name} | {' | '.join(cells)} |", flush=True)
    for model, counts in graphs:
        kinds = sorted({kind for nodes in counts for kind in nodes})
        print(f"\n{model}, optimized graph, its own int8 / its own uint8 / edgecls:")
        print(", ".join(f"{kind} {' / '.join(str(nodes[kind]) for nodes in counts)}" for kind in kinds))


def _files(case: Case, folder: Path) -> tuple[Path, Path, Path, np.ndarray]:
    """onnxruntime's own files with int8 and uint8 activations, ours, and an image for all."""
    images = case.images(folder)
    options = ConvertOptions(
        case.model(folder),
        output=folder / "out",
        targets=("onnx",),
        schemes="float32,int8",
        calibration=images,
        calibration_images=CALIBRATION_IMAGES,
        preprocess=case.preprocess,
        verify=False,
    )
    manifest = convert(options)
    inputs = _inputs(images, manifest.image_spec, manifest.labels)
    signed, unsigned = folder / "signed.onnx", folder / "unsigned.onnx"
    for path in (signed, unsigned):
        onnx_int8(folder / "out" / "base-onnx-float32.onnx", path, inputs, unsigned=path == unsigned)
    return signed, unsigned, folder / "out" / "base-onnx-int8.onnx", inputs[:1]


def _inputs(path: Path, spec: ImageSpec, labels: list[str]) -> np.ndarray:
    images = open_images(path, spec, role="calibration", labels=labels, limit=CALIBRATION_IMAGES)
    return spec.apply(np.concatenate(list(images.batches())))


def interleaved(paths: list[Path], image: np.ndarray, seconds: float, threads: int) -> list[float]:
    """Median milliseconds of each file, in blocks that take turns; the first block of each is not counted."""
    sessions = [_session(path, threads) for path in paths]
    samples: list[list[float]] = [[] for _ in paths]
    until, is_warm = time.perf_counter() + seconds, False
    while not all(samples) or time.perf_counter() < until:
        for session, taken in zip(sessions, samples, strict=True):
            name = session.get_inputs()[0].name
            for _ in range(BLOCK):
                started = time.perf_counter()
                session.run(None, {name: image})
                elapsed = time.perf_counter() - started
                if is_warm:
                    taken.append(1e3 * elapsed)
        is_warm = True
    return [float(np.median(taken)) for taken in samples]


def _session(path: Path, threads: int, optimized: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if optimized:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _operations(path: Path) -> collections.Counter[str]:
    optimized = path.with_suffix(".optimized.onnx")
    _session(path, 1, optimized)
    return collections.Counter(node.op_type for node in onnx.load(optimized).graph.node)


if __name__ == "__main__":
    main()
