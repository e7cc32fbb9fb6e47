"""A single file, whoever made it, as the artifacts folder that a conversion would have made of it."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecls.data.labels import are_default
from edgecls.errors import InputError
from edgecls.formats import describe, detect, file_sizes, sha256
from edgecls.records.artifact import SUFFIXES, Actual, Artifact, Manifest, Requested, Scheme, Source, Target
from edgecls.runners.scored import score_images
from edgecls.system.private_folder import temporary_folder
from edgecls.system.store import is_plain
from edgecls.version import __version__


@contextmanager
def folder_of(
    path: Path, preprocess: str | None = None, fit: str | None = None, filter: str | None = None, labels: Path | None = None
) -> Iterator[tuple[Path, Manifest]]:
    """A folder with a copy of one .tflite, .onnx or .mlpackage, and what its manifest would tell. It is opened as it lies there, alone:
    a file that needs others beside it is refused.

    Args:
        preprocess, fit, filter: how pictures enter it, where it does not say.
        labels: file with the names of its classes, or `imagenet`, instead of those it has.

    Raises:
        ArtifactError: it is none, damaged, or no image classifier.
        InputError: choices or labels that do not fit it, or a name that not every system takes.
    """
    target = detect(path)
    if not is_plain(path.name):
        raise InputError("a file name that every system takes", path.name, "rename it without colons and backslashes")
    with temporary_folder() as folder:
        copy = Path(folder) / path.name
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, copy)
        found, opened = describe(copy), score_images(copy, (), preprocess, fit, filter, labels)
        size, compressed = file_sizes(copy)
        scheme = _scheme(found.actual, target)
        artifact = Artifact(
            name=path.name.removesuffix(SUFFIXES[target]),
            path=path.name,
            target=target,
            scheme=scheme,
            requested=Requested(target=target, scheme=scheme),
            actual=found.actual,
            size_bytes=size,
            compressed_bytes=compressed,
            sha256=sha256(copy),
        )
        yield (
            Path(folder),
            Manifest(
                created=datetime.datetime.now(datetime.UTC),
                edgecls_version=__version__,
                source=Source(name=path.name, sha256=artifact.sha256, format=found.format),
                image_spec=opened.spec,
                labels=opened.labels,
                labels_source="default" if are_default(opened.labels) else "file",
                output_kind=opened.output_kind,
                outputs=opened.scores.shape[1],
                toolchain={},
                artifacts=[artifact],
            ),
        )


def _scheme(actual: Actual, target: Target) -> Scheme:
    """The scheme whose files hold what this one does."""
    if {"int8", "uint8"} & set(actual.activation_dtypes):
        return "int8"
    if actual.eight_bit_weights:
        return "weight8" if target == "coreml" else "dynamic"
    return "float16" if "float16" in actual.weight_dtypes else "float32"
