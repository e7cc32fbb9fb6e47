"""Keras files of both generations: the installed framework of that generation reads them, after the scan and the repairs."""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import platform
import re
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edgecls.errors import EdgeclsError, ModelFileError, UnsupportedModelError
from edgecls.models import tfjs, tfmot
from edgecls.models.config import without_compilation
from edgecls.models.custom_objects import CustomObjects, registered
from edgecls.models.dequantize import dequantize
from edgecls.models.lambda_names import lambdas_know
from edgecls.models.model_file import Generation, ModelFile, is_legacy_weights
from edgecls.models.repairs import name_functions, name_operations, repair_architecture, repair_fields
from edgecls.models.safety import CUSTOM_REMEDY, refuse, scan_config
from edgecls.models.statistics import take_over_statistics
from edgecls.models.windows_paths import has_windows_paths, write_with_slashes
from edgecls.records.artifact import Repair
from edgecls.system.archive_errors import ZIP_ERRORS
from edgecls.system.extras import require
from edgecls.system.private_folder import temporary_folder

PACKAGES: dict[Generation, str] = {2: "tf_keras", 3: "keras"}
_SUFFIXES = {"h5": (".h5", ".hdf5"), "keras": (".keras",)}
_LOAD_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, MemoryError, NameError, OSError,
    RuntimeError, SystemError, TypeError, ValueError,
)  # fmt: skip
_OPERATION_MODULES = ("numpy", "core", "nn", "math", "image", "linalg", "einops")
_UNTRACEABLE = re.compile(r"[^A-Za-z0-9_.\\/>-]")
_TRACEABLE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")  # names of TensorFlow's outermost scopes
# where the classes of models are that Keras 3 writes into an `.h5` by their name alone
_MODEL_MODULES = {"Functional": "keras.src.models.functional", "Model": "keras", "Sequential": "keras"}
_CALLED = re.compile(r"Exception encountered when calling .*?\x1b\[1m(?P<cause>.*?)\x1b\[0m", re.DOTALL)
_UNTRACED = "<stack traces unavailable>"  # ends what TensorFlow says of the place in a graph
_UNKNOWN = (
    re.compile(r"Unknown (?P<kind>[a-z ]+): ?'?(?P<name>[\w>.]+)"),
    re.compile(r"(?P<kind>activation function) identifier: (?P<name>[\w>.]+)"),
    re.compile(r"Could not (?:locate|deserialize) (?P<kind>class|function) '(?P<name>[\w>.]+)'"),
)


@dataclass(frozen=True)
class _Reading:
    """How a file is read, whatever of its architecture is repaired.

    Attributes:
        weights_are_legacy: whether those beside an architecture have the layout of Keras 2.
        windows_paths: whether the groups of the weights in the file are named with backslashes.
        custom: what the user's own file defines.
    """

    keras: ModuleType
    file: ModelFile
    weights: Path | None
    weights_are_legacy: bool
    allow_code: bool
    windows_paths: bool
    custom: CustomObjects


