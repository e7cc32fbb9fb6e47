"""POST /predict: an image as the body itself, as an uploaded file, or as base64 in JSON; the best classes come back."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecls.evaluation.top_predictions import top_predictions
from edgecls.serve.card import Card
from edgecls.serve.limits import Limits
from edgecls.serve.protocols.inputs import Inputs, decode_all, from_base64, read_object
from edgecls.serve.question import Question, RefusedError, Reply, to_json

_KEYS = frozenset(("image",))


def read_predict(question: Question, card: Card, limits: Limits) -> Inputs:
    """One image.

    Raises:
        RefusedError: the body holds none.
        DataError: no image, or a damaged one.
    """
    images = decode_all([_image_of(question)], card, limits)

    def render(scores: np.ndarray, ms: float) -> Reply:
        found = top_predictions(scores[0], card.output_kind, card.labels, question.top)
        answer = {
            "artifact": card.name,
            "predictions": [prediction.model_dump(exclude_none=True) for prediction in found],
            "compute_ms": round(ms, 3),
        }
        return Reply(200, to_json(answer))

    return Inputs(images, render)


def _image_of(question: Question) -> bytes:
    kind = question.content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _uploaded(question)
    if kind == "application/json":
        fields = read_object(question.body, _KEYS)
        return from_base64(fields.get("image"))
    if not question.body:
        raise RefusedError(400, "expected an image, found an empty body")
    return bytes(question.body)


def _uploaded(question: Question) -> bytes:
    """The one file of a form."""
    from python_multipart import create_form_parser
    from python_multipart.exceptions import FormParserError

    files: list[Any] = []
    headers = {"Content-Type": question.content_type.encode("latin-1"), "Content-Length": str(len(question.body)).encode()}
    config = {"MAX_MEMORY_FILE_SIZE": len(question.body) + 1}  # bounded by the upload itself: nothing goes to a disk
    try:
        parser = create_form_parser(headers, lambda field: None, files.append, config=config)
        parser.write(bytes(question.body))
        parser.finalize()
    except (FormParserError, ValueError):
        raise RefusedError(400, "expected a form with a file, found a damaged one") from None
    if len(files) != 1:
        raise RefusedError(400, f"expected a form with one file, found {len(files)}")
    stream = files[0].file_object
    stream.seek(0)
    return stream.read()
