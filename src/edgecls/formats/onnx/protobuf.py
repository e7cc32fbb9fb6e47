"""Reads the outermost fields of a protocol buffer without its schema and without reading what is in them.

Enough to find a record of a few hundred bytes in an ONNX or Core ML model in a millisecond, whatever the weights weigh.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgecls.formats.reading import DamagedError

_FIXED = {1: 8, 5: 4}


def fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(field number, contents) of each length-delimited field, in the file's order; numbers are passed over."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise DamagedError(f"no field begins at byte {position}")
        if wire_type == 0:
            _, position = _varint(data, position)
            continue
        if wire_type == 2:
            length, position = _varint(data, position)
        elif wire_type in _FIXED:
            length = _FIXED[wire_type]
        else:
            raise DamagedError(f"field {number} has the unknown wire type {wire_type}")
        if position + length > len(data):
            raise DamagedError(f"field {number} reaches behind the end")
        if wire_type == 2:
            yield number, data[position : position + length]
        position += length


def pair(entry: memoryview) -> tuple[str, str]:
    """Key and value of a map entry: fields 1 and 2, both text."""
    texts = {number: bytes(content).decode("utf-8", "replace") for number, content in fields(entry)}
    return texts.get(1, ""), texts.get(2, "")


def pair_of(entry: memoryview) -> tuple[str, memoryview]:
    """Key and value of a map entry whose value is a message."""
    found = dict(fields(entry))
    return bytes(found.get(1, b"")).decode("utf-8", "replace"), found.get(2, memoryview(b""))


def numbers(data: memoryview) -> dict[int, int]:
    """Field number -> value of the fields that are plain numbers; of repeated ones the last."""
    position, found = 0, dict[int, int]()
    while position < len(data):
        key, position = _varint(data, position)
        if key & 7 == 0:
            found[key >> 3], position = _varint(data, position)
            continue
        length, position = _varint(data, position) if key & 7 == 2 else (_FIXED.get(key & 7, 0), position)
        position += length
    return found


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise DamagedError("it ends within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise DamagedError(f"a number of more than ten bytes at byte {position}")
