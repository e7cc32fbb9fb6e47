"""Budget: the limits an artifact has to keep, read from `edgecls.toml`.

    latency_reference = "base-tflite-float32"   # what latencies are divided by

    [default]                                   # every artifact
    max_growth = "2%"
    max_accuracy_drop = "0.5 points"
    confidence = 0.95

    [artifact."*-int8"]                         # a name or a pattern
    max_size = "4 MB"

Later tables win over earlier ones, a full name over patterns, and what no table says is `Limits()`. Tables `[machines.NAME]` are those of
`edgecls bench --on`.
"""

from __future__ import annotations

import fnmatch
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from edgecls.errors import GateError, reason_of

BUDGET_NAME = "edgecls.toml"
OFF = "none"  # as a limit: this one is not checked
_UNITS = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_NUMBER = re.compile(r"\+?(\d+(?:_\d+)*(?:\.\d+)?|\.\d+)\s*(\S*)")
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class Growth:
    """How much more is allowed: a share of what there was, or a number of bytes."""

    share: float | None = None
    size_bytes: int | None = None

    def allowed(self, before: int) -> int:
        """The most bytes that `before` may have become."""
        if self.size_bytes is not None:
            return before + self.size_bytes
        return before + math.floor(before * Decimal(repr(self.share or 0.0)))  # as it was written: 29 % of 100 bytes are 29


@dataclass(frozen=True)
class Limits:
    """What one artifact has to keep; None is not checked.

    Attributes:
        max_size, max_download: bytes of the file, and of the file after deflate.
        max_growth, max_download_growth: against the baseline.
        min_accuracy: top-1, or mean average precision where labels are multi-hot, 0..1.
        max_accuracy_drop: of the same against the baseline, 0..1 (0.005 is half a percentage point).
        max_flips: share of images whose winner, or set of predicted classes, is not the reference's, 0..1.
        max_flips_growth: of that share against the baseline, 0..1.
        max_latency_growth: of the latency relative to the reference artifact's, against the baseline's such ratio, a share.
        confidence: a drop of accuracy and a growth of flips count when it is this likely that they exceed their limit, seen as
            estimates from a sample of images; 0: the bare figures count, as those of mean average precision always do.
    """

    max_size: int | None = None
    max_download: int | None = None
    max_growth: Growth | None = Growth(share=0.01)
    max_download_growth: Growth | None = Growth(share=0.01)
    min_accuracy: float | None = None
    max_accuracy_drop: float | None = 0.005
    max_flips: float | None = None
    max_flips_growth: float | None = 0.01
    max_latency_growth: float | None = 0.1
    confidence: float = 0.95


@dataclass(frozen=True)
class Budget:
    """All limits of a project.

    Attributes:
        tables: (name or pattern, what it says), `[default]` first as the pattern `*`.
        latency_reference: name of the artifact that latencies are divided by.
        origin: the file, for messages.
    """

    tables: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    latency_reference: str | None = None
    origin: str = field(default="the limits without a budget", compare=False)

    @classmethod
    def read(cls, path: Path) -> Budget:
        """Read `edgecls.toml`.

        Raises:
            GateError: missing, no TOML, or with tables, keys, values or units that no limit has.
        """
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise GateError(
                "a budget in TOML", f"{path}: {reason_of(error)}", "correct the file, or name another with --budget"
            ) from None
        reference = content.pop("latency_reference", None)
        if reference is not None and not isinstance(reference, str):
            raise GateError("the name of an artifact", f"{path}: latency_reference = {reference!r}", "write it in quotes")
        if reference is not None and (not reference or _is_pattern(reference)):
            raise GateError("the name of one artifact", f"{path}: latency_reference = {reference!r}", "write its full name")
        content.pop("machines", None)  # those of `edgecls bench --on`, which reads them itself
        default, artifacts = content.pop("default", {}), content.pop("artifact", {})
        if content:
            raise GateError(
                "[default], [artifact.NAME] and latency_reference",
                f"{path}: {', '.join(map(repr, content))}",
                "remove or rename it",
            )
        if not isinstance(artifacts, dict):
            raise GateError('tables [artifact."NAME"]', f"{path}: artifact = {artifacts!r}", "name the artifact in the heading")
        tables = [("*", _limits(default, f"{path}: [default]"))]
        tables += [(name, _limits(table, f'{path}: [artifact."{name}"]')) for name, table in artifacts.items()]
        return cls(tuple(tables), reference, str(path))

    def limits(self, name: str) -> Limits:
        """What the artifact of this name has to keep."""
        matching = [(pattern, values) for pattern, values in self.tables if _matches(pattern, name)]
        matching.sort(key=lambda table: table[0] == name)  # a full name has the last word; otherwise the order of the file stays
        found = Limits()
        for _, values in matching:
            found = replace(found, **values)
        return found

    def require_known(self, names: Iterable[str]) -> None:
        """Check that every table speaks of an artifact there is or was.

        Raises:
            GateError: one does not; a misspelt name would guard nothing.
        """
        known = sorted(set(names))
        wanted = [pattern for pattern, _ in self.tables[1:]] + ([self.latency_reference] if self.latency_reference else [])
        for pattern in wanted:
            if not any(_matches(pattern, name) for name in known):
                raise GateError(
                    f"limits for artifacts there are ({', '.join(known)})", f"{self.origin}: {pattern!r}", "correct the name"
                )


