"""InputRange: whether float arrays can be what a model takes. Scaled for another model they would give answers without sense."""

from __future__ import annotations

import numpy as np

from edgecls.errors import DataError
from edgecls.records.image_spec import ImageSpec

# In widths of the range that pixels become in the model.
_PIXELS_BEYOND = 1.5  # nothing below 0 and this far above the range: pixels; standardized inputs have values below 0 as well
_ANY_BEYOND = 50.0  # no standardization reaches so far
_TINY = 1 / 50  # 0..1 and -1..1 where 0..255 is expected


class InputRange:
    """Follows least and greatest value of float images while they are read.

    Args:
        spec: tells which model inputs pixels become.
        where: file and array, for messages.
    """

    def __init__(self, spec: ImageSpec, where: str) -> None:
        self._low, self._high = spec.input_range
        self._width = self._high - self._low
        self._where = where
        self._least, self._most = np.inf, -np.inf

    def add(self, values: np.ndarray) -> None:
        """Count in the values of some images.

        Raises:
            DataError: values that are no finite numbers, or further off than any scaling for this model could be.
        """
        least, most = float(values.min()), float(values.max())
        if not (np.isfinite(least) and np.isfinite(most)):
            raise DataError("finite numbers", f"NaN or infinity in {self._where}", "clean the array")
        self._least, self._most = min(self._least, least), max(self._most, most)
        beyond = _ANY_BEYOND * self._width
        if self._least < self._low - beyond or self._most > self._high + beyond:
            raise self._error()

    def check(self) -> None:
        """Judge all that was counted.

        Raises:
            DataError: pixels where the model takes scaled values, or the other way round.
        """
        pixels = self._least >= 0 and self._most > self._high + _PIXELS_BEYOND * self._width
        tiny = 0 < self._most - self._least <= _TINY * self._width  # one value alone tells nothing of a scale
        if pixels or tiny:
            raise self._error()

    def _error(self) -> DataError:
        return DataError(
            f"floats that are model inputs, about {self._low:.4g} to {self._high:.4g} for pixels 0 to 255",
            f"values from {self._least:.4g} to {self._most:.4g} in {self._where}",
            "save pixels as uint8 0..255, or scale the floats as the model expects them (--preprocess tells edgecls how)",
        )
