"""The held-out images of a search, in two halves: one chooses among the candidates, the other judges the choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecls.data import ImageSet
from edgecls.errors import DataError
from edgecls.records.image_spec import ImageSpec
from edgecls.system.store import replacing

CHOOSING_NAME, JUDGING_NAME = "choosing.npz", "judging.npz"


def write_halves(images: ImageSet, spec: ImageSpec, held_out: np.ndarray, folder: Path) -> tuple[int, int]:
    """Write every second held-out image to one archive, the others to another, as `edgecls bench --data` takes them.

    Args:
        held_out: indices of the images that are not trained on, ascending.

    Returns:
        Images in the choosing and in the judging half.

    Raises:
        DataError: not one of each, or a half of one class.
        OSError: the place cannot be written.
    """
    halves = held_out[::2], held_out[1::2]
    assert images.labels is not None
    for half in halves:
        labels = images.labels[half]
        if not len(half) or (labels == labels[0]).all():
            raise DataError(
                "held-out images of at least two classes in each half",
                f"{len(half)} of one class" if len(half) else f"{len(held_out)} images held out",
                "hold more out: --held-out 0.4, or give more images",
            )
    for half, name in zip(halves, (CHOOSING_NAME, JUDGING_NAME), strict=True):
        pixels = images.pixels.take(half)
        if images.dtype != "uint8":  # an archive of floats holds model inputs
            pixels = spec.model_copy(update={"layout": "HWC"}).apply(pixels)
        with replacing(folder / name) as partial, partial.open("wb") as stream:
            np.savez(stream, x=pixels, y=images.labels[half])
    return len(halves[0]), len(halves[1])
