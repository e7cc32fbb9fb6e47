"""The loss that fits a model's output, and distillation from another model's scores."""

from __future__ import annotations

from typing import Any

from edgecls.records.artifact import OutputKind
from edgecls.records.recipe import Distillation
from edgecls.system.extras import require

_INVERSES = {"softmax": "Softmax", "sigmoid": "Sigmoid"}
_PASSED = ("Identity", "Reshape")
_LEAST = 1e-7  # of a score whose logarithm is taken, where the logit before it is not to be found


def logits_of(scores: Any, kind: OutputKind) -> Any:
    """The logits [n, outputs] that became a model's scores, inside a traced function.

    The tensor before the softmax or sigmoid is taken, so that scores which round to 0 or 1 still have a gradient. Where the model ends
    otherwise, they are computed back from the scores.
    """
    tf = require("tensorflow")
    if kind == "logits":
        return scores
    operation = scores.op
    while operation.type in _PASSED:
        operation = operation.inputs[0].op
    if operation.type == _INVERSES[kind]:
        return tf.reshape(operation.inputs[0], tf.shape(scores))
    clipped = tf.clip_by_value(scores, _LEAST, 1 - _LEAST)
    return tf.math.log(clipped) if kind == "softmax" else tf.math.log(clipped) - tf.math.log1p(-clipped)


def label_loss(logits: Any, labels: Any, kind: OutputKind, outputs: int) -> Any:
    """Mean cross-entropy of logits [n, outputs] with class indices int64 [n], or of sigmoids with multi-hot rows [n, outputs].

    Of sigmoids it is the sum over the outputs.
    """
    tf = require("tensorflow")
    if is_binary(kind, outputs):
        return tf.reduce_mean(_sigmoid_loss(tf, targets_of(tf, labels, outputs), logits))
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def distillation_loss(logits: Any, teacher: Any, kind: OutputKind, outputs: int, recipe: Distillation) -> Any:
    """Mean cross-entropy with the teacher's softened scores, less the teacher's own entropy, times temperature²: 0 where they agree.

    The square keeps the gradients' size independent of the temperature (Hinton et al., arXiv 1503.02531, section 2).
    """
    tf = require("tensorflow")
    student, wanted = logits / recipe.temperature, tf.stop_gradient(teacher / recipe.temperature)
    if is_binary(kind, outputs):
        targets = tf.sigmoid(wanted)
        loss = _sigmoid_loss(tf, targets, student) - _sigmoid_loss(tf, targets, wanted)
    else:
        targets = tf.nn.softmax(wanted)
        loss = tf.reduce_sum(targets * (tf.nn.log_softmax(wanted) - tf.nn.log_softmax(student)), axis=-1)
    return recipe.temperature**2 * tf.reduce_mean(loss)


def is_binary(kind: OutputKind, outputs: int) -> bool:
    """Whether every output answers yes or no by itself."""
    return kind == "sigmoid" or outputs == 1


def _sigmoid_loss(tf: Any, targets: Any, logits: Any) -> Any:
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits), axis=-1)


def targets_of(tf: Any, labels: Any, outputs: int) -> Any:
    """What each output should answer, 0 or 1, [n, outputs]."""
    if labels.shape.rank == 2:
        return tf.cast(labels, tf.float32)
    return tf.cast(labels[:, None], tf.float32) if outputs == 1 else tf.one_hot(labels, outputs)
