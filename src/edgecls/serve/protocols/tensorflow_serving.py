"""TensorFlow Serving's REST: POST /v1/models/NAME:predict, with `instances` in rows or `inputs` in columns.

A tensor enters the model as it is, as TensorFlow Serving gives it to the graph: a client that prepared images for the model there goes on
working here. `{"b64": …}` is an encoded image, which enters by the image contract.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecls.evaluation.top_predictions import top_predictions
from edgecls.serve.card import Card
from edgecls.serve.limits import Limits
from edgecls.serve.protocols.inputs import Inputs, decode_all, from_base64, prepared, read_object, shown
from edgecls.serve.question import Question, RefusedError, Reply, to_json

SIGNATURES = ("serving_default", "serving_bytes", "classify")
_KEYS = frozenset(("signature_name", "instances", "inputs"))
_B64 = "b64"


def read_tensorflow_serving(question: Question, card: Card, limits: Limits) -> Inputs:
    """Tensors or encoded images.

    Raises:
        RefusedError: the body holds neither.
        DataError: no image, or a damaged one.
    """
    fields = read_object(question.body, _KEYS)
    signature = fields.get("signature_name", SIGNATURES[0])
    if not isinstance(signature, str) or signature not in SIGNATURES:
        raise RefusedError(400, f"expected a signature among {', '.join(SIGNATURES)}, found {shown(signature)}")
    given = [key for key in ("instances", "inputs") if key in fields]
    if len(given) != 1:
        raise RefusedError(400, "expected either instances or inputs, found " + ("both" if given else "neither"))
    by_row = given == ["instances"]
    values = _rows(fields["instances"]) if by_row else _unnamed(fields["inputs"])
    files = _encoded(values)
    images = prepared(values, card, limits) if files is None else decode_all(files, card, limits)

    def render(scores: np.ndarray, ms: float) -> Reply:
        if signature == "classify":
            return Reply(200, to_json(_classified(scores, card, by_row=by_row)))
        return Reply(200, to_json({"predictions" if by_row else "outputs": _as_text(scores)}))

    return Inputs(images, render, is_prepared=files is None)


def status_of(version: str) -> dict[str, Any]:
    """GET /v1/models/NAME."""
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": version, "state": "AVAILABLE", "status": status}]}


def metadata_of(card: Card, name: str, version: str) -> dict[str, Any]:
    """GET /v1/models/NAME/metadata."""
    image = _tensor("image", "DT_FLOAT", (-1, *card.spec.input_shape))
    encoded = _tensor("image_bytes", "DT_STRING", (-1,))
    scores = _tensor("scores", "DT_FLOAT", (-1, card.outputs))
    classes = (-1, len(card.labels))
    sorted_answer = {
        "labels": _tensor("labels", "DT_STRING", classes),
        "scores": _tensor("scores", "DT_FLOAT", classes),
    }
    signatures = {
        "serving_default": _signature({"image": image}, {"scores": scores}),
        "serving_bytes": _signature({"image_bytes": encoded}, {"scores": scores}),
        "classify": _signature({"image_bytes": encoded}, sorted_answer),
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _rows(instances: Any) -> Any:
    if not isinstance(instances, list) or not instances:
        raise RefusedError(400, "expected instances as a list, found none")
    if any(isinstance(row, dict) for row in instances):
        return [_unnamed(row) for row in instances]
    return instances


def _unnamed(value: Any) -> Any:
    """The one tensor behind its name, whatever that is: this model has one input."""
    if isinstance(value, dict) and len(value) == 1 and _B64 not in value:
        return next(iter(value.values()))
    return value


def _encoded(values: Any) -> list[bytes] | None:
    """The files, where values are encoded images; None where they are tensors."""
    found = [values] if isinstance(values, dict) else values
    if not isinstance(found, list) or not any(isinstance(value, dict) for value in found):
        return None
    if not all(isinstance(value, dict) and value.keys() == {_B64} for value in found):
        raise RefusedError(400, 'expected {"b64": …} for each image, found something else')
    return [from_base64(value[_B64]) for value in found]


def _classified(scores: np.ndarray, card: Card, *, by_row: bool) -> dict[str, Any]:
    """All classes of each image, best first."""
    sorted_answers = [top_predictions(row, card.output_kind, card.labels, len(card.labels)) for row in scores]
    labels = [[prediction.label for prediction in answer] for answer in sorted_answers]
    found = [[prediction.score for prediction in answer] for answer in sorted_answers]
    if by_row:
        return {"predictions": [{"labels": names, "scores": row} for names, row in zip(labels, found, strict=True)]}
    return {"outputs": {"labels": labels, "scores": found}}


def _as_text(scores: np.ndarray) -> list[list[float]]:
    """float32 as the shortest decimal that gives it back."""
    return [[float(str(value)) for value in row] for row in scores]


def _tensor(name: str, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": dimensions, "unknown_rank": False}, "name": f"{name}:0"}


def _signature(inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": inputs, "outputs": outputs, "method_name": "tensorflow/serving/predict"}
