"""diagnose: a quantized artifact, one that was rejected above all, and its float self -> which layers lose, why, and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.artifact import Artifact, DataSource, Manifest
from edgecls.data import ImageSet, open_images
from edgecls.diagnosis import Diagnosis
from edgecls.errors import ArtifactError, DataError
from edgecls.evaluation.sensitivity import advise, measure
from edgecls.image_spec import ImageSpec
from edgecls.workflow.bench import BenchRequest, change_since_conversion, images_of, is_there

QUANTIZED = ("int8", "dynamic")  # the first that is there is diagnosed
BATCH = 8


@dataclass(frozen=True)
class DiagnoseRequest:
    """What `edgecls diagnose` was asked.

    Attributes:
        folder: artifacts folder.
        artifact: name of a quantized TFLite artifact; None for the folder's first.
        data: images; None for those the manifest remembers.
        limit: most images, and most calibration images, to look at.
    """

    folder: Path
    artifact: str | None = None
    data: Path | None = None
    limit: int = 100


def diagnose(request: DiagnoseRequest) -> Diagnosis:
    """Hold every layer of a quantized artifact against its float self.

    Raises:
        ArtifactError: no quantized or no float32 TFLite artifact, or one that changed since conversion.
        DataError: no images, or none that fit.
    """
    manifest = Manifest.read(request.folder)
    quantized = _quantized(request, manifest)
    reference = _reference(request.folder, manifest, quantized)
    for artifact in (quantized, reference):
        if reason := change_since_conversion(request.folder / artifact.path, artifact):
            raise ArtifactError("artifacts as they were converted", f"{artifact.name}, {reason}", "run `edgecls convert` again")
    source, _ = images_of(BenchRequest(request.folder, data=request.data, limit=request.limit), manifest)
    if source is None:
        raise DataError("images to run both files on", "none that are known", "name some with --data")
    spec = manifest.image_spec
    images = open_images(source.path, spec, role="data", labels=manifest.labels, limit=request.limit)
    known = next((entry for entry in manifest.data if entry.role == "calibration" and is_there(entry)), None)
    calibration = open_images(Path(known.path), spec, role="calibration", limit=request.limit) if known else None
    found = measure(
        request.folder / reference.path,
        request.folder / quantized.path,
        _inputs(images, spec),
        _inputs(calibration, spec) if calibration else (),
    )
    return Diagnosis(
        artifact=quantized.name,
        reference=reference.name,
        images=found.images,
        data=str(source.path),
        calibration_images=found.calibration_images,
        snr_db=found.snr_db,
        agreement=found.agreement,
        layers=found.layers,
        advice=advise(found, quantized.requested.estimator, _commands(manifest, known, source.path)),
    )


def _quantized(request: DiagnoseRequest, manifest: Manifest) -> Artifact:
    made = [row for row in manifest.artifacts if row.target == "tflite" and row.scheme in QUANTIZED and row.status != "failed"]
    made.sort(key=lambda row: QUANTIZED.index(row.scheme))
    chosen = [row for row in made if request.artifact in (None, row.name)]
    if not chosen:
        names = ", ".join(row.name for row in made) or "none in this folder"
        found = f"{request.artifact!r}; there: {names}" if request.artifact else names
        raise ArtifactError(
            "a quantized TFLite artifact", found, "make one: edgecls convert MODEL --targets tflite --calibration IMAGES"
        )
    return chosen[0]


def _reference(folder: Path, manifest: Manifest, quantized: Artifact) -> Artifact:
    for row in manifest.artifacts:
        if (row.variant, row.target, row.scheme, row.status) == (quantized.variant, "tflite", "float32", "ok"):
            return row
    found = f"no float32 TFLite artifact of {quantized.variant} in {folder}"
    raise ArtifactError("the float self of the artifact beside it", found, "convert with the scheme float32 too")


def _inputs(images: ImageSet, spec: ImageSpec) -> Iterator[np.ndarray]:
    return (spec.apply(pixels) for pixels in images.batches(BATCH))


def _commands(manifest: Manifest, calibration: DataSource | None, data: Path) -> dict[str, str]:
    """The commands that made the artifacts, as far as the manifest tells."""
    model = shlex.quote(manifest.source.name)
    images = shlex.quote(calibration.path if calibration else str(data))
    return {
        "convert": f"edgecls convert {model} --calibration {images}",
        "compress": f"edgecls compress {model} --data {images}",
    }
