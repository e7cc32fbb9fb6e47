"""Half precision while a network trains, where there is something to gain by it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from edgecls.errors import InputError
from edgecls.system.extras import require
from edgecls.system.processor import computes_bfloat16

FULL = "float32"
_TENSOR_CORES = (7, 0)  # compute capability from which on GPUs multiply float16 faster than float32


def half_policy() -> str:
    """The mixed precision of Keras that this machine gains by: `mixed_float16` on GPUs, `mixed_bfloat16` on processors.

    Raises:
        InputError: it gains by none.
    """
    config = require("tensorflow").config
    gpus = config.list_physical_devices("GPU")
    if gpus and config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0)) >= _TENSOR_CORES:
        return "mixed_float16"
    if not gpus and computes_bfloat16():
        return "mixed_bfloat16"
    raise InputError(
        "a GPU with tensor cores, or a processor with bfloat16 (AMX, AVX-512 BF16), for --half",
        "a GPU without them" if gpus else "a processor that computes half precision no faster",
        "leave --half out",
    )


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Build layers with a dtype policy of Keras."""
    config = require("keras").config
    before = config.dtype_policy()
    config.set_dtype_policy(name)
    try:
        yield
    finally:
        config.set_dtype_policy(before)
