"""Images and labels at a model's size: class folders, flat folders, single files, `.npz` archives, the bundled digits."""

from __future__ import annotations

from edgecls.data.image_set import ImageSet, open_images
from edgecls.data.pixel_file import PixelFile
from edgecls.data.source import Skipped
from edgecls.data.synthetic import synthetic_pixels

__all__ = ["ImageSet", "PixelFile", "Skipped", "open_images", "synthetic_pixels"]
