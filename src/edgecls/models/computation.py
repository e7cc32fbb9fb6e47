"""Computation: one loaded model as a function from an image tensor to named outputs, whatever framework it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from edgecls.errors import UnsupportedModelError
from edgecls.models.keras_graph import generation_of
from edgecls.models.layer_scopes import layer_scopes

Shape = tuple[int | None, ...]


class TrainingRefusal(NamedTuple):
    """What a model is that cannot be trained further, and what to give instead."""

    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.found}; {self.remedy}"


@dataclass(frozen=True)
class Computation:
    """What the rest of the room needs to know of a loaded model.

    Attributes:
        call: takes a tensor [n, *input_shape] of `input_dtype` and returns the outputs in the order of `outputs`.
        input_shape: shape of one input, batch axis apart; None for an unknown size.
        input_dtype: name of the dtype the model itself takes.
        batch: the one batch size the model takes, None for any.
        outputs: name -> shape of one output, batch axis apart.
        trace: the same as `call`, for freezing with a batch of one; None where `call` itself can be traced so.
        model: the Keras model, or the object that holds a SavedModel's variables.
        training_refusal: why the model cannot be trained further, None when it can.
    """

    call: Callable[[Any], list[Any]]
    input_shape: Shape
    input_dtype: str
    batch: int | None
    outputs: dict[str, Shape]
    model: Any
    training_refusal: TrainingRefusal | None = None
    trace: Callable[[Any], list[Any]] | None = None


def keras_computation(model: Any, tensorflow: Any, training_refusal: TrainingRefusal | None = None) -> Computation:
    """The computation of a Functional or Sequential model of either generation, in inference mode.

    Raises:
        UnsupportedModelError: no known input shape, or not exactly one input.
    """
    inputs = _symbolic(model, "inputs")
    if not inputs:
        raise UnsupportedModelError(
            "a model with a known input shape",
            "one that was saved before it saw an input",
            "call it once on an image (or begin it with an Input layer) and save it again",
        )
    refuse_several_inputs({tensor.name.partition(":")[0]: tuple(tensor.shape)[1:] for tensor in inputs})
    shapes = [tuple(tensor.shape)[1:] for tensor in _symbolic(model, "outputs")]
    names = getattr(model, "output_names", None) or [model.layers[-1].name]  # a Sequential of Keras 3 has one, without a name

    def call(image: Any) -> list[Any]:
        return tensorflow.nest.flatten(model(image, training=False))

    def trace(image: Any) -> list[Any]:
        with layer_scopes(model):
            return call(image)

    batch, *shape = tuple(inputs[0].shape)
    dtype = inputs[0].dtype
    return Computation(
        call,
        tuple(shape),
        dtype if isinstance(dtype, str) else dtype.name,
        batch,
        dict(zip(map(str, names), shapes, strict=True)),
        model,
        training_refusal,
        trace if generation_of(model) == 3 else None,
    )


def refuse_several_inputs(inputs: dict[str, Shape]) -> None:
    """Raises UnsupportedModelError unless there is exactly one input."""
    if len(inputs) != 1:
        listing = ", ".join(f"{name} {list(shape)}" for name, shape in inputs.items()) or "none"
        raise UnsupportedModelError(
            "a classifier with one image input",
            f"{len(inputs)} inputs ({listing})",
            "save a model of the image input alone, with the others fixed inside it",
        )


def _symbolic(model: Any, name: str) -> list[Any]:
    try:
        return list(getattr(model, name) or [])
    except (AttributeError, ValueError):  # a Sequential or subclassed model that is not built
        return []