def load_keras(file: ModelFile, weights: Path | None, allow_code: bool, custom: CustomObjects) -> tuple[Any, list[Repair]]:
    """Load a Keras file with the framework of its own generation.

    Args:
        custom: classes and functions it may name.

    Returns:
        the Keras model, not compiled, and what was changed to load it.

    Raises:
        UnsafeModelError, UnsupportedModelError, ModelFileError, MissingExtraError.
    """
    assert file.config is not None and file.generation is not None
    config = without_compilation(file.config)
    repaired, repairs = repair_architecture(config, file.generation)
    refuse([finding for finding in scan_config(repaired) if finding.name not in custom], allow_code)
    if file.kind == "keras" and file.generation == 2 and tfmot.has_rounding(repaired):
        raise ModelFileError(
            "a file that tf_keras can read",
            f"{file.path}, whose layers were wrapped for int8: of those tf_keras writes more into a .keras than it reads",
            "where it was made, save it with model.save('model.h5')",
        )
    keras = require(PACKAGES[file.generation])
    windows_paths = file.kind == "keras" and has_windows_paths(file.path)
    if windows_paths:
        repairs.append(
            Repair(layer="", field="weights", action="their groups, named with backslashes by Windows, read with slashes")
        )
    reading = _Reading(keras, file, weights, _check_weights(file, weights), allow_code, windows_paths, custom)
    if file.generation == 3:
        repairs += name_operations(repaired, _operation_module)
    elif file.kind == "h5":
        repairs += name_functions(repaired)
    try:
        model, stripped = _read(reading, repaired)
        return _with_inputs(reading, repaired, model), [*repairs, *stripped, *_rename(model)]
    except load_errors() as error:
        first = error
    more, dropped = repair_fields(
        repaired, lambda name: _layer_class(keras, name), lambda field, value: _is_known(keras, field, value)
    )
    if not dropped:
        raise explain(first, file, custom) from first
    try:
        model, stripped = _read(reading, more)
        return _with_inputs(reading, more, model), [*repairs, *dropped, *stripped, *_rename(model)]
    except load_errors() as error:
        raise explain(error, file, custom) from error


_MARSHAL = re.compile(r"marshal data|EOF read where object expected")  # what `marshal.loads` says of the code of another Python
_TRACED = (
    "with the Python that wrote it, make a SavedModel, which holds no Python code: model.export('folder'), in Keras 2 "
    "model.save('folder', save_format='tf'); then convert that folder"
)


def load_errors() -> tuple[type[Exception], ...]:
    """What the frameworks raise when a file does not fit them."""
    return (*_LOAD_ERRORS, *ZIP_ERRORS, require("tensorflow").errors.OpError)


def explain(error: BaseException, file: ModelFile, custom: CustomObjects) -> EdgeclsError:
    """The error of a framework in one line, with what to do."""
    text = str(error)
    places = [str(path) for path in (file.path, custom.path) if path]
    for pattern in _UNKNOWN:
        if unknown := pattern.search(text):
            kind = unknown["kind"].replace("class", "layer")
            found = f"the custom {kind} {unknown['name']}, whose code is not in {' and '.join(places)}"
            return UnsupportedModelError("a model of Keras's own classes", found, CUSTOM_REMEDY)
    if _MARSHAL.search(text):
        found = "a Lambda layer whose code another version of Python wrote, which no other reads"
        return ModelFileError(f"Python code of {platform.python_version()}", f"{file.path}: {found}", _TRACED)
    if custom.path:
        return ModelFileError(
            "a model and custom objects that fit it",
            f"{' with '.join(places)}: {type(error).__name__}: {cause_of(error)}",
            "mend the classes there: each takes what its get_config() gave when the model was saved, and **kwargs",
        )
    written = f"written by Keras {file.keras_version}" if file.keras_version else "whose Keras version is not in the file"
    return ModelFileError(
        "a model file that loads",
        f"{file.path}, {written}: {type(error).__name__}: {cause_of(error)}",
        "open it with the Keras it was written with and save it again with model.save('model.keras')",
    )


def cause_of(error: BaseException) -> str:
    """What a framework's message says went wrong, in one line: Keras puts a config or a call around it, TensorFlow the place."""
    text = str(error)
    text = text.rpartition(_UNTRACED)[2] or text
    text = text.rpartition("Exception encountered:")[2] or text
    if called := _CALLED.search(text):
        text = called["cause"]
    return next((line.strip()[:300] for line in text.splitlines() if line.strip()), type(error).__name__)


def _check_weights(file: ModelFile, weights: Path | None) -> bool:
    """Whether the weights beside an architecture have the layout of Keras 2."""
    if file.kind == "json" and weights is None:
        raise ModelFileError(
            "a model with its weights", f"{file.path}, an architecture alone", "name the weights with it: --weights FILE.h5"
        )
    if file.kind != "json" and weights is not None:
        raise ModelFileError(
            "--weights with an architecture in JSON", f"--weights with {file.path}, which has its own", "leave --weights out"
        )
    return weights is not None and is_legacy_weights(weights)


