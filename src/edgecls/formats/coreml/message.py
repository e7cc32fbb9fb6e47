"""The messages of a Core ML model, without importing coremltools itself: that would load TensorFlow and take seconds."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from edgecls.errors import MissingExtraError

_ALIAS = "_edgecls_coreml_proto"


def parse_model(data: bytes | memoryview) -> Any:
    """A `Model` message from its bytes.

    Raises:
        google.protobuf.message.DecodeError: the bytes are no such message.
        MissingExtraError: coremltools, whose message definitions are used, is not installed.
    """
    model = _module("Model_pb2").Model()
    model.ParseFromString(bytes(data))
    return model


def dtype_name(number: int) -> str:
    """`float16` for 10, as in `MIL.DataType`; ValueError when there is none."""
    return _module("MIL_pb2").DataType.Name(number).lower()


@lru_cache
def _module(name: str) -> ModuleType:
    if "coremltools.proto" in sys.modules:
        return importlib.import_module(f"coremltools.proto.{name}")
    if _ALIAS not in sys.modules:
        _load_package()
    return importlib.import_module(f"{_ALIAS}.{name}")


def _load_package() -> None:
    """Load the folder `coremltools/proto`, which stands on protobuf alone, as a package of another name."""
    found = importlib.util.find_spec("coremltools")  # finds the folder, runs nothing
    if found is None or found.origin is None:
        raise MissingExtraError("the package coremltools", "No module named 'coremltools'", "run: pip install 'edgecls[coreml]'")
    folder = Path(found.origin).parent / "proto"
    spec = importlib.util.spec_from_file_location(_ALIAS, folder / "__init__.py", submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None:
        raise MissingExtraError("the message definitions of coremltools", f"none in {folder}", "install coremltools again")
    package = importlib.util.module_from_spec(spec)
    sys.modules[_ALIAS] = package
    spec.loader.exec_module(package)
