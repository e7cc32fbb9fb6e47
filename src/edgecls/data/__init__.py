"""Images and labels at a model's size: class folders, flat folders, single files, `.npz` archives, the bundled digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecls.system.lazy import export_lazily

if TYPE_CHECKING:
    from edgecls.data.image_set import ImageSet as ImageSet
    from edgecls.data.image_set import open_images as open_images
    from edgecls.data.pixel_file import PixelFile as PixelFile
    from edgecls.data.source import Skipped as Skipped
    from edgecls.data.synthetic import synthetic_pixels as synthetic_pixels

_EXPORTS = {
    "image_set": ("ImageSet", "open_images"),
    "pixel_file": ("PixelFile",),
    "source": ("Skipped",),
    "synthetic": ("synthetic_pixels",),
}
__all__ = export_lazily(__name__, _EXPORTS)  # noqa: PLE0605 - a list of strings
