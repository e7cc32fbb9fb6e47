"""What the readers of zip and NumPy archives raise on damaged ones, whatever is read: the index, a compressed member, an array's header."""

from __future__ import annotations

import lzma
import struct
import tokenize
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
NPZ_ERRORS = (*ZIP_ERRORS, AttributeError, MemoryError, SyntaxError, TypeError, tokenize.TokenError)
