"""Custom objects: classes and functions that a model names and a Python file of the user's holds. Reading the file runs it."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from edgecls.errors import InputError, UnsafeModelError
from edgecls.models.config import objects
from edgecls.models.model_file import Generation
from edgecls.system.extras import require

_NOBODYS_OWN = {"keras", "tf_keras", "tensorflow", "numpy"} | sys.stdlib_module_names
_PACKAGES: dict[Generation, str] = {2: "tf_keras", 3: "keras"}
_OPTION = "--custom-objects"


@dataclass(frozen=True)
class CustomObjects:
    """What a file defines.

    Attributes:
        path: the file; None where there is none.
        named: name, as a model may write it -> class or function.
        module_names: all that stands in the file under a name, imports too, which the code of Lambda layers may use.
    """

    path: Path | None = None
    named: dict[str, Any] = field(default_factory=dict)
    module_names: dict[str, Any] = field(default_factory=dict)

    def for_model(self, config: Any) -> dict[str, Any]:
        """Those objects also under the names that a model writes with a package before them, whatever package the file registers."""
        written = {name for _, item in objects(config) for name in _names(item)}
        return self.named | {name: self.named[own_name(name)] for name in written if own_name(name) in self.named}

    def __contains__(self, name: str) -> bool:
        return own_name(name) in self.named


@contextlib.contextmanager
def registered(keras: ModuleType, named: dict[str, Any]) -> Iterator[None]:
    """Let Keras find these by their names while it reads a model; its scopes for that hide one another, its registry does not."""
    registry = keras.saving.get_custom_objects()
    before = dict(registry)
    registry.update(named)
    try:
        yield
    finally:
        registry.clear()
        registry.update(before)


def own_name(name: str) -> str:
    """A name without its package: `Mine` of `my_layers>Mine`."""
    return name.rpartition(">")[2]


def read_custom_objects(path: Path, generation: Generation, allow_code: bool) -> CustomObjects:
    """Run a Python file and take what it defines.

    Args:
        generation: of Keras, which the classes have to be of.

    Raises:
        UnsafeModelError: `allow_code` is not given; nothing was run.
        InputError: no file, an error in it, nothing in it, or classes of the other generation.
    """
    if not allow_code:
        raise UnsafeModelError(
            f"--allow-code beside {_OPTION}",
            f"{path}, Python code that would run, without it",
            "if you trust whoever wrote it, repeat with --allow-code",
        )
    keras = require(_PACKAGES[generation])  # before the file imports it: quietly, and on TensorFlow
    module = _run(path)
    names = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    if not names:
        raise InputError(
            f"layers, other classes or functions in the file for {_OPTION}",
            f"{path} without any",
            "name the file that defines them",
        )
    found = {name: value for name, value in names.items() if _is_own(value)}
    for name, value in found.items():
        if isinstance(value, type) and (other := _generation_of(value)) not in (None, generation):
            raise InputError(
                f"classes of Keras {generation} in the file for {_OPTION}, as the model is",
                f"{path}, whose {name} is of Keras {other}",
                f"import {_PACKAGES[generation]} in it, where it imports {_other_imports(generation)}",
            )
    named = {own_name(keras.saving.get_registered_name(value)): value for value in found.values()} | found
    return CustomObjects(path, named, names)


def _run(path: Path) -> ModuleType:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise InputError(f"a Python file for {_OPTION}", f"{path}: {error.strerror}", "check the path") from None
    name = f"edgecls_custom_objects_{hashlib.sha256(source).hexdigest()[:16]}"
    if name in sys.modules:  # of the same content: defined once, so that classes are the same each time
        return sys.modules[name]
    loader = importlib.machinery.SourceFileLoader(name, str(path.absolute()))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with _beside(path):
            loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        del sys.modules[name]
        raise InputError(f"a Python file that runs, for {_OPTION}", f"{path}{_place(error, path)}", "mend it there") from error
    return module


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[None]:
    """What is beside the file can be imported, as when Python runs it; what it prints goes where it disturbs no pipe."""
    folder = str(path.absolute().parent)
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        with contextlib.suppress(ValueError):  # the file may have changed the list itself
            sys.path.remove(folder)


def _place(error: BaseException, path: Path) -> str:
    """Line and error, as `, line 3: NameError: name 'x' is not defined`."""
    frames = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path.absolute())]
    is_its_own = isinstance(error, SyntaxError) and error.filename == str(path.absolute())
    line = error.lineno if is_its_own else frames[-1] if frames else None
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    first = next((part.strip() for part in text.splitlines() if part.strip()), "")
    return f"{f', line {line}' if line else ''}: {type(error).__name__}{f': {first[:300]}' if first else ''}"


def _is_own(value: Any) -> bool:
    """Whether a value of a module is a class or function that was written for models, there or in what it imports."""
    module = str(getattr(value, "__module__", None) or "")
    return callable(value) and hasattr(value, "__name__") and module.partition(".")[0] not in _NOBODYS_OWN


def _generation_of(cls: type) -> Generation | None:
    roots = {base.__module__.partition(".")[0] for base in cls.__mro__}
    return 2 if "tf_keras" in roots else 3 if "keras" in roots else None


def _other_imports(generation: Generation) -> str:
    return "keras or tensorflow.keras" if generation == 2 else "tf_keras"


def _names(item: dict[str, Any]) -> list[str]:
    """What one object of an architecture calls itself."""
    config = item.get("config") if item.get("class_name") == "function" else None
    return [name for name in (item.get("class_name"), item.get("registered_name"), config) if isinstance(name, str)]
