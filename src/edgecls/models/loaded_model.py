"""LoadedModel: a classifier in memory, with one image input and one vector of scores."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import InputError, NoScoresError, UnsupportedModelError
from edgecls.models.computation import Computation, Shape, TrainingRefusal
from edgecls.models.freezing import INPUT, OUTPUT
from edgecls.models.graph_rewrites import append_operation
from edgecls.models.trained_ranges import TrainedRange
from edgecls.records.artifact import Activation, Head, OutputKind, Repair, Source
from edgecls.records.frozen_graph import FrozenGraph
from edgecls.records.image_spec import ImageSpec
from edgecls.system.extras import require

_BATCH = 32
_NO_LAYERS = TrainingRefusal("none", "give the Keras file (.keras or .h5) it was made from")


@dataclass
class LoadedModel:
    """A user's classifier.

    Attributes:
        source: the file it came from.
        image_spec: what an image must look like to enter it.
        labels: names of the classes, where the file brings them; else empty.
        application: which network of keras.applications it is built as, and what tells; empty for others.
        outputs: length of the score vector. One output with a sigmoid is a classifier of two classes.
        output_kind: what the scores are.
        model: the Keras model, or the object that holds a SavedModel's variables.
        repairs: what was changed to load it, field by field.
        notes: what a person should know, one sentence each.
        training_refusal: why it cannot be trained further, None when it can.
        output_index: which of the Keras model's outputs holds the scores.
        activation: what `end_with` put behind the model's own scores.
        trained_ranges: of its activations, where it was trained for int8.
        heads: where several outputs were chosen, all of them in their order; `outputs` and all else are of the first.
    """

    source: Source
    image_spec: ImageSpec
    outputs: int
    output_kind: OutputKind
    model: Any
    repairs: list[Repair] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    application: str = ""
    training_refusal: TrainingRefusal | None = None
    output_index: int = 0
    activation: Activation | None = None
    heads: list[Head] = field(default_factory=list)
    trained_ranges: list[TrainedRange] = field(default_factory=list)
    _scores: list[Scores] = field(default_factory=list, repr=False)
    _graph: Any = field(default=None, repr=False)

    def require_layers(self, expected: str) -> None:
        """Refuse a model that has no layers to train further.

        Args:
            expected: what they are wanted for.

        Raises:
            UnsupportedModelError: it has none, or none that can be trained.
        """
        refusal = self.training_refusal or (None if hasattr(self.model, "layers") else _NO_LAYERS)
        if refusal is not None:
            raise UnsupportedModelError(expected, *refusal)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Scores of the source model itself, in inference mode, with the activation behind it where there is one.

        Args:
            inputs: model inputs [N, *image_spec.input_shape], float32, any N.

        Returns:
            scores [N, outputs], float32; dropout and augmentation are inert.

        Raises:
            InputError: inputs of another shape.
        """
        scores = self._run(self._scores[0], inputs)
        return scores if self.activation is None else _probabilities(scores, self.activation)

    def predict_heads(self, inputs: np.ndarray) -> list[np.ndarray]:
        """The same of every head; of the only one, where one output was chosen."""
        return [self.predict(inputs), *(self._run(scores, inputs) for scores in self._scores[1:])]

    def _run(self, scores: Scores, inputs: np.ndarray) -> np.ndarray:
        if inputs.shape[1:] != self.image_spec.input_shape:
            raise InputError(
                f"model inputs of shape [N, {', '.join(map(str, self.image_spec.input_shape))}]",
                f"{list(inputs.shape)}",
                "prepare images with image_spec.apply()",
            )
        if not len(inputs):
            return np.empty((0, scores.outputs), np.float32)
        parts = (inputs[start : start + _BATCH] for start in range(0, len(inputs), _BATCH))
        return np.concatenate([scores.run(np.asarray(part, np.float32)) for part in parts])

    def end_with(self, activation: Activation) -> LoadedModel:
        """The same model with a softmax or sigmoid behind its logits.

        Raises:
            InputError: the scores are probabilities already, or there is only one for a softmax, or several outputs were chosen.
        """
        option = f"--add-{activation}"
        if self.heads:
            raise InputError(f"one output for {option}", f"{len(self.heads)}", f"name one with --output, or leave {option} out")
        if self.output_kind != "logits":
            found = f"scores that are probabilities already ({self.output_kind})"
            raise InputError(f"a model of logits for {option}", found, f"leave {option} out")
        if activation == "softmax" and self.outputs == 1:
            raise InputError(f"several scores for {option}", "one, whose softmax is always 1", "give --add-sigmoid")
        graph = copy.deepcopy(self._graph)
        append_operation(graph, activation.capitalize(), OUTPUT)
        return replace(self, output_kind=activation, activation=activation, _graph=graph)

    def trained_values(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """What each layer of `trained_ranges` computes on model inputs [n, *input_shape], without rounding: layer -> values [n, ...]."""
        tf, graph = require("tensorflow"), self._graph
        imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
        run = imported.prune(f"{INPUT}:0", [f"{item.node}:0" for item in self.trained_ranges])
        parts = [run(tf.constant(image[None], tf.float32)) for image in inputs]
        values = [np.concatenate([tensor.numpy() for tensor in tensors]) for tensors in zip(*parts, strict=True)]
        return dict(zip((item.layer for item in self.trained_ranges), values, strict=True))

    def freeze(self, folder: Path) -> FrozenGraph:
        """Write the graph of constants that every converter starts from, as `graph.pb` in an existing folder."""
        path = folder / "graph.pb"
        path.write_bytes(self._graph.SerializeToString())
        others = tuple(f"{head.output}:0" for head in self.heads[1:])
        return FrozenGraph(path, f"{INPUT}:0", f"{OUTPUT}:0", (1, *self.image_spec.input_shape), self.outputs, others)


class Scores:
    """One chosen output of a computation as float32 scores [n, outputs].

    Args:
        computation: the loaded model.
        output: name of the output.
        node: what it is called in a frozen graph.

    Raises:
        NoScoresError: it is no vector of scores.
    """

    def __init__(self, computation: Computation, output: str, node: str = OUTPUT) -> None:
        self._tf = require("tensorflow")
        self.name, self.node = output, node
        self._computation = computation
        self.index = list(computation.outputs).index(output)
        shape = computation.outputs[output]
        self.outputs = _length(shape)
        self.note = "" if len(shape) == 1 else f"The output of shape {list(shape)} is read as {self.outputs} scores."
        self._function: Any = None
        self._batch = computation.batch

    def __call__(self, image: Any) -> Any:
        """Scores [n, outputs] of a float32 tensor [n, *input_shape]."""
        return self.pick(self._computation.call(self._tf.cast(image, self._computation.input_dtype)))

    def pick(self, outputs: list[Any]) -> Any:
        """The scores among all that the computation gave."""
        tf, chosen = self._tf, outputs[self.index]
        if not chosen.dtype.is_floating:
            raise NoScoresError(
                "one score for each class",
                f"values of dtype {chosen.dtype.name}, as of the winning class",
                "save the model again with the scores as its output",
            )
        return tf.cast(tf.reshape(chosen, (-1, self.outputs)), tf.float32)

    def follow(self, graph: Any) -> None:
        """Run a frozen graph, one image at a time, instead of the model it was frozen from."""
        tf = self._tf
        imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
        self._function, self._batch = imported.prune(f"{INPUT}:0", f"{self.node}:0"), 1

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Scores [n, outputs] of an array [n, *input_shape]; a model of a fixed batch size gets zeros added to fill it."""
        tf, batch = self._tf, self._batch
        if self._function is None:
            signature = tf.TensorSpec((batch, *self._computation.input_shape), tf.float32)
            self._function = tf.function(self, input_signature=[signature], autograph=False)
        if batch is None:
            return self._function(tf.constant(inputs)).numpy()
        parts = []
        for start in range(0, len(inputs), batch):
            part = inputs[start : start + batch]
            filled = np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), np.float32)])
            parts.append(self._function(tf.constant(filled)).numpy()[: len(part)])
        return np.concatenate(parts)


def _probabilities(logits: np.ndarray, activation: Activation) -> np.ndarray:
    """Softmax or sigmoid of logits [n, outputs], float32."""
    wide = logits.astype(np.float64)
    if activation == "sigmoid":
        return np.exp(-np.logaddexp(0, -wide)).astype(np.float32)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def _length(shape: Shape) -> int:
    """Length of the score vector of an output shape, batch axis apart: [C], or [C] with axes of length 1, or nothing (one score)."""
    longer = [size for size in shape if size != 1]
    if len(longer) > 1 or None in longer:
        raise NoScoresError(
            "a vector of scores as output",
            f"the output shape {list(shape)}",
            "give a classifier: one that ends in Flatten or global pooling and Dense(classes)",
        )
    return longer[0] or 1 if longer else 1
