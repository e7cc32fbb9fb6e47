"""The safety scan: finds code in a model before anything of it is deserialized.

Keras resolves classes and functions by the names a file gives, and Lambda layers carry marshalled Python. So every object of the
architecture must be a class of Keras, of one of the packages below, or a layer or a part of a classifier of KerasHub, which Keras's
safe mode reads too (`keras_hub`); whatever can carry, import or call other code is refused.
Graphs may hold the operations of `formats.computing_operations` alone.
"""

from __future__ import annotations

import builtins
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from edgecls.errors import UnsafeModelError, UnsupportedModelError
from edgecls.formats.computing_operations import COMPUTING
from edgecls.models.config import objects
from edgecls.models.keras_hub import PIP_NAME, is_installed, is_part, names_library
from edgecls.models.tfmot import CLASSES, PACKAGE, strange_part

# Classes that carry or load something else than numbers.
_CODE_CLASSES = {
    "Lambda": "Python code",
    "__lambda__": "Python code",
    "__typespec__": "a type looked up by name",
    "TorchModuleWrapper": "a pickled module",
    "JaxLayer": "Python code",
    "FlaxLayer": "Python code",
    "TFSMLayer": "another model file",
    "ClassMethod": "a call of any TensorFlow class",
    "InstanceMethod": "a call of any method",
    "InstanceProperty": "an access to any attribute",
}
_CODE_FIELDS = {"function_type", "output_shape_type", "mask_type", "arguments_type"}
_FILE_CLASSES = {"StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"}
_KERAS_ROOTS = {"keras", "tf_keras"}
_KERAS_INNER = {"src", "api", "_tf_keras", "_v1", "_v2", "v1", "v2", "legacy", "python"}
_KERAS_PACKAGES = {
    "activations", "applications", "constraints", "dtype_policies", "engine", "initializers", "layers", "mixed_precision", "models",
    "ops", "quantizers", "random", "regularizers", "metrics", "losses", "optimizers",
}  # fmt: skip
_NUMBERS_ONLY = {"tensorflow.python.ops.init_ops_v2"}  # initializers, as some of Keras 2's own applications name them
_FUNCTION_PACKAGES = {"activations", "constraints", "initializers", "ops", "regularizers", "metrics", "losses"}
_PLAIN_CLASSES = {"__tensor__", "__numpy__", "__bytes__", "__slice__", "__ellipsis__", "__keras_tensor__", "__tuple__"}
_HARMLESS_BUILTINS = {"abs", "max", "min", "pow", "round", "sum"}  # activations and operations of Keras have these names too

# TensorFlow functions that a TFOpLambda layer may call: arithmetic on tensors. Anything else can reach files and libraries.
_TENSOR_MODULES = re.compile(
    r"(compat\.v1\.)?(math|nn|linalg|image|signal|quantization|bitwise|random|__operators__|keras\.backend)\.\w+"
)
_TENSOR_FUNCTIONS = re.compile(
    r"(compat\.v1\.)?(abs|add|add_n|argmax|argmin|argsort|boolean_mask|broadcast_to|cast|clip_by_norm|clip_by_value|concat|constant|"
    r"convert_to_tensor|cos|cumsum|divide|einsum|equal|exp|expand_dims|eye|fill|floor|gather|gather_nd|greater|greater_equal|identity|"
    r"less|less_equal|linspace|matmul|maximum|meshgrid|minimum|multiply|negative|norm|not_equal|one_hot|ones|ones_like|pad|pow|range|"
    r"rank|realdiv|reduce_\w+|repeat|reshape|reverse|roll|round|saturate_cast|scalar_mul|shape|sigmoid|sign|sin|size|slice|sort|split|"
    r"sqrt|square|squeeze|stack|stop_gradient|strided_slice|subtract|tanh|tensordot|tile|to_float|transpose|truediv|unstack|where|"
    r"zeros|zeros_like)"
)


@dataclass(frozen=True)
class Suspect:
    """Something in a file that is more than numbers.

    Attributes:
        layer: the layer it belongs to.
        what: its class or function, and why it matters.
        kind: `code` is or reaches code; `custom` is a class whose code is not in the file.
        name: of a custom class or function.
        library: that pip would have to install for it.
    """

    layer: str
    what: str
    kind: Literal["code", "custom"]
    name: str = ""
    library: str = ""


def scan_config(config: Any) -> list[Suspect]:
    """Find what an architecture holds beside Keras's own classes, innermost objects included."""
    return [finding for layer, item in objects(config) for finding in _scan_object(layer, item)]


def scan_operations(operations: Iterable[tuple[str, str]]) -> list[Suspect]:
    """Find operations of a graph, given as (name, operation), that are not known to compute and do nothing else."""
    return [
        Suspect(name, f"{operation}: not known to compute and do nothing else", "code")
        for name, operation in operations
        if operation not in COMPUTING
    ]


def refuse(findings: list[Suspect], allow_code: bool) -> None:
    """Refuse a model in which the scan found something.

    Raises:
        UnsafeModelError: it holds code and `allow_code` is not given.
        UnsupportedModelError: it needs a class whose code is not in the file.
    """
    code = [finding for finding in findings if finding.kind == "code"]
    custom = [finding for finding in findings if finding.kind == "custom"]
    if code and not allow_code:
        raise UnsafeModelError(
            "a model without code inside",
            _listing(code),
            "if you trust whoever made the file, repeat with --allow-code; otherwise rebuild these layers from Keras's own",
        )
    if missing := [finding for finding in custom if finding.library]:
        library = missing[0].library
        raise UnsupportedModelError(
            f"the library {library}, whose classes make up the model",
            f"{_listing(missing)}, but no {library} here",
            f"pip install {library}",
        )
    if custom:
        raise UnsupportedModelError(
            "a model of Keras's own classes", f"{_listing(custom)}, whose code is not in the file", CUSTOM_REMEDY
        )


