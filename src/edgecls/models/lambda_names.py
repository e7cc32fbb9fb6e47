"""Names that the code of a Lambda layer takes from the module that it was written in. A model file holds the code alone."""

from __future__ import annotations

import builtins
import contextlib
import dis
import importlib
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

from edgecls.errors import UnsupportedModelError

_COMMON = {"math": "math", "np": "numpy", "numpy": "numpy", "tensorflow": "tensorflow", "tf": "tensorflow"}
# Package -> where it builds the function of a Lambda layer, and what the names mean that its users give its parts.
_OF_KERAS = {
    "keras": (
        "keras.src.utils.python_utils",
        {"K": "keras._tf_keras.keras.backend", "keras": "keras", "layers": "keras.layers", "ops": "keras.ops"},
    ),
    "tf_keras": (
        "tf_keras.src.utils.generic_utils",
        {"K": "tf_keras.backend", "keras": "tf_keras", "layers": "tf_keras.layers"},
    ),
}


@contextlib.contextmanager
def lambdas_know(keras: ModuleType, own: Mapping[str, Any]) -> Iterator[None]:
    """Give the Lambda layers that Keras reads the modules that their authors import under usual names, and names of a user's file.

    Keras gives them the names of a module of its own, where Keras 3 has not even TensorFlow.

    Args:
        own: name -> value; these come before the usual ones.

    Raises:
        UnsupportedModelError: a Lambda layer uses other names too.
    """
    place, usual = _OF_KERAS[keras.__name__]
    utils: Any = importlib.import_module(place)
    build = utils.func_load
    modules = {name: importlib.import_module(module) for name, module in (_COMMON | usual).items()}

    def build_with_names(
        code: Any, defaults: Any = None, closure: Any = None, globs: dict[str, Any] | None = None
    ) -> FunctionType:
        known = {**modules, **(vars(utils) if globs is None else globs), **own}
        function = build(code, defaults, closure, known)
        if missing := sorted(_globals_of(function.__code__) - known.keys() - vars(builtins).keys()):
            raise UnsupportedModelError(
                "Lambda layers that use no names of the module they were written in",
                f"one that uses {', '.join(missing)}, which the file does not hold",
                "import or define that in a Python file, and name it: --allow-code --custom-objects FILE.py",
            )
        return function

    utils.func_load = build_with_names
    try:
        yield
    finally:
        utils.func_load = build


def _globals_of(code: CodeType) -> set[str]:
    """Names that a function and those within it look up in their module."""
    own = {item.argval for item in dis.get_instructions(code) if item.opname == "LOAD_GLOBAL"}
    return own.union(*(_globals_of(part) for part in code.co_consts if isinstance(part, CodeType)))
