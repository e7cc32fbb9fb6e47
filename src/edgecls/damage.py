"""What Python's zip reader raises on damaged archives, whatever of an archive is read: its index, or a compressed member."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib

ZIP_ERRORS: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
