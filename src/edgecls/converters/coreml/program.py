"""From a frozen graph to coremltools' MIL program, and from one program to another.

What `ct.convert` does with a concrete function, without the steps that a graph which is frozen already does not need: freezing it
a second time, printing it into log messages, and validating the whole program after each of some hundred passes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.converters.coreml.operations import register_operations
from edgecls.formats.coreml.read import CHANNEL_BIASED, CHANNEL_SCALED
from edgecls.records.artifact import Scheme
from edgecls.records.frozen_graph import FrozenGraph
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from edgecls.system.extras import require

# coremltools raises all of these for graphs and programs that it does not understand.
CONVERTER_ERRORS = (ValueError, NotImplementedError, RuntimeError, TypeError, LookupError, AttributeError, AssertionError)
OUTPUT_NAME = "probabilities"
_DEFAULT_EPSILON = 1e-5  # of MIL's `batch_norm`
_GRAPPLER = ["constfold", "dependency", "debug_stripper"]  # those coremltools itself runs on a concrete function


def load(graph: FrozenGraph, record: ArtifactMetadata, input_name: str, specification_version: int) -> Any:
    """The model with its preprocessing as a MIL program that no pass has touched.

    Args:
        graph: the model.
        record: size and preprocessing of the image, kind of the scores.
        input_name: name of the image input.
        specification_version: of the deployment target; it selects the operation set.
    """
    ct = require("coremltools")
    from coremltools.converters.mil.frontend.tensorflow2.load import TF2Loader

    class FrozenLoader(TF2Loader):
        """Takes the GraphDef as it is."""

        def _graph_def_from_model(self, output_names: Any = None) -> Any:
            return graph_def

    register_operations()
    graph_def = _graph_def(graph, record, input_name)
    loader = FrozenLoader(
        "a frozen graph",
        inputs=[_input_type(ct, record.image_spec, input_name)],
        outputs=[ct.TensorType(name=name) for name in (OUTPUT_NAME, *(head.output for head in record.heads[1:]))],
        specification_version=specification_version,
        use_default_fp16_io=False,
    )
    return loader.load()


def rewrite(spec: Any, weights_dir: Path, specification_version: int, folder: Path, change: Callable[[Any], None]) -> Any:
    """A changed copy of a program.

    Args:
        spec: Core ML `Model` message; unchanged.
        weights_dir: where its weight file lies.
        specification_version: of the deployment target.
        folder: where the new weight file is written.
        change: changes the MIL program in place.
    """
    require("coremltools")
    from coremltools.converters.mil.backend.mil.load import load as to_message
    from coremltools.converters.mil.frontend.milproto.load import load as to_program

    version = max(spec.specificationVersion, specification_version)
    program = to_program(spec, version, str(weights_dir))
    change(program)
    return to_message(program, str(folder), specification_version=version, model_description=spec.description)


def _graph_def(graph: FrozenGraph, record: ArtifactMetadata, input_name: str) -> Any:
    """The frozen graph between an image placeholder [1, H, W, C] and one score per class, and other heads, constants folded."""
    tf = require("tensorflow")
    from tensorflow.lite.python.util import get_grappler_config, run_graph_optimizations

    frozen = tf.compat.v1.GraphDef()
    frozen.ParseFromString(graph.path.read_bytes())
    spec = record.image_spec
    with tf.Graph().as_default() as wrapped:
        image = tf.compat.v1.placeholder(tf.float32, (1, spec.height, spec.width, spec.channels), name=input_name)
        values = _preprocessed(tf, image, spec)
        values = tf.transpose(values, (0, 3, 1, 2)) if spec.layout == "CHW" else values
        values = tf.reshape(values, graph.input_shape) if tuple(values.shape) != graph.input_shape else values
        results = tf.graph_util.import_graph_def(frozen, {graph.input: values}, [graph.output, *graph.others], name="model")
        results[0] = _per_class(tf, results[0], record)
        names = [OUTPUT_NAME, *(head.output for head in record.heads[1:])]
        named = [tf.identity(value, name=name) for value, name in zip(results, names, strict=True)]
        definition = tf.compat.v1.graph_util.extract_sub_graph(wrapped.as_graph_def(add_shapes=True), names)
        return run_graph_optimizations(definition, [image], named, config=get_grappler_config(_GRAPPLER), graph=wrapped)


def _per_class(tf: Any, scores: Any, record: ArtifactMetadata) -> Any:
    """Scores [1, classes]; one output becomes two classes."""
    if record.outputs != 1:
        return scores
    if record.output_kind == "logits":
        return tf.concat([-scores, scores], axis=-1)
    return tf.concat([1.0 - scores, scores], axis=-1)


def scale_and_bias(spec: ImageSpec) -> tuple[np.ndarray, np.ndarray]:
    """(pixel - mean) / std as pixel * scale + bias, one value of each per channel."""
    mean, std = np.broadcast_to(spec.mean, spec.channels), np.broadcast_to(spec.std, spec.channels)
    return 1 / std, -mean / std


def _preprocessed(tf: Any, image: Any, spec: ImageSpec) -> Any:
    """What of the preprocessing the input type cannot do: an image has one scale for all channels, an array has none."""
    if is_image(spec) and is_uniform(spec):
        return image
    scale, bias = scale_and_bias(spec)
    name = image.op.name
    scaled = tf.multiply(image, tf.constant(scale, tf.float32), name=f"{name}{CHANNEL_SCALED}")
    return scaled if is_image(spec) else tf.add(scaled, tf.constant(bias, tf.float32), name=f"{name}{CHANNEL_BIASED}")


def precision(ct: Any, scheme: Scheme) -> Any:
    """Computing precision: float16 begins behind the preprocessing, for 1 / std in float16 would be off by up to 0.05 %."""
    if scheme == "float32":
        return ct.precision.FLOAT32
    return ct.transform.FP16ComputePrecision(lambda operation: not operation.name.endswith((CHANNEL_SCALED, CHANNEL_BIASED)))


def is_image(spec: ImageSpec) -> bool:
    """Whether Core ML has an image of this number of channels."""
    return spec.channels in (1, 3)


def color_layout(spec: ImageSpec) -> str:
    """`GRAY`, `RGB` or `BGR`: how the pixels of an image input lie."""
    if spec.channels == 1:
        return "GRAY"
    return "BGR" if spec.color_order == "BGR" else "RGB"


def is_uniform(spec: ImageSpec) -> bool:
    """Whether every channel has the same std."""
    return len(set(spec.std)) == 1


def _input_scale_and_bias(spec: ImageSpec) -> tuple[float, list[float]]:
    """Scale and bias (one per channel, in `color_order`) of the image input: all of the preprocessing or, where the channels have
    different std, the subtraction of the mean."""
    scale, bias = scale_and_bias(spec) if is_uniform(spec) else (np.ones(1), -np.broadcast_to(spec.mean, spec.channels))
    return float(scale[0]), [float(value) + 0.0 for value in bias]


def _input_type(ct: Any, spec: ImageSpec, name: str) -> Any:
    shape = (1, spec.height, spec.width, spec.channels)
    if not is_image(spec):
        return ct.TensorType(name=name, shape=shape, dtype=np.float32)
    scale, bias = _input_scale_and_bias(spec)
    layout = {"GRAY": ct.colorlayout.GRAYSCALE, "BGR": ct.colorlayout.BGR, "RGB": ct.colorlayout.RGB}[color_layout(spec)]
    return ct.ImageType(name=name, shape=shape, scale=scale, bias=bias if spec.channels == 3 else bias[0], color_layout=layout)


def validate(model: Any) -> None:
    """Validate once, at the end, what `unchecked_passes` left out."""
    model._mil_program.validate(check_essential_scope=True)


@contextlib.contextmanager
def unchecked_passes() -> Iterator[None]:
    """Leave out what coremltools repeats after each pass: the validation of the whole program, and the search for operations that
    must not be replaced because a compressed constant feeds them, of which a float program has none. A third of the time."""
    from coremltools.converters.mil.mil import Block, Program

    def nothing(self: Any, *args: Any, **kwargs: Any) -> None:
        return None

    before = Program.validate, Block._propagate_nonreplaceable_vars
    Program.validate, Block._propagate_nonreplaceable_vars = nothing, nothing
    try:
        yield
    finally:
        Program.validate, Block._propagate_nonreplaceable_vars = before


@contextlib.contextmanager
def untyped_outputs() -> Iterator[None]:
    """Write outputs by their own types. coremltools looks up those that were asked for by place, which the class label has moved by one:
    behind the last of several it finds none. All are float arrays here."""
    from coremltools.converters.mil.backend.mil.load import CoreMLProtoExporter

    before = CoreMLProtoExporter.get_func_output

    def get_func_output(self: Any, func: Any) -> Any:
        func.set_output_types(None)
        return before(self, func)

    CoreMLProtoExporter.get_func_output = get_func_output
    try:
        yield
    finally:
        CoreMLProtoExporter.get_func_output = before


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep coremltools' progress bars, warnings and log messages away from the user; what goes wrong is raised anyway."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def exact_batch_norms() -> Iterator[None]:
    """Keep x * scale + shift what it is. coremltools makes a `batch_norm` of variance 1 of it and leaves that operation's default epsilon
    in: 1 / sqrt(1 + 1e-5) is off by 5e-6, which deep networks amplify. The variance takes the epsilon back."""
    from coremltools.converters.mil.mil.passes.defs import optimize_elementwise_binary as module

    before: Any = module.mb

    class Builder:
        def __getattr__(self, name: str) -> Any:
            return getattr(before, name)

        def batch_norm(self, *, variance: np.ndarray, **arguments: Any) -> Any:
            return before.batch_norm(variance=variance - np.float32(_DEFAULT_EPSILON), **arguments)

    module.mb = Builder()  # type: ignore[assignment]
    try:
        yield
    finally:
        module.mb = before
