"""Damaged copies of a file, seeded: cut short, bytes and numbers overwritten, blocks lost or doubled, archives and JSON from within."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

_HEAD = 4096  # where the tables of most formats lie
_NUMBERS = (0, 1, 0x7F, 0xFF, 2**15, 2**31 - 1, 2**32 - 1, 2**62, 2**63, 2**64 - 1)
_VALUES: tuple[Any, ...] = (None, True, -1, 0, 2**62, 1e308, -0.5, "", "x" * 300, "\ud800", [], {}, [[]], {"a": 1}, "NaN")


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A damaged copy. An archive is damaged within a member, and JSON within a value, every other time."""
    if rng.random() < 0.5:
        if data.startswith(b"PK\x03\x04"):
            return _member(data, rng)
        if data.lstrip()[:1] in (b"{", b"["):
            return _value(data, rng)
    return rng.choice(_WAYS)(bytearray(data), rng)


def _cut(data: bytearray, rng: random.Random) -> bytes:
    return bytes(data[: rng.randrange(len(data) + 1)])


def _bytes(data: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.choice([1, 3, 30, 500])):
        data[_place(data, rng)] = rng.choice([0, 255, rng.randrange(256)])
    return bytes(data)


def _numbers(data: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.choice([1, 2, 8])):
        place, size = _place(data, rng), rng.choice([2, 4, 8])
        data[place : place + size] = (rng.choice(_NUMBERS) % 2 ** (8 * size)).to_bytes(size, "little")
    return bytes(data)


def _block(data: bytearray, rng: random.Random) -> bytes:
    start = _place(data, rng)
    stop = min(len(data), start + rng.choice([1, 8, 200, 5000]))
    block = bytes(data[start:stop])
    data[start:stop] = rng.choice([b"", bytes(len(block)), block + block, block[::-1]])
    return bytes(data)


_WAYS: tuple[Callable[[bytearray, random.Random], bytes], ...] = (_cut, _bytes, _bytes, _numbers, _block)


def _place(data: bytearray, rng: random.Random) -> int:
    return rng.randrange(min(len(data), _HEAD) if rng.random() < 0.6 else len(data))


def _member(data: bytes, rng: random.Random) -> bytes:
    """The same archive with one damaged member, whose checksum is right."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", rng.choice([0, 8])) as new:
        chosen = rng.choice(old.namelist())
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, damaged(content, rng) if name == chosen and content else content)
    return stream.getvalue()


def _value(data: bytes, rng: random.Random) -> bytes:
    """The same JSON with values of other types, lost and doubled keys."""
    content = json.loads(data)
    for _ in range(rng.choice([1, 1, 3])):
        places = list(_places(content))
        if not places:
            break
        holder, key = rng.choice(places)
        if isinstance(holder, dict) and rng.random() < 0.3:
            holder[rng.choice(["x", key + "_"])] = holder.pop(key)
        else:
            holder[key] = rng.choice(_VALUES) if rng.random() < 0.9 else _nested()
        content = json.loads(json.dumps(content))  # no value twice
    return json.dumps(content).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, item in list(inner):
        found += [(value, key), *_places(item)]
    return found


def _nested() -> list[Any]:
    value: list[Any] = []
    for _ in range(300):
        value = [value]
    return value
