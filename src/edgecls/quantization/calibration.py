"""Calibration: one streamed pass of the float graph over the user's images, keeping a histogram of every tensor."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgecls.formats.onnx.names import INPUT, has_free_batch
from edgecls.quantization.moments import Moments, empty_moments, probe_layer, samples_of
from edgecls.quantization.ranges import ValueHistogram, sample_places
from edgecls.quantization.weighted_layers import WeightedLayer
from edgecls.system.extras import quiet_frameworks

if TYPE_CHECKING:
    import onnx
    import onnxruntime

# Threads that wait for work give the core away meanwhile: by default they keep it busy, a third of all the time spent here, while other
# processes of the conversion want it.
_WITHOUT_SPINNING = ("session.intra_op.allow_spinning", "0")


@dataclass(frozen=True)
class Statistics:
    """What was seen of a model's values.

    Attributes:
        histograms: by value name.
        means: mean of each channel [C] (axis 1), by value name.
        images: number of images seen.
        moments: of what the weights of a layer are multiplied with, by the layer's name.
        winners: the lowest of the images' highest values, by value name.
    """

    histograms: dict[str, ValueHistogram]
    means: dict[str, np.ndarray]
    images: int
    moments: dict[str, Moments] = field(default_factory=dict)
    winners: dict[str, float] = field(default_factory=dict)

    def joined(self, other: Statistics) -> Statistics:
        """Of the images of both; moments are this one's."""
        if not other.images:
            return self
        histograms = {name: histogram.joined(other.histograms[name]) for name, histogram in self.histograms.items()}
        images = self.images + other.images
        means = {name: (mean * self.images + other.means[name] * other.images) / images for name, mean in self.means.items()}
        winners = {name: min(lowest, other.winners[name]) for name, lowest in self.winners.items()}
        return Statistics(histograms, means, images, self.moments, winners)


def collect_statistics(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    channel_tensors: Sequence[str],
    batches: Iterable[np.ndarray],
    threads: int,
    layers: Sequence[WeightedLayer] = (),
    logits: Sequence[str] = (),
) -> Statistics:
    """Run the float ONNX model over all batches and gather the values of its tensors.

    Memory is one batch and one histogram per tensor, whatever the number of images.

    Args:
        model: from `float_onnx`.
        tensors: names of values whose histogram is wanted; those the graph does not have are left out of the result.
        channel_tensors: names of values whose mean per channel is wanted.
        batches: model inputs [n, *input_shape], float32.
        threads: cores to use.
        layers: those whose moments are wanted.
        logits: names of values whose lowest winner is wanted; those the graph does not have are left out of the result.
    """
    present = [name for name in tensors if name in _values(model)]
    shapes = shapes_of(model)
    ranks = {name: len(shape) for name, shape in shapes.items()}
    channels = [name for name in dict.fromkeys(channel_tensors) if ranks.get(name, 0) >= 2]
    ending = [name for name in logits if ranks.get(name, 0) >= 2]
    probed = _probe(model, [name for name in present if name != INPUT], channels, ending, shapes)
    sampled = _probe_layers(probed, layers, shapes)
    moments = empty_moments(sampled)
    session = open_session(probed, threads)
    histograms = {name: ValueHistogram() for name in present}
    sums: dict[str, np.ndarray] = {}
    winners = dict.fromkeys(ending, np.inf)
    probes = [output.name for output in session.get_outputs()][len(model.graph.output) :]
    images = 0
    for batch in rebatch(batches, whole=has_free_batch(model)):
        values = iter([np.asarray(value) for value in session.run(probes, {INPUT: batch})])
        for name, histogram in histograms.items():
            if name == INPUT:
                histogram.add(float(batch.min()), float(batch.max()), _sample(batch))
            else:
                histogram.add(float(next(values)), float(next(values)), next(values))
        for name in channels:
            sums[name] = sums.get(name, 0.0) + next(values).astype(np.float64) * len(batch)
        for name in ending:
            winners[name] = min(winners[name], float(next(values).min()))
        for name, layer in sampled.items():
            moments[name].add(samples_of(layer, next(values)))
        images += len(batch)
    return Statistics(histograms, {name: total / images for name, total in sums.items()}, images, moments, winners)


