"""Which output of a model holds the scores, and the frozen graph that ends in it."""

from __future__ import annotations

import re
import shlex
from typing import Any

from edgecls.errors import EdgeclsError, NoScoresError, UnsupportedModelError
from edgecls.models.computation import Computation
from edgecls.models.freezing import INPUT, OUTPUT, freeze_function
from edgecls.models.keras_model import cause_of, load_errors
from edgecls.models.loaded_model import Scores
from edgecls.models.scores_evidence import output_kind, ranking
from edgecls.system.extras import require

_TAKEN = (INPUT, OUTPUT, "probabilities", "classLabel")  # by what formats call their own
_SCORES_ALONE = "save the model again with one output of scores, as its last Dense layer gives them"


def open_scores(computation: Computation, output: str | None) -> tuple[list[Scores], Any]:
    """The scores of the chosen outputs, in their order, and the GraphDef that computes them.

    Args:
        computation: the loaded model.
        output: name of the output that holds them, or names divided by commas; None where there is one output.

    Raises:
        UnsupportedModelError: several outputs and none named, no such output, or one that holds no scores. The remedy names an output
            that does, where there is one.
    """
    names = list(computation.outputs)
    if output is None and len(names) > 1:
        raise UnsupportedModelError(
            "one vector of scores", f"{len(names)} outputs: {_listing(computation)}", _advice(computation, names)
        )
    chosen = names[:1] if output is None else [output] if output in names else [name.strip() for name in output.split(",")]
    unknown = next((name for name in chosen if name not in names), None)
    if unknown is not None:
        raise UnsupportedModelError(
            f"one of its outputs for --output, {_listing(computation)}",
            repr(unknown),
            f"the folder for what is made is -o; {_advice(computation, names)}",
        )
    if len(set(chosen)) < len(chosen):
        raise UnsupportedModelError("each output once", f"--output {output}", "leave out what is there twice")
    try:
        return _open(computation, chosen)
    except NoScoresError as error:
        others = [name for name in names if name not in chosen]
        if len(chosen) > 1 or not others:  # of several it says itself which
            raise
        raise NoScoresError(error.expected, f"the output {chosen[0]}: {error.found}", _advice(computation, others)) from None


def _open(computation: Computation, names: list[str]) -> tuple[list[Scores], Any]:
    heads = [_scores(computation, name, node, names) for name, node in zip(names, _nodes(names), strict=True)]
    graph = _freeze(heads, computation)
    for head in heads:
        ranked = ranking(graph, head.node)
        if ranked is not None:
            raise NoScoresError("one score for each class", f"{_which(head.name, names)}{ranked}", _SCORES_ALONE)
    return heads, graph


def _scores(computation: Computation, name: str, node: str, names: list[str]) -> Scores:
    try:
        return Scores(computation, name, node)
    except NoScoresError as error:
        raise NoScoresError(error.expected, f"{_which(name, names)}{error.found}", error.remedy) from None


def _which(name: str, names: list[str]) -> str:
    return f"the output {name}: " if len(names) > 1 else ""


def _nodes(names: list[str]) -> list[str]:
    """What outputs are called in every format: the first `scores`, the others by their names, in letters that all formats take."""
    nodes = [OUTPUT]
    for name in names[1:]:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        plain = f"head_{plain}" if not plain[:1].isalpha() or plain in _TAKEN else plain
        nodes.append(plain if plain not in nodes else f"{plain}_{len(nodes)}")
    return nodes


def _freeze(heads: list[Scores], computation: Computation) -> Any:
    def trace(image: Any) -> list[Any]:
        outputs = (computation.trace or computation.call)(require("tensorflow").cast(image, computation.input_dtype))
        return [head.pick(outputs) for head in heads]

    try:
        shape = tuple(size or 1 for size in computation.input_shape)
        return freeze_function(trace, shape, [head.node for head in heads])
    except load_errors() as error:
        raise UnsupportedModelError(
            "a model that computes one image at a time on a CPU",
            f"a failure while it was traced: {type(error).__name__}: {cause_of(error)}",
            "check that the model predicts with a batch of one image where it was made",
        ) from error


def _advice(computation: Computation, names: list[str]) -> str:
    """Which of some outputs to name: the first that holds probabilities of several classes, else one like it."""
    found = []
    for place, name in enumerate(names):
        try:
            (scores,), graph = _open(computation, [name])
        except EdgeclsError:
            continue
        found.append((output_kind(graph) == "logits", scores.outputs == 1, place, name))
    return f"name one, as --output {shlex.quote(min(found)[-1])}" if found else _SCORES_ALONE


def _listing(computation: Computation) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in computation.outputs.items())
