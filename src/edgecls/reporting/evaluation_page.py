"""The page of an Evaluation: figures, classes, confusion, calibration, the worst mistakes as pictures, and the curves of training."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.records.evaluation import Evaluation, Mistake
from edgecls.records.image_spec import ImageSpec
from edgecls.reporting.confusion import matrix_of
from edgecls.reporting.curves import curves_of, reliability_of
from edgecls.reporting.evaluation import classes_grid, figures
from edgecls.reporting.page import sort_keys
from edgecls.reporting.templating import render

_LOSSLESS_PIXELS = 64 * 64  # up to here a PNG is small; a photograph of more is a JPEG


@dataclass(frozen=True)
class Picture:
    """One mistake as it is shown; `source` is a data URL, empty where there is no picture."""

    source: str
    image: str
    truth: str
    answer: str
    confidence: str


def evaluation_page(
    evaluation: Evaluation,
    *,
    title: str,
    pictures: Mapping[int, np.ndarray],
    history: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """One self-contained HTML page; the same input gives the same bytes.

    Args:
        title: of the page.
        pictures: index of an image -> its pixels [H, W, C] or [H, W], 0..255, as the model saw it; those of the mistakes are shown.
        history: what was measured of each epoch of training, name -> number; `val_` begins the names of validation.
    """
    accuracy = evaluation.accuracy
    grid = classes_grid(evaluation)
    return render(
        "evaluation.html.j2",
        title=title,
        evaluation=evaluation,
        figures=figures(evaluation),
        grid=grid,
        keys=sort_keys(grid),
        matrix=matrix_of(title, accuracy.confusion, evaluation.labels) if accuracy and accuracy.confusion else None,
        reliability=reliability_of(accuracy.calibration) if accuracy and accuracy.calibration else None,
        ece=accuracy.calibration.ece if accuracy and accuracy.calibration else None,
        pictures=[_picture(found, evaluation.labels, pictures.get(found.index)) for found in evaluation.mistakes],
        curves=curves_of(history or ()),
        contract=_contract(evaluation.image_spec),
    )


def _picture(found: Mistake, labels: Sequence[str], pixels: np.ndarray | None) -> Picture:
    def names(classes: Sequence[int]) -> str:
        return ", ".join(labels[index] for index in classes) or "nothing"

    confidence = "" if found.confidence is None else f"{found.confidence:.1%}"
    source = "" if pixels is None else picture_url(pixels)
    return Picture(source, found.image or f"image {found.index}", names(found.truth), names(found.answer), confidence)


def picture_url(pixels: np.ndarray) -> str:
    """Pixels as `as_pixels` takes them as a data URL."""
    from PIL import Image

    values = as_pixels(pixels)
    kind = "PNG" if values.shape[0] * values.shape[1] <= _LOSSLESS_PIXELS else "JPEG"
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind, quality=85)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


def as_pixels(pixels: np.ndarray) -> np.ndarray:
    """Pixels [H, W, C] or [H, W] as uint8 [H, W, 3] or [H, W]: of other than 3 channels the first. Numbers outside 0..255, or within 0..1,
    are stretched over it: archives may hold model inputs."""
    values = np.asarray(pixels)
    if values.ndim == 3 and values.shape[2] != 3:
        values = values[..., 0]
    if values.dtype == np.uint8:
        return values
    values = values.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255 or high <= 1:
        values = (values - low) * (255 / (high - low or 1.0))
    return values.round().astype(np.uint8)


def _contract(spec: ImageSpec | None) -> str:
    """How pictures became model inputs, in a sentence."""
    if spec is None:
        return ""
    numbers = f"mean {', '.join(f'{value:g}' for value in spec.mean)}, std {', '.join(f'{value:g}' for value in spec.std)}"
    pixels = f"{spec.height} x {spec.width}, {spec.resizing_words}, {numbers} in pixels of 0..255 ({spec.provenance})"
    return f"Pictures entered as {pixels}."