def collect_from_tflite(
    model: bytes, tensors: Sequence[str], batches: Iterable[np.ndarray], threads: int
) -> dict[str, ValueHistogram]:
    """Histograms of tensors that the ONNX model does not have by name: those of the TFLite model itself, kernel by kernel.

    Args:
        model: float32 TFLite model.
        tensors: names of its float32 activations.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with quiet_frameworks():
        interpreter = Interpreter(
            model_content=model,
            num_threads=threads,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    indices = {detail["name"]: detail["index"] for detail in interpreter.get_tensor_details()}
    histograms = {name: ValueHistogram() for name in tensors}
    for image in (image for batch in batches for image in batch):
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        for name, histogram in histograms.items():
            values = interpreter.get_tensor(indices[name]).ravel()
            histogram.add(float(values.min()), float(values.max()), values[sample_places(values.size)])
    return histograms


def open_session(model: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX model, ready to run on so many cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry(*_WITHOUT_SPINNING)
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _values(model: onnx.ModelProto) -> set[str]:
    return {INPUT, *(name for node in model.graph.node for name in node.output)}


def rebatch(batches: Iterable[np.ndarray], whole: bool) -> Iterable[np.ndarray]:
    """The batches as they are, or one image after another."""
    for batch in batches:
        yield from (batch,) if whole else (batch[index : index + 1] for index in range(len(batch)))


def _sample(batch: np.ndarray) -> np.ndarray:
    return batch.reshape(len(batch), -1)[:, sample_places(batch[0].size)]


def shapes_of(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Of each value whose shape is known; 0 where a length is not."""
    from onnx import shape_inference

    graph = shape_inference.infer_shapes(model).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    return {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values}


def _probe_layers(
    probed: onnx.ModelProto, layers: Sequence[WeightedLayer], shapes: Mapping[str, list[int]]
) -> dict[str, WeightedLayer]:
    """Add what the weights of layers are multiplied with to the outputs; those whose inputs have a shape that is known, by name."""
    sampled = {}
    for layer in layers:
        shape = shapes.get(layer.source, [])[1:]  # of one image
        if shape and all(shape) and len(shape) == (3 if layer.window else 1):
            probe_layer(probed.graph, layer, shape)
            sampled[layer.name] = layer
    return sampled


def _probe(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    channel_tensors: Sequence[str],
    logits: Sequence[str],
    shapes: Mapping[str, Sequence[int]],
) -> onnx.ModelProto:
    """The model with more outputs: minimum, maximum and a sample of each tensor, the channel means of some and the winners of logits.

    Only these few values leave the session.
    """
    from onnx import TensorProto, helper, numpy_helper

    probed = copy.deepcopy(model)
    graph = probed.graph
    elements = {name: int(np.prod(np.maximum(shape, 1))) for name, shape in shapes.items()}
    sizes = {name: elements.get(name, 1) for name in tensors}  # of one image; a tensor of unknown shape is taken whole
    for size in sorted(set(sizes.values())):
        for kind, value in (("rows", np.array([-1, size])), ("places", sample_places(size))):
            graph.initializer.append(numpy_helper.from_array(value.astype(np.int64), f"probe/{kind}/{size}"))
    for name, size in sizes.items():
        low, high, rows, sample = (f"{name}/probe/{kind}" for kind in ("low", "high", "rows", "sample"))
        graph.node.extend(
            [
                helper.make_node("ReduceMin", [name], [low], keepdims=0),
                helper.make_node("ReduceMax", [name], [high], keepdims=0),
                helper.make_node("Reshape", [name, f"probe/rows/{size}"], [rows]),
                helper.make_node("Gather", [rows, f"probe/places/{size}"], [sample], axis=1),
            ]
        )
        graph.output.extend(helper.make_tensor_value_info(output, TensorProto.FLOAT, None) for output in (low, high, sample))
    kept = [("ReduceMean", name, 1) for name in channel_tensors] + [("ReduceMax", name, 0) for name in logits]
    for kind, name, axis in kept:
        found, axes = f"{name}/probe/{kind}", [other for other in range(len(shapes[name])) if other != axis]
        graph.node.append(helper.make_node(kind, [name], [found], axes=axes, keepdims=0))
        graph.output.append(helper.make_tensor_value_info(found, TensorProto.FLOAT, None))
    return probed
