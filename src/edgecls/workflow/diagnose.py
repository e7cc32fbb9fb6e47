"""diagnose: a quantized artifact, one that was rejected above all, and its float self -> which layers lose, why, and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np

from edgecls.data import ImageSet, open_images
from edgecls.diagnosis.advice import Circumstances, advise
from edgecls.diagnosis.layer_values import LayerRunner
from edgecls.diagnosis.sensitivity import Extremes, calibration_extremes, measure_sensitivity
from edgecls.errors import ArtifactError, DataError, EdgeclsError
from edgecls.formats import detect, read_record, require_unchanged
from edgecls.quantization.float_layers import short_name
from edgecls.records.artifact import Artifact, DataSource, Manifest, Requested, Target
from edgecls.records.diagnosis import Diagnosis
from edgecls.records.event import Event, OnEvent, ignore
from edgecls.records.image_spec import ImageSpec
from edgecls.workflow.bench import BenchRequest, images_of, is_there
from edgecls.workflow.clipped_sums import clipping_advice

BATCH = 8
TARGETS = {"tflite": "tflite", "onnx": "tflite,onnx"}  # the goal of --mixed-precision is measured on the TFLite file
OPENED_BY = {
    "--output": "output",
    "--signature": "signature",
    "--input-size": "input_size",
    "--custom-objects": "custom_objects",
}
# (target, scheme) of what can be diagnosed, in the order in which one is chosen where none is named
DIAGNOSED = (("tflite", "int8"), ("onnx", "int8"), ("tflite", "dynamic"))


@dataclass(frozen=True)
class DiagnoseRequest:
    """What `edgecls diagnose` was asked.

    Attributes:
        artifact: name of a quantized artifact in the folder, or a quantized file of the same model from elsewhere; None for the folder's
            int8 one.
        data: images; None for those the manifest remembers. Labels are not needed.
        limit: most images to look at, and as many calibration images.
    """

    folder: Path
    artifact: str | None = None
    data: Path | None = None
    limit: int = 100


def diagnose(request: DiagnoseRequest, on_event: OnEvent = ignore) -> Diagnosis:
    """Compare a quantized artifact with its float self, layer by layer.

    Args:
        on_event: told how many images are done.

    Raises:
        InputError: no quantized artifact, no float one beside it, files changed since conversion, or images that do not fit.
    """
    manifest = Manifest.read(request.folder)
    quantized = _quantized(manifest, request)
    reference = _reference(manifest, quantized, request.folder)
    place = request.folder if quantized.sha256 else Path(request.artifact or "").parent
    for row in (quantized, reference):
        if row.sha256:  # none of a file from elsewhere is known
            require_unchanged(request.folder / row.path, row)
        if row.requested.onnx_batch not in (None, 1, "free"):
            found = f"{row.path}, which takes {row.requested.onnx_batch}"
            raise ArtifactError("ONNX files that take one image at a time", found, "convert again without --onnx-batch")
    record, path = read_record(request.folder / reference.path), _data(manifest, request)
    spec = record.image_spec if record else manifest.image_spec  # the axes that the files take
    images = open_images(path, spec, role="data", labels=manifest.labels, limit=request.limit)
    runner = _open(request.folder / reference.path, place / quantized.path, quantized.target)
    calibration = _calibration(manifest, spec, runner, request.limit, on_event)
    found = measure_sensitivity(runner, _each(images, spec, "layers", on_event), manifest.output_kind, calibration)
    layers = [layer.name for layer in runner.layers]
    remembered = _source(manifest, "calibration")
    given = Circumstances(
        scheme=quantized.scheme,
        estimator=quantized.requested.estimator,
        calibration_images=remembered.images if remembered else 0,
        command=lambda arguments: _command(manifest, quantized, request, arguments),
        compress=f"edgecls compress {shlex.quote(manifest.source.name)} --data PATH --qat",
        show=lambda name: shlex.quote(short_name(name, layers)),
    )
    again = given.command("") if quantized.sha256 else None
    clipped = clipping_advice(place / quantized.path, spec, images, again)
    return Diagnosis(
        artifact=quantized.name,
        reference=reference.name,
        images=found.images,
        data=str(path),
        calibration_images=calibration.images if calibration else 0,
        snr_db=found.snr_db,
        agreement=found.agreement,
        decision=found.decision,
        layers=found.layers,
        advice=[*clipped, *advise(found, given)],
    )


def _quantized(manifest: Manifest, request: DiagnoseRequest) -> Artifact:
    if request.artifact and (path := Path(request.artifact)).is_file() and (target := detect(path)) != "coreml":
        requested = Requested(target=target, scheme="int8")
        return Artifact(name=path.stem, path=path.name, target=target, scheme="int8", requested=requested)
    rows = [row for row in manifest.artifacts if row.status != "failed" and (row.target, row.scheme) in DIAGNOSED]
    if not rows:
        raise ArtifactError(
            "a TFLite int8 or dynamic or an ONNX int8 artifact to diagnose",
            f"{', '.join(row.name for row in manifest.artifacts) or 'nothing'} in {request.folder}",
            "convert with the scheme int8 and --calibration PATH",
        )
    if request.artifact is None:
        return min(rows, key=lambda row: DIAGNOSED.index((row.target, row.scheme)))
    named = next((row for row in rows if row.name == request.artifact), None)
    if named is None:
        raise ArtifactError(
            f"--artifact among {', '.join(row.name for row in rows)}", repr(request.artifact), "choose one of them"
        )
    return named


def _reference(manifest: Manifest, quantized: Artifact, folder: Path) -> Artifact:
    wanted = (quantized.variant, quantized.target, "float32")
    rows = [row for row in manifest.artifacts if row.status == "ok" and (row.variant, row.target, row.scheme) == wanted]
    if not rows:
        raise ArtifactError(
            f"the float32 {quantized.target} artifact that {quantized.name} is compared with",
            f"none in {folder}",
            f"convert with --schemes float32,{quantized.scheme}",
        )
    return rows[0]


def _open(reference: Path, quantized: Path, target: Target) -> LayerRunner:
    match target:
        case "tflite":
            from edgecls.diagnosis.layers_tflite import TFLiteLayers

            return TFLiteLayers(reference, quantized)
        case "onnx":
            from edgecls.diagnosis.layers_onnx import OnnxLayers

            return OnnxLayers(reference, quantized)
        case "coreml" | "saved_model":
            raise ArtifactError("a .tflite or .onnx, whose layers can be read", quantized.name, "diagnose one of those beside it")
        case _:
            assert_never(target)


def _source(manifest: Manifest, role: str) -> DataSource | None:
    return next((source for source in manifest.data if source.role == role), None)


def _data(manifest: Manifest, request: DiagnoseRequest) -> Path:
    source, _ = images_of(BenchRequest(request.folder, data=request.data), manifest)
    if source is None:
        raise DataError("images to run both files on", "none that are known", "name some with --data")
    return source.path


def _calibration(manifest: Manifest, spec: ImageSpec, runner: LayerRunner, limit: int, on_event: OnEvent) -> Extremes | None:
    """Extremes on the calibration images; None where there are none any more. Without them the rest still holds."""
    source = _source(manifest, "calibration")
    if source is None or not is_there(source):
        return None
    try:
        most = min(source.images, limit) if source.images else limit
        images = open_images(Path(source.path), spec, role="calibration", labels=manifest.labels, limit=most)
        return calibration_extremes(runner, _each(images, spec, "calibration", on_event))
    except EdgeclsError:  # they have been changed into something else: as good as gone
        return None


def _each(images: ImageSet, spec: ImageSpec, stage: str, on_event: OnEvent) -> Iterator[np.ndarray]:
    """Model inputs [1, *input_shape], one at a time."""
    done = 0
    for pixels in images.batches(BATCH):
        for value in spec.apply(pixels):
            yield value[None]
            done += 1
            on_event(Event(stage, "", done, images.candidates))


def _command(manifest: Manifest, row: Artifact, request: DiagnoseRequest, arguments: str) -> str:
    """The command that converts again, as far as the manifest knows the first one; `arguments` come on top and replace their like."""
    calibration, data = _source(manifest, "calibration"), _source(manifest, "data")
    spec, given = manifest.image_spec, f" {arguments} "
    parts = [
        "edgecls convert",
        shlex.quote(manifest.source.name),
        f"--targets {TARGETS[row.target]}",
        f"--schemes float32,{row.scheme}",
    ]
    opened = {flag: getattr(manifest.source, name) for flag, name in OPENED_BY.items()}
    parts += [f"{flag} {shlex.quote(value)}" for flag, value in opened.items() if value is not None]
    if manifest.source.custom_objects is not None:
        parts.append("--allow-code")
    if row.requested.io != "float32":
        parts.append(f"--io {row.requested.io}")
    if spec.provenance == "declared":
        parts.append("--preprocess=" + shlex.quote(spec.preprocess))
    if spec.fit_provenance == "declared":
        parts.append(f"--fit {spec.fit_choice}")
    if spec.filter_provenance == "declared":
        parts.append(f"--filter {spec.filter}")
    if calibration is not None and " --calibration " not in given:
        parts.append(f"--calibration {shlex.quote(calibration.path)}")
        if calibration.images and " --calibration-images " not in given:
            parts.append(f"--calibration-images {calibration.images}")
    if manifest.labels_source == "file":
        parts.append("--labels FILE")
    known_data = f"--data {shlex.quote(data.path)}" if data is not None else ""
    arguments = arguments.replace("--data PATH", known_data or "--data PATH")
    if known_data and " --data " not in given:
        parts.append(known_data)
    if row.requested.onnx_layout is not None:
        parts.append(f"--onnx-layout {row.requested.onnx_layout}")
    if row.requested.keep_float and "--mixed-precision" not in arguments:
        parts += [f"--keep-float {shlex.quote(name)}" for name in row.requested.keep_float]
    return " ".join([*parts, arguments, f"-o {shlex.quote(str(request.folder))}"])
