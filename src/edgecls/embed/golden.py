"""The golden set: pictures as files, the exact pixels that must enter the model for each, and each artifact's scores on this machine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from edgecls.data import Skipped
from edgecls.data.decode import decode_image
from edgecls.embed.drawn import draw_pictures
from edgecls.errors import ArtifactError, DataError, WorkerError, reason_of
from edgecls.records.app_contract import GoldenImage, GoldenSet
from edgecls.records.image_spec import ImageSpec
from edgecls.runners import open_exact, open_runner
from edgecls.system.worker import Worker

FOLDER, MOST_PICTURES = "golden", 16
_SUFFIXES = frozenset((".png", ".jpg", ".jpeg"))  # what every platform decodes alike, or nearly
_DECODING: dict[str | None, Literal["lossless", "jpeg"]] = {"PNG": "lossless", "JPEG": "jpeg", "MPO": "jpeg"}
_ODD = re.compile(
    r"[^A-Za-z0-9_-]+"
)  # characters that names of assets and addresses do not take everywhere, and dots: `x.pixels.png` is ours
_DIGITS = 9  # that tell any two float32 numbers apart


@dataclass(frozen=True)
class Picture:
    """A picture of the set.

    Attributes:
        file, pixels_file: where it and its pixels lie, below the folder of the contract.
        pixels: uint8 [H, W, C] of the model's size.
    """

    name: str
    file: str
    pixels_file: str
    decoding: Literal["lossless", "jpeg"]
    pixels: np.ndarray


def write_pictures(folder: Path, spec: ImageSpec, source: Path | None) -> tuple[list[Picture], list[str]]:
    """Write pictures and their pixels into `folder`/golden.

    Args:
        source: the user's own picture or folder of pictures; None: those drawn here.

    Returns:
        The pictures, and remarks on what was left out.

    Raises:
        DataError: a picture that cannot be used, or none.
    """
    place = folder / FOLDER
    place.mkdir()
    chosen, notes = _own_pictures(source, place) if source else (draw_pictures(place), [])
    return [_picture(path, spec) for path in chosen], notes


def golden_set(pictures: Sequence[Picture], scores: dict[str, np.ndarray]) -> GoldenSet:
    """The set as its file tells of it.

    Args:
        scores: artifact -> float32 [pictures, outputs].
    """
    return GoldenSet(
        images=[
            GoldenImage(
                name=picture.name,
                file=picture.file,
                pixels=picture.pixels_file,
                decoding=picture.decoding,
                scores={name: [float(f"{value:.{_DIGITS}g}") for value in found[index]] for name, found in scores.items()},
            )
            for index, picture in enumerate(pictures)
        ]
    )


def score_pixels(paths: dict[str, Path], spec: ImageSpec, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """What artifacts answer to pixels [N, H, W, C], each as its engine on a phone does: sums are not clipped, whatever processor this is.

    Args:
        paths: artifact -> file.

    Raises:
        ArtifactError: an artifact cannot be computed, even where that ends its engine's process, or gives no numbers.
    """
    with Worker() as worker:
        found = {}
        for name, path in paths.items():
            try:
                found[name] = worker.call(_score, path, spec, pixels)
            except WorkerError as error:
                raise ArtifactError(
                    "a file that its engine survives", f"{path}: {error.found}", "convert the model again"
                ) from None
            if not np.isfinite(found[name]).all():
                raise ArtifactError(
                    "scores that are numbers", f"others from {name} on the golden pictures", "leave it out with --artifact"
                )
    return found


def _score(path: Path, spec: ImageSpec, pixels: np.ndarray) -> np.ndarray:
    opened = open_exact(path, spec=spec) if path.suffix == ".onnx" else open_runner(path, spec=spec)
    return opened.predict(pixels)


def _own_pictures(source: Path, place: Path) -> tuple[list[Path], list[str]]:
    """Copies of the user's pictures, under names that every platform takes."""
    below = (path for path in source.rglob("*") if path.suffix.lower() in _SUFFIXES and not path.is_dir())
    found = [source] if source.is_file() else sorted(below)
    if not found:
        reason = "without any" if source.is_dir() else "which does not exist"
        raise DataError("PNG or JPEG pictures", f"{source}, {reason}", "name a picture or a folder of pictures with --golden")
    copies: list[Path] = []
    for path in found[:MOST_PICTURES]:
        stem, suffix = _ODD.sub("-", path.stem), path.suffix.lower()
        taken = {copy.stem for copy in copies}
        names = (stem, *(f"{stem}-{number}" for number in range(2, MOST_PICTURES + 1)))
        copies.append(place / f"{next(name for name in names if name not in taken)}{suffix}")
        try:
            shutil.copyfile(path, copies[-1])
        except OSError as error:
            raise DataError("a picture that can be read", f"{path}: {reason_of(error)}", "choose others with --golden") from None
    left_out = len(found) - len(copies)
    return copies, [f"the golden set has the first {MOST_PICTURES} of {len(found)} pictures in {source}"] if left_out else []


def _picture(path: Path, spec: ImageSpec) -> Picture:
    try:
        with Image.open(path) as image:
            decoding = _DECODING.get(image.format)
    except (UnidentifiedImageError, OSError):
        decoding = None
    if decoding is None:
        raise DataError("a PNG or JPEG picture", f"{path.name}, which is none", "choose others with --golden")
    decoded = decode_image(path, spec)
    if isinstance(decoded, Skipped):
        raise DataError("a picture that can be decoded", f"{path.name}: {decoded.reason}", "choose others with --golden")
    pixels_path = path.with_name(f"{path.stem}.pixels.png")
    Image.fromarray(decoded.pixels[..., 0] if spec.channels == 1 else decoded.pixels).save(pixels_path, optimize=True)
    return Picture(path.stem, f"{FOLDER}/{path.name}", f"{FOLDER}/{pixels_path.name}", decoding, decoded.pixels)
