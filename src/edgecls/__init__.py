"""edgecls: take a trained Keras image classifier to TFLite, Core ML and ONNX, prove the artifacts equal, and measure them.

`import edgecls` loads no framework; each public name is imported when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgecls.version import __version__ as __version__

_EXPORTS = {
    "EdgeclsError": "edgecls.errors",
    "ImageSpec": "edgecls.records.image_spec",
    "Manifest": "edgecls.records.artifact",
    "Report": "edgecls.records.report",
    "load_model": "edgecls.models",
    "open_runner": "edgecls.runners",
    "convert": "edgecls.workflow",
    "convert_model": "edgecls.workflow",
    "bench": "edgecls.workflow",
}
__all__ = ["__version__", *_EXPORTS]  # noqa: PLE0604 - the keys are strings

if TYPE_CHECKING:
    from edgecls.errors import EdgeclsError as EdgeclsError
    from edgecls.models import load_model as load_model
    from edgecls.records.artifact import Manifest as Manifest
    from edgecls.records.image_spec import ImageSpec as ImageSpec
    from edgecls.records.report import Report as Report
    from edgecls.runners import open_runner as open_runner
    from edgecls.workflow import bench as bench
    from edgecls.workflow import convert as convert
    from edgecls.workflow import convert_model as convert_model


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'edgecls' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
