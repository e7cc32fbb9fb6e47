"""scikit-learn's handwritten digits: 1,797 real images of 8x8 grey pixels that come with the installation."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgecls.data.labels import label_by_value, label_for
from edgecls.data.source import Decoded, Role, Skipped
from edgecls.errors import MissingExtraError
from edgecls.records.image_spec import ImageSpec

DIGITS_NAME = "digits"
_TEST_EVERY = 5


def are_digits(path: Path) -> bool:
    """Whether a path is the name of the bundled digits; a file or folder that is called so is not."""
    return str(path) == DIGITS_NAME and not path.exists()


def digits_split(role: Role) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [N, 8, 8, 1] in 0..255 and labels int64 [N]: every fifth image is for `data`, the others for training."""
    table = np.loadtxt(_digits_file(), delimiter=",").astype(np.int64)  # 64 pixels and the label in each row
    test = np.arange(len(table)) % _TEST_EVERY == _TEST_EVERY - 1
    mine = table[test if role == "data" else ~test]
    pixels = np.rint(mine[:, :64] * (255 / 16)).astype(np.uint8)  # scikit-learn counts 0..16
    return pixels.reshape(-1, 8, 8, 1), mine[:, 64]


def _digits_file() -> Path:
    """scikit-learn's own file: importing scikit-learn to have it read would take a second."""
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("scikit-learn, which brings the digits", "none installed", "pip install scikit-learn")
    return Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")


class DigitsSource:
    """The bundled digits as a source."""

    dtype = "uint8"

    def __init__(self, spec: ImageSpec, role: Role, labels: Sequence[str] | None) -> None:
        self._spec = spec
        self._pixels, values = digits_split(role)
        self.total = len(self._pixels)
        names = [str(digit) for digit in range(10)]
        self.labelling = label_for(role, lambda: label_by_value(values, self.total, names, labels))
        self.notes = ["scikit-learn's digits, " + ("every fifth image" if role == "data" else "four of five images")]
        self.skipped: list[Skipped] = []

    def read(self, chosen: np.ndarray) -> Iterator[Decoded | Skipped]:
        """The chosen digits."""
        # Here, since both bring Pillow, which whoever only wants the name of the digits can do without.
        from edgecls.data.decode import convert_channels
        from edgecls.data.resize import fit_pixels

        pixels = convert_channels(self._pixels[chosen], self._spec.channels)
        assert pixels is not None  # the spec was checked by open_images
        for image in pixels:
            yield Decoded(fit_pixels(image, self._spec))

    def name(self, index: int) -> str:
        """Digits have no names."""
        return ""