def parse_bytes(value: object) -> int:
    """`"4 MB"` (1000 × 1000), `"4 MiB"` (1024 × 1024) or a whole number of bytes.

    Raises:
        ValueError: the message says what is expected.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    number, unit = _split(value)
    if unit not in _UNITS or number is None:
        raise ValueError(f"a size such as '4 MB' or '512 KiB' (units: {', '.join(_UNITS)})")
    return math.floor(number * _UNITS[unit])


def parse_share(value: object) -> float:
    """`"2%"` is 0.02.

    Raises:
        ValueError: the message says what is expected.
    """
    number, unit = _split(value)
    if number is None or unit != "%":
        raise ValueError("a percentage such as '2%'")
    return float(number / 100)


def parse_points(value: object) -> float:
    """`"0.5 points"` (percentage points) is 0.005.

    Raises:
        ValueError: the message says what is expected; `%` is refused, for it could mean a share of the accuracy there was.
    """
    number, unit = _split(value)
    if number is None or unit not in ("point", "points"):
        raise ValueError("percentage points such as '0.5 points'")
    return float(number / 100)


def _parse_growth(value: object) -> Growth:
    if _split(value)[1] == "%":
        return Growth(share=parse_share(value))
    try:
        return Growth(size_bytes=parse_bytes(value))
    except ValueError:
        raise ValueError(f"a growth such as '2%' or '16 KiB' (units: %, {', '.join(_UNITS)})") from None


def _parse_confidence(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not (value == 0 or 0.5 <= value < 1):
        raise ValueError("a number from 0.5 to below 1, or 0 to let the bare figures count")
    return float(value)


_PARSERS: dict[str, Callable[[object], Any]] = {
    "max_size": parse_bytes,
    "max_download": parse_bytes,
    "max_growth": _parse_growth,
    "max_download_growth": _parse_growth,
    "min_accuracy": parse_share,
    "max_accuracy_drop": parse_points,
    "max_flips": parse_share,
    "max_flips_growth": parse_points,
    "max_latency_growth": parse_share,
    "confidence": _parse_confidence,
}


def _limits(table: object, where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise GateError("a table of limits", f"{where}: {table!r}", f"write keys such as {next(iter(_PARSERS))} below it")
    found = {}
    for key, value in table.items():
        if key not in _PARSERS:
            raise GateError(f"limits among {', '.join(_PARSERS)}", f"{where} {key}", "correct the key")
        try:
            found[key] = None if value == OFF and key != "confidence" else _PARSERS[key](value)
        except ValueError as error:
            remedy = f"correct it, or write '{OFF}' to leave the limit out" if key != "confidence" else "correct it"
            raise GateError(str(error), f"{where} {key} = {value!r}", remedy) from None
    return found


def _split(value: object) -> tuple[Decimal | None, str]:
    """Number, exactly as written, and unit of a text; (None, "") where it is none."""
    found = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    return (Decimal(found[1].replace("_", "")), found[2]) if found else (None, "")


def _matches(pattern: str, name: str) -> bool:
    return pattern == name or (_is_pattern(pattern) and fnmatch.fnmatchcase(name, pattern))


def _is_pattern(text: str) -> bool:
    return bool(_WILDCARDS & set(text))