def _read(reading: _Reading, config: dict[str, Any]) -> tuple[Any, list[Repair]]:
    """The model in float, without the wrappers of tfmot, and what was taken off."""
    keras = reading.keras
    if keras.__name__ == "tf_keras" and tfmot.is_wrapped(config):
        with tfmot.scopes():
            return tfmot.strip(_read_plain(reading, config))
    model = _read_plain(reading, config)
    return model, dequantize(model) if keras.__name__ == "keras" else []


def _read_plain(reading: _Reading, config: dict[str, Any]) -> Any:
    model = _read_weights(reading, config)
    take_over_statistics(model._flatten_layers())
    return model


def _read_weights(reading: _Reading, config: dict[str, Any]) -> Any:
    keras, file, weights = reading.keras, reading.file, reading.weights
    known = registered(keras, _known_objects(keras) | reading.custom.for_model(config))
    names = lambdas_know(keras, reading.custom.module_names)
    with warnings.catch_warnings(), temporary_folder() as folder, _inference_policy(keras), known, names:
        warnings.simplefilter("ignore")
        if file.kind == "h5" and file.generation == 3:
            model = _from_architecture(reading, config)
            model.load_weights(str(_named(file.path, *_SUFFIXES["h5"], folder=Path(folder))))
            return model
        if file.weights_manifest is not None:
            model = _from_architecture(reading, config)
            tfjs.assign(model, tfjs.read_weights(file.weights_manifest, file.path), file.path)
            return model
        if weights is None:
            path = _loadable(file, config, Path(folder))
            if reading.windows_paths:
                path = write_with_slashes(path, Path(folder) / f"slashes{_SUFFIXES['keras'][0]}")
            return keras.models.load_model(str(path), compile=False, safe_mode=not reading.allow_code)
        model = _from_architecture(reading, config)
        suffix = ".h5" if reading.weights_are_legacy else ".weights.h5"
        try:
            model.load_weights(str(_named(weights, suffix, folder=Path(folder))))
        except load_errors() as error:
            raise ModelFileError(
                f"weights that fit {file.path.name}",
                f"{weights}: {str(error).splitlines()[0][:300]}",
                "give the weights saved from this very model",
            ) from error
        return model


def _from_architecture(reading: _Reading, config: dict[str, Any]) -> Any:
    keras = reading.keras
    module = config.get("module") or (_MODEL_MODULES.get(config["class_name"]) if keras.__name__ == "keras" else None)
    if module:  # its `model_from_json` loses what JSON cannot say, as the ... of an index
        named = {"registered_name": None, **copy.deepcopy(config), "module": module}  # reading takes it apart
        return keras.saving.deserialize_keras_object(named, safe_mode=not reading.allow_code)
    if keras.__name__ == "tf_keras":
        from tf_keras.src.saving.serialization_lib import SafeModeScope  # its model_from_json has no argument for it

        with SafeModeScope(safe_mode=not reading.allow_code):
            return keras.models.model_from_json(json.dumps(config))
    return keras.models.model_from_json(json.dumps(config))


def _with_inputs(reading: _Reading, config: dict[str, Any], model: Any) -> Any:
    """A model of a custom class, whose layers are connected in Python code, called on an input of the shape it was built with."""
    built = config.get("build_config")
    shape = built.get("input_shape") if isinstance(built, dict) else None
    if getattr(model, "inputs", None) or str(config.get("class_name")) not in reading.custom or not isinstance(shape, list):
        return model
    inputs = reading.keras.Input(shape[1:])
    return reading.keras.Model(inputs, model(inputs))


def _loadable(file: ModelFile, config: dict[str, Any], folder: Path) -> Path:
    """A path the framework can load: the file itself, or a copy that holds the repaired architecture."""
    assert file.config is not None
    outer = {key: value for key, value in file.config.items() if key not in ("compile_config", "training_config")}
    if config == outer:
        return _named(file.path, *_SUFFIXES[file.kind], folder=folder)
    path = folder / f"model{_SUFFIXES[file.kind][0]}"
    copy_with_config = _copy_h5 if file.kind == "h5" else _copy_zip
    copy_with_config(file.path, path, json.dumps(config))
    return path


