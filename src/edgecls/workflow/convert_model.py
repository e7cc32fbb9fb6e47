"""convert_model: a model in memory, or a file, to artifacts in memory, for notebooks and pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import DataError, InputError
from edgecls.records.artifact import DEFAULT_TARGETS, Activation, Artifact, Border, Manifest, OnnxBatch, OnnxLayout, Target
from edgecls.system.private_folder import temporary_folder
from edgecls.workflow.convert import convert
from edgecls.workflow.convert_options import ConvertOptions


@dataclass(frozen=True)
class ConvertedArtifact:
    """One artifact in memory.

    Attributes:
        record: its row of the manifest: what was asked, what the file holds, how it compares with the model.
        files: path below the artifact's own -> content; a TFLite or ONNX file is one of them, with an empty path.
    """

    record: Artifact
    files: Mapping[str, bytes]

    @property
    def content(self) -> bytes:
        """The bytes of a TFLite or ONNX file, as their runtimes take them.

        Raises:
            InputError: a Core ML package or SavedModel, which is a folder.
        """
        if "" not in self.files:
            raise InputError("a TFLite or ONNX artifact", f"{self.record.name}, a package of files", "use write(folder)")
        return self.files[""]

    def write(self, folder: Path) -> Path:
        """Write it into a folder under its own name; the path of the file or package."""
        path = Path(folder) / self.record.path
        for name, content in self.files.items():
            target = path / name if name else path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return path


@dataclass(frozen=True)
class ConvertedModel:
    """What a model became.

    Attributes:
        manifest: as `convert` writes it; also tells of artifacts that were rejected or failed, and why.
        artifacts: those that passed, by name.
    """

    manifest: Manifest
    artifacts: Mapping[str, ConvertedArtifact]

    def of(self, target: Target, scheme: str) -> ConvertedArtifact:
        """The artifact of one format and scheme.

        Raises:
            InputError: there is none; the message says why.
        """
        rows = [row for row in self.manifest.artifacts if (row.target, row.scheme) == (target, scheme)]
        if rows and rows[0].name in self.artifacts:
            return self.artifacts[rows[0].name]
        reason = f"{rows[0].status}: {rows[0].reason}" if rows else f"only {', '.join(self.artifacts) or 'nothing'}"
        raise InputError(f"an artifact {target} {scheme}", reason, "ask for it with targets, schemes and calibration")


def convert_model(
    model: Any,
    *,
    targets: Sequence[Target] = DEFAULT_TARGETS,
    schemes: str | None = None,
    calibration: Path | np.ndarray | None = None,
    labels: Path | Sequence[str] | None = None,
    preprocess: str | None = None,
    fit: str | None = None,
    filter: str | None = None,
    io: Border = "float32",
    keep_float: Sequence[str] = (),
    onnx_layout: OnnxLayout | None = None,
    onnx_batch: OnnxBatch | None = None,
    activation: Activation | None = None,
    output: str | None = None,
    signature: str | None = None,
    input_size: str | None = None,
    custom_objects: Path | None = None,
    allow_code: bool = False,
    verify: bool = True,
) -> ConvertedModel:
    """Convert a model and verify every artifact, without leaving files behind.

    Args:
        model: a Keras model of either generation, or the path of anything that `load_model` reads.
        targets: formats to make.
        schemes: as on the command line, `float32,int8` or `tflite:int8`; None for all that are possible.
        calibration: images for int8: a path, or an array [n, height, width, channels] of pixels 0..255 (uint8) or, as float32, of model
            inputs.
        labels: class names, or a file of them as `--labels` takes it.
        preprocess: how pixels enter the model, as `--preprocess`; None where the model tells.
        fit, filter: how pictures become the model's size, as `--fit` and `--filter`; None for squeezed, bilinear with antialiasing.
        io: what the int8 TFLite file takes and gives.
        keep_float: layers that stay float in int8 files.
        onnx_layout, onnx_batch: axes of the ONNX files' input, and how many images they take at once; None for the model's, and any number.
        activation: ends every file, where the model itself gives logits.
        output: of a model with several outputs, the one that classifies, or several of them as `a,b`.
        signature: of a SavedModel with several, the serving function.
        input_size: `224x224`, height x width, of a model that leaves them open.
        custom_objects: Python file with the model's own layers; it is run, so only with `allow_code`.
        allow_code: load files whose layers hold code.
        verify: compare every artifact with the model.

    Raises:
        InputError: the job is refused.
        StageError: reading or freezing the model failed. A single artifact that fails is a row of the manifest.
    """
    with temporary_folder() as folder:
        options = ConvertOptions(
            model=_as_file(model, folder),
            output=folder / "artifacts",
            targets=tuple(targets),
            schemes=schemes,
            calibration=_as_images(calibration, folder),
            labels=_as_label_file(labels, folder),
            preprocess=preprocess,
            fit=fit,
            filter=filter,
            io=io,
            keep_float=tuple(keep_float),
            onnx_layout=onnx_layout,
            onnx_batch=onnx_batch,
            activation=activation,
            model_output=output,
            signature=signature,
            input_size=input_size,
            custom_objects=custom_objects and Path(custom_objects),
            allow_code=allow_code,
            verify=verify,
        )
        manifest = convert(options)
        manifest.data = [source for source in manifest.data if not Path(source.path).is_relative_to(folder)]
        passed = [row for row in manifest.artifacts if row.status == "ok"]
        artifacts = {row.name: ConvertedArtifact(row, _read(options.folder / row.path)) for row in passed}
    return ConvertedModel(manifest, artifacts)


def _as_file(model: Any, folder: Path) -> Path:
    if isinstance(model, str | Path):
        return Path(model)
    if not any(kind.__module__.split(".")[0] in ("keras", "tf_keras") for kind in type(model).__mro__):
        raise InputError("a Keras model or the path of one", f"a {type(model).__name__}", "pass a keras.Model or a path")
    path = folder / f"{getattr(model, 'name', '') or 'model'}.keras"
    model.save(path)
    return path


def _as_images(images: Path | np.ndarray | None, folder: Path) -> Path | None:
    if images is None or isinstance(images, str | Path):
        return images and Path(images)
    if not isinstance(images, np.ndarray) or images.ndim != 4:
        found = f"an array of shape {images.shape}" if isinstance(images, np.ndarray) else f"a {type(images).__name__}"
        raise DataError("calibration images [n, height, width, channels], or a path", found, "stack the images into one array")
    path = folder / "calibration.npz"
    np.savez(path, x=images)
    return path


def _as_label_file(labels: Path | Sequence[str] | None, folder: Path) -> Path | None:
    if labels is None:
        return None
    if isinstance(labels, str | Path):
        return Path(labels)
    path = folder / "labels.txt"
    path.write_text("\n".join(labels), encoding="utf-8")
    return path


def _read(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    files = (part for part in sorted(path.rglob("*")) if part.is_file())
    return {part.relative_to(path).as_posix(): part.read_bytes() for part in files}
