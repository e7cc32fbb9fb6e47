"""Which output of a model holds the scores, and the frozen graph that ends in it."""

from __future__ import annotations

import shlex
from typing import Any

from edgecls.errors import EdgeclsError, NoScoresError, UnsupportedModelError
from edgecls.models.computation import Computation
from edgecls.models.freezing import freeze_function
from edgecls.models.keras_model import cause_of, load_errors
from edgecls.models.loaded_model import Scores
from edgecls.models.scores_evidence import output_kind, ranking

_SCORES_ALONE = "save the model again with one output of scores, as its last Dense layer gives them"


def open_scores(computation: Computation, output: str | None) -> tuple[Scores, Any]:
    """The scores and the GraphDef that computes them.

    Args:
        computation: the loaded model.
        output: name of the output that holds them; None where there is one output.

    Raises:
        UnsupportedModelError: several outputs and none named, no such output, or one that holds no scores. The remedy names an output
            that does, where there is one.
    """
    names = list(computation.outputs)
    if output is None and len(names) > 1:
        raise UnsupportedModelError(
            "one vector of scores", f"{len(names)} outputs: {_listing(computation)}", _advice(computation, names)
        )
    if output is not None and output not in names:
        raise UnsupportedModelError(
            f"an output named {output!r}", f"the outputs {_listing(computation)}", _advice(computation, names)
        )
    chosen = names[0] if output is None else output
    try:
        return _open(computation, chosen)
    except NoScoresError as error:
        others = [name for name in names if name != chosen]
        if not others:
            raise
        raise NoScoresError(error.expected, f"the output {chosen}: {error.found}", _advice(computation, others)) from None


def _open(computation: Computation, name: str) -> tuple[Scores, Any]:
    scores = Scores(computation, name)
    graph = _freeze(scores, computation)
    ranked = ranking(graph)
    if ranked is not None:
        raise NoScoresError("one score for each class", ranked, _SCORES_ALONE)
    return scores, graph


def _freeze(scores: Scores, computation: Computation) -> Any:
    try:
        return freeze_function(scores.trace, tuple(size or 1 for size in computation.input_shape))
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
            scores, graph = _open(computation, name)
        except EdgeclsError:
            continue
        found.append((output_kind(graph) == "logits", scores.outputs == 1, place, name))
    return f"name one, as --output {shlex.quote(min(found)[-1])}" if found else _SCORES_ALONE


def _listing(computation: Computation) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in computation.outputs.items())