CUSTOM_REMEDY = (
    "give the Python file with its code: --custom-objects FILE.py --allow-code; or, where the code is, write a SavedModel with "
    "model.export('folder') (Keras 2: tf.saved_model.save) and convert that, "
    "or rebuild the model from Keras's own layers"
)


def _listing(findings: list[Suspect]) -> str:
    parts = list(dict.fromkeys(f"{finding.layer or 'the model'} ({finding.what})" for finding in findings))
    more = f" and {len(parts) - 6} more" if len(parts) > 6 else ""
    return ", ".join(part[:120] for part in parts[:6]) + more


def _scan_object(layer: str, item: dict[str, Any]) -> Iterator[Suspect]:
    for field in _CODE_FIELDS & item.keys():
        if item[field] not in (None, "raw"):
            yield Suspect(layer, f"Python code, {field}={item[field]!r}", "code")
    if "class_name" not in item:
        return
    class_name = item["class_name"]
    if not isinstance(class_name, str):
        yield Suspect(layer, f"a class name that is a {type(class_name).__name__}", "code")
        return
    names = {
        part
        for name in (class_name, item.get("registered_name"))
        if isinstance(name, str)
        for part in (name, name.rpartition(">")[2])
    }
    for name in sorted(names & _CODE_CLASSES.keys()):
        yield Suspect(layer, f"{name}: {_CODE_CLASSES[name]}", "code")
    inner = item.get("config")
    if strange := strange_part(item):
        yield Suspect(layer, f"{class_name}: names {strange}, no class of tfmot", "code")
    yield from _scan_reach(layer, names, inner if isinstance(inner, dict) else {})
    if "module" not in item and any(map(names_library, names)):
        yield Suspect(layer, f"{class_name}, without its module", "custom", class_name)
    if "module" in item and class_name not in _PLAIN_CLASSES and not names & _CODE_CLASSES.keys():
        yield from _scan_module(layer, class_name, item)


def _scan_reach(layer: str, names: set[str], inner: dict[str, Any]) -> Iterator[Suspect]:
    """Layers that name a TensorFlow function, hold a graph operation or read a file."""
    if names & {"TFOpLambda", "SlicingOpLambda"}:
        symbol = str(inner.get("function"))
        if not (_TENSOR_MODULES.fullmatch(symbol) or _TENSOR_FUNCTIONS.fullmatch(symbol)):
            yield Suspect(layer, f"TFOpLambda: calls tf.{symbol}", "code")
    if "node_def" in inner:
        operation = _operation(inner["node_def"])
        if operation is None or scan_operations([(layer, operation)]):
            yield Suspect(layer, f"TensorFlowOpLayer: {operation or 'an unreadable operation'}", "code")
    if names & _FILE_CLASSES and isinstance(inner.get("vocabulary"), str):
        yield Suspect(layer, f"{min(names & _FILE_CLASSES)}: reads the file {inner['vocabulary']}", "code")


def _operation(node_def: Any) -> str | None:
    try:
        operation = json.loads(node_def)["op"]
    except (TypeError, ValueError, KeyError):
        return None
    return operation if isinstance(operation, str) else None


def _scan_module(layer: str, class_name: str, item: dict[str, Any]) -> Iterator[Suspect]:
    """Objects that name the module they come from, as Keras 3 and `.keras` files write them."""
    module, registered = item["module"], item.get("registered_name")
    name = item.get("config") if class_name == "function" else class_name
    if class_name == "function" and not (isinstance(name, str) and re.fullmatch(r"[\w>]+", name)):
        yield Suspect(layer, f"a function named {name!r}", "code")
    elif is_part(item):
        if not is_installed():
            yield Suspect(layer, f"{module}.{name}", "custom", str(name), PIP_NAME)
    elif names_library(registered) or names_library(name):
        yield Suspect(layer, f"{module}.{name} as {registered or name}", "custom", str(name))
    elif not re.fullmatch(r"[\w>]+", class_name):
        yield Suspect(layer, f"a class named {class_name!r}", "code")
    elif module is None or module == "builtins":
        if class_name == "function" and hasattr(builtins, str(name)) and name not in _HARMLESS_BUILTINS:
            yield Suspect(layer, f"the Python function {name}", "code")
        elif class_name != "function":
            yield Suspect(layer, f"the class {registered or class_name}", "custom", class_name)
    elif not isinstance(module, str):
        yield Suspect(layer, f"a module that is a {type(module).__name__}", "code")
    elif module.partition(".")[0] == PACKAGE and CLASSES.fullmatch(class_name):
        return
    elif module not in _NUMBERS_ONLY and not _is_keras(module, function=class_name == "function"):
        root = module.partition(".")[0]
        reaches_code = root in sys.stdlib_module_names or root in _KERAS_ROOTS
        yield Suspect(layer, f"{module}.{name}", "code" if reaches_code else "custom", "" if reaches_code else str(name))
    elif class_name != "function" and not class_name.lstrip("_")[:1].isupper():
        yield Suspect(layer, f"{module}.{class_name}, which is a function", "code")


def _is_keras(module: str, function: bool) -> bool:
    root, *parts = module.split(".")
    packages = [part for part in parts if part not in _KERAS_INNER]
    if root not in _KERAS_ROOTS or not packages:
        return root in _KERAS_ROOTS and not function
    return packages[0] in (_FUNCTION_PACKAGES if function else _KERAS_PACKAGES)
