"""A sheet of pictures, row by row: what augmentation makes of some images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

_GAP = 4
_LEAST_SIDE = 96  # pixels of a tile; smaller images are enlarged by a whole number, so that their pixels are seen
_BACKGROUND = 255


def write_sample_sheet(path: Path, rows: np.ndarray) -> None:
    """Write images [rows, columns, H, W, C], 0..255, as one PNG."""
    height, width = rows.shape[2:4]
    factor = max(1, -(-_LEAST_SIDE // max(height, width)))
    tiles = np.clip(np.rint(rows), 0, 255).astype(np.uint8).repeat(factor, axis=2).repeat(factor, axis=3)
    tiles = np.pad(tiles, ((0, 0), (0, 0), (0, _GAP), (0, _GAP), (0, 0)), constant_values=_BACKGROUND)
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in tiles], axis=0)[:-_GAP, :-_GAP]
    Image.fromarray(sheet if sheet.shape[2] == 3 else sheet[..., 0]).save(path)
