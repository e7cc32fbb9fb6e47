"""Optional frameworks: imported late, quietly, and with one clear error when they are not installed."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType

from edgecls.errors import MissingExtraError

_NAMES = {
    "tensorflow_model_optimization": "tensorflow-model-optimization",
    "tf_keras": "tf-keras",
    "litert_quantizer": "litert-quantizer",
}
_TENSORFLOW_FAMILY = {
    "tensorflow",
    "keras",
    "tf_keras",
    "tf2onnx",
    "coremltools",
    "tensorflow_model_optimization",
    "litert_quantizer",
}
# What Keras and coremltools import where it is installed, for parts of theirs that nothing here uses: half the time of their own import.
_UNUSED = ("matplotlib", "pandas", "sklearn", "torch", "torchaudio", "torchvision", "transformers", "xgboost")
_LOGGERS = ("absl", "tensorflow", "tf_keras", "tf2onnx", "coremltools")
# What TensorFlow and LiteRT write to stderr whatever their log levels say.
_CHATTER = re.compile(
    rb"[IWE]\d{4} |WARNING: All log messages before absl|To enable the following instructions|INFO: Created TensorFlow Lite|\s*$"
)


@dataclass
class _Process:
    """What is known of this process."""

    is_own: bool = False


_process = _Process()


def take_as_own() -> None:
    """Say that this process runs edgecls alone: its frameworks are then imported without what only other programs use of them.

    To be called before NumPy and pydantic are imported. The threads of NumPy's matrix products keep a core busy while they wait for the
    next one, which other processes of the same command want: rounding the weights of MobileNetV2 took three to eight times the processor
    time with them. Plugins of pydantic are other programs', and looking for them is reading what every installed package offers.
    """
    _process.is_own = True
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def require(module: str, extra: str = "convert") -> ModuleType:
    """Import a module of an extra, without the messages its frameworks write for developers.

    Raises:
        MissingExtraError: it, or something it needs, is not installed.
    """
    loaded = sys.modules.get(module)
    if loaded is not None:
        return loaded
    is_first = "tensorflow" not in sys.modules
    quiet = _quiet_import() if module.partition(".")[0] in _TENSORFLOW_FAMILY else contextlib.nullcontext()
    try:
        with quiet:
            found = importlib.import_module(module)
    except ImportError as error:
        package = _NAMES.get(module.partition(".")[0], module.partition(".")[0])
        raise MissingExtraError(f"the package {package}", str(error), f"run: pip install 'edgecls[{extra}]'") from None
    if is_first and "tensorflow" in sys.modules and gc.get_freeze_count():
        gc.freeze()  # in `new_objects_alone`, which these are not any more: a quarter of a second each time the collector walks them
    return found


@contextlib.contextmanager
def hidden(modules: Iterable[str]) -> Iterator[None]:
    """Let none of the modules be found that nobody has imported yet: libraries go on without those they merely support."""
    names = [name for name in modules if name not in sys.modules]
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]  # as the import system marks a module that must not be found
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


def without_unused() -> AbstractContextManager[None]:
    """Import frameworks in here: in a process of edgecls' own without what they would import for parts that it does not use."""
    return hidden(_UNUSED if _process.is_own else ())


@contextlib.contextmanager
def quiet_frameworks() -> Iterator[None]:
    """Keep what the frameworks log, warn and write to stderr for their developers from the user; anything else is passed on."""
    sys.stderr.flush()
    with _without_logs(), tempfile.TemporaryFile() as captured:
        try:
            kept = os.dup(2)
        except OSError:  # no stderr at all: nothing to keep quiet
            yield
            return
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            captured.seek(0)
            os.write(2, b"".join(line for line in captured if not _CHATTER.match(line)))
            os.close(kept)


@contextlib.contextmanager
def _without_logs() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _quiet_import() -> Iterator[None]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _keras_on_tensorflow(), quiet_frameworks(), without_unused():
        try:
            yield
        finally:
            for name in _LOGGERS:  # absl sets its own level while it is imported
                logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def _keras_on_tensorflow() -> Iterator[None]:
    """Keras 3 reads its backend from KERAS_BACKEND while it is imported; the variable is put back as it was."""
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        yield
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before
