"""The held-out images of a search, in two halves: one chooses among the candidates, the other judges the choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecls.errors import DataError
from edgecls.records.image_spec import ImageSpec
from edgecls.system.store import replacing
from edgecls.training.part import Images

CHOOSING_NAME, JUDGING_NAME = "choosing.npz", "judging.npz"


def write_halves(held_out: Images, spec: ImageSpec, folder: Path, remedy: str) -> tuple[int, int]:
    """Write every second held-out image to one archive, the others to another, as `edgecls bench --data` takes them.

    Args:
        remedy: where there are too few of them.

    Returns:
        Images in the choosing and in the judging half.

    Raises:
        DataError: not one of each, or a half of one class.
        OSError: the place cannot be written.
    """
    halves = held_out.chosen[::2], held_out.chosen[1::2]
    for half in halves:
        labels = held_out.labels[half]
        if not len(half) or (labels == labels[0]).all():
            raise DataError(
                "held-out images of at least two classes in each half",
                f"{len(half)} of one class" if len(half) else f"{len(held_out)} images held out",
                remedy,
            )
    for half, name in zip(halves, (CHOOSING_NAME, JUDGING_NAME), strict=True):
        pixels = held_out.pixels.take(half)
        if held_out.source.dtype != "uint8":  # an archive of floats holds model inputs
            pixels = spec.model_copy(update={"layout": "HWC"}).apply(pixels)
        with replacing(folder / name) as partial, partial.open("wb") as stream:
            # beside them all labels there are, which tell that rows are multi-hot where those of this half have one class each
            np.savez(stream, x=pixels, y=held_out.labels[half], y_train=held_out.labels)
    return len(halves[0]), len(halves[1])
