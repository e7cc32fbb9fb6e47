"""Content: what goes into an app, made in a folder of its own before any of it does."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgecls.embed.border import embedded
from edgecls.embed.golden import golden_set, score_pixels, write_pictures
from edgecls.formats import require_unchanged
from edgecls.records.app_contract import CONTRACT_NAME, GOLDEN_NAME, AppContract
from edgecls.records.artifact import Artifact, Manifest
from edgecls.version import __version__

_CHANNELS = (1, 3)  # that pictures have


@dataclass
class Content:
    """The folder of the contract.

    Attributes:
        folder: where it lies now.
        golden: names below it that belong to the golden set.
        names: all names below it: files, and packages as one.
        notes: what a person should know.
    """

    folder: Path
    contract: AppContract
    names: list[str]
    golden: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_content(
    place: Path, source: Path, manifest: Manifest, artifacts: Sequence[Artifact], golden: Path | None, *, with_golden: bool
) -> Content:
    """Write everything that an app needs into a new folder.

    Args:
        place: the folder.
        source: the artifacts folder.
        golden: the user's own pictures; None: those drawn here.
        with_golden: whether there is a golden set at all.

    Raises:
        ArtifactError: an artifact changed since conversion, or cannot be computed here.
        DataError: pictures that cannot be used.
    """
    place.mkdir()
    rows = []
    for artifact in artifacts:
        path = source / artifact.path
        require_unchanged(path, artifact)
        rows.append(embedded(source, artifact))
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, place / artifact.path)
    contract = AppContract(
        model=manifest.source.name,
        edgecls_version=__version__,
        source_sha256=manifest.source.sha256,
        labels=manifest.labels,
        output_kind=manifest.output_kind,
        image_spec=manifest.image_spec,
        artifacts=rows,
    )
    content = Content(place, contract, [CONTRACT_NAME, *(artifact.path for artifact in artifacts)])
    if with_golden:
        _add_golden(content, source, artifacts, golden)
    (place / CONTRACT_NAME).write_text(content.contract.to_json(), encoding="utf-8")
    return content


def _add_golden(content: Content, source: Path, artifacts: Sequence[Artifact], own: Path | None) -> None:
    spec = content.contract.image_spec
    if spec.channels not in _CHANNELS:
        content.notes.append(f"no golden set: pictures have 1 or 3 channels, the model takes {spec.channels}")
        return
    pictures, notes = write_pictures(content.folder, spec, own)
    pixels = np.stack([picture.pixels for picture in pictures])
    scores = score_pixels({artifact.name: source / artifact.path for artifact in artifacts}, spec, pixels)
    text = golden_set(pictures, scores).model_dump_json()
    (content.folder / GOLDEN_NAME).write_text(text + "\n", encoding="utf-8")
    content.contract = content.contract.model_copy(update={"golden": GOLDEN_NAME})
    content.golden = [GOLDEN_NAME, *(name for picture in pictures for name in (picture.file, picture.pixels_file))]
    content.names += content.golden
    content.notes += notes