def _named(path: Path, *suffixes: str, folder: Path) -> Path:
    """The file under a name that tells the framework its format: a link in `folder` when its own name does not."""
    legacy = suffixes == (".h5",)
    if path.name.endswith(suffixes) and not (legacy and path.name.endswith(".weights.h5")):
        return path
    link = folder / f"model{suffixes[0]}"
    try:
        link.symlink_to(path.resolve())
    except OSError:  # no links on this file system
        shutil.copyfile(path, link)
    return link


def _copy_h5(source: Path, target: Path, config: str) -> None:
    h5py = require("h5py")
    with h5py.File(source, "r") as old, h5py.File(target, "w") as new:
        for name in ("keras_version", "backend"):
            if name in old.attrs:
                new.attrs[name] = old.attrs[name]
        new.attrs["model_config"] = config
        old.copy("model_weights", new)


def _copy_zip(source: Path, target: Path, config: str) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        new.writestr("config.json", config)
        for name in set(old.namelist()) - {"config.json"}:
            with old.open(name) as reader, new.open(name, "w", force_zip64=True) as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)


@contextlib.contextmanager
def _inference_policy(keras: ModuleType) -> Iterator[None]:
    """Build layers without a dtype of their own in float32, whatever policy the caller's program has set."""
    before = keras.mixed_precision.dtype_policy() if keras.__name__ == "keras" else keras.mixed_precision.global_policy()
    set_policy = keras.mixed_precision.set_dtype_policy if keras.__name__ == "keras" else keras.mixed_precision.set_global_policy
    set_policy("float32")
    try:
        yield
    finally:
        set_policy(before)


def _rename(model: Any) -> Iterator[Repair]:
    """Give layers whose names TensorFlow cannot trace, as Keras 3 accepts them on its other engines, names that it can."""
    for layer in model._flatten_layers():
        if not _TRACEABLE.fullmatch(layer.name):
            before = layer.name
            setattr(layer, "_name" if hasattr(layer, "_name") else "name", f"layer_{_UNTRACEABLE.sub('_', before)}")
            yield Repair(layer=before, field="name", action=f"called {layer.name}: TensorFlow knows no such names")


def _known_objects(keras: ModuleType) -> dict[str, Any]:
    """Functions that files of old keras.applications and of well-known packages name, under the names they use."""
    if keras.__name__ == "keras":
        return {}
    nn = require("tensorflow").nn

    def hard_swish(x: Any) -> Any:
        return x * nn.relu6(x + 3.0) / 6.0

    from tf_keras.src.applications.convnext import LayerScale, StochasticDepth  # its own layers, not registered as such

    return {
        "relu6": nn.relu6,
        "silu": nn.silu,
        "hard_swish": hard_swish,
        "h_swish": hard_swish,
        "hard_silu": hard_swish,
        "LayerScale": LayerScale,
        "StochasticDepth": StochasticDepth,
    }


def _operation_module(name: str) -> str | None:
    """Where Keras 3 has an operation that is no layer."""
    keras = require("keras")
    for module in _OPERATION_MODULES:
        found = getattr(importlib.import_module(f"keras.src.ops.{module}"), name, None)
        if isinstance(found, type) and issubclass(found, keras.Operation):
            return found.__module__
    return None


def _layer_class(keras: ModuleType, name: str) -> type | None:
    found = getattr(keras.layers, name, None)
    return found if isinstance(found, type) else None


def _is_known(keras: ModuleType, field: str, value: Any) -> bool:
    """Whether the value of an initializer, regularizer or constraint field can be resolved here."""
    if value is None or not field.endswith(("_initializer", "_regularizer", "_constraint")):
        return True
    name = value.get("class_name") if isinstance(value, dict) else value
    namespace = getattr(keras, f"{field.rpartition('_')[2]}s")
    return isinstance(name, str) and hasattr(namespace, name)
