"""Inputs: what every protocol makes of a request, and the pieces that they share in making it."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.data.decode import decode_bytes
from edgecls.serve.card import Card
from edgecls.serve.limits import Limits
from edgecls.serve.question import Question, RefusedError, Reply

MOST_VALUE = 1e6  # no image that is prepared for a model comes near it; scores of larger values would be no finite numbers
_DEEPEST = 32  # levels of a nested list: numpy has no more axes than these either, JSON's own recursion ends far later


@dataclass(frozen=True)
class Inputs:
    """The images of one request.

    Attributes:
        images: [n, H, W, C]: uint8 pixels, or where `is_prepared` float32 values that enter the model as they are.
        render: scores [n, outputs] and the milliseconds they took to the reply.
    """

    images: np.ndarray
    render: Callable[[np.ndarray, float], Reply]
    is_prepared: bool = False


Reader = Callable[[Question, Card, Limits], Inputs]


def decode_all(files: Sequence[bytes], card: Card, limits: Limits) -> np.ndarray:
    """Encoded images as uint8 [n, H, W, C], by the image contract.

    Raises:
        RefusedError: none, more than are taken, or the artifact takes no pictures.
        DataError: no image, or a damaged one.
    """
    require_count(len(files), limits)
    if card.spec.channels not in (1, 3):
        raise RefusedError(400, f"expected tensors, found pictures; {card.name} takes images of {card.spec.channels} channels")
    return np.stack([decode_bytes(content, card.spec, limits.pixels) for content in files])


def require_count(count: int, limits: Limits) -> None:
    """Refuse requests with no image, or too many.

    Raises:
        RefusedError: it is one of these.
    """
    if not count:
        raise RefusedError(400, "expected an image, found none")
    if count > limits.images:
        raise RefusedError(413, f"expected at most {limits.images} images in a request, found {count}")


def prepared(values: Any, card: Card, limits: Limits) -> np.ndarray:
    """Nested lists or an array of shape [n, *input_shape], which enter the model as they are, as float32 [n, H, W, C].

    Raises:
        RefusedError: of another shape, or no finite numbers.
    """
    array = as_numbers(values)
    shape = card.spec.input_shape
    if array.ndim == 0 or array.shape[1:] != shape:
        raise RefusedError(400, f"expected numbers of shape [n, {', '.join(map(str, shape))}], found {list(array.shape)}")
    require_count(len(array), limits)
    if not (np.abs(array) <= MOST_VALUE).all():  # so that NaN is refused too
        raise RefusedError(400, f"expected numbers of at most {MOST_VALUE:,.0f}, found others")
    return card.plain_spec.invert(array.astype(np.float32))


def as_numbers(values: Any) -> np.ndarray:
    """Nested lists of numbers as an array.

    Raises:
        RefusedError: ragged, or something else than numbers in it.
    """
    if not isinstance(values, np.ndarray):
        if _has_others(values, 0):
            raise RefusedError(400, "expected nested lists of numbers, found something else in them")
        try:
            values = np.array(values)
        except (ValueError, OverflowError):
            raise RefusedError(400, "expected nested lists of equal lengths, found lists that differ") from None
    if values.dtype.kind not in "iuf":  # numbers beyond 64 bits are Python objects
        raise RefusedError(400, "expected numbers of 64 bits at most, found larger ones")
    return values


def _has_others(values: Any, depth: int) -> bool:
    """Whether nested lists hold anything but numbers. Types are looked at row by row, not number by number."""
    if not isinstance(values, list):
        return isinstance(values, bool) or not isinstance(values, int | float)
    if depth > _DEEPEST:
        return True
    kinds = set(map(type, values))
    if kinds <= {int, float}:
        return False
    return any(_has_others(value, depth + 1) for value in values)


def read_json(body: bytes | memoryview) -> Any:
    """A body that is JSON.

    Raises:
        RefusedError: it is not.
    """
    try:
        return _DECODER.decode(str(body, "utf-8-sig"))  # RFC 8259: JSON between systems is UTF-8
    except (ValueError, RecursionError):
        raise RefusedError(400, "expected JSON, found something else") from None


def read_object(body: bytes | memoryview, known: frozenset[str]) -> dict[str, Any]:
    """A body that is a JSON object with no other keys than known ones.

    Raises:
        RefusedError: it is not.
    """
    value = read_json(body)
    if not isinstance(value, dict):
        raise RefusedError(400, "expected a JSON object, found something else")
    if unknown := sorted(value.keys() - known):
        raise RefusedError(400, f"expected the keys {', '.join(sorted(known))}, found {shown(unknown[0])}")
    return value


def from_base64(text: Any) -> bytes:
    """What a base64 text holds; a data URL too.

    Raises:
        RefusedError: it is none.
    """
    if not isinstance(text, str):
        raise RefusedError(400, "expected an image as a base64 text, found something else")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(400, "expected base64, found something else") from None


def size_of(shape: Sequence[int]) -> int:
    """Number of values of a shape."""
    return math.prod(shape)


def shown(text: object) -> str:
    """What a stranger wrote, short enough to be repeated."""
    return repr(text)[:80]


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are no JSON


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)  # json.loads would make one for each request
