"""edgecls.toml: units, precedence, and everything in it that guards nothing."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from edgecls.errors import GateError
from edgecls.gate import budget as module
from edgecls.gate.budget import Budget, Growth, Limits, parse_bytes, parse_share


def read(tmp_path: Path, text: str) -> Budget:
    path = tmp_path / "edgecls.toml"
    path.write_text(text, encoding="utf-8")
    return Budget.read(path)


def test_every_limit_has_a_parser() -> None:
    assert set(module._PARSERS) == {entry.name for entry in fields(Limits)}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4 MB", 4_000_000),
        ("4 MiB", 4_194_304),
        ("4MiB", 4_194_304),
        ("1.5 kB", 1500),
        ("1.5 KiB", 1536),
        ("7 B", 7),
        (12, 12),
        ("1.001 MB", 1_001_000),
    ],
)
def test_decimal_and_binary_units_differ(text: object, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["4", "4 M", "4 Mb", "4 mb", "-4 MB", "MB", "4 MB 3", "", True, 1.5, -1, None])
def test_sizes_without_a_clear_unit_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a size such as"):
        parse_bytes(text)


def test_a_growth_is_a_share_or_bytes() -> None:
    assert Growth(share=0.02).allowed(1049) == 1069  # 1069.98 bytes: the part of a byte is not allowed
    assert Growth(size_bytes=100).allowed(1049) == 1149
    assert Growth(share=0.0).allowed(1049) == 1049
    for percent in range(1, 100):  # in binary 29 % of 100 are a little less than 29
        assert Growth(share=parse_share(f"{percent}%")).allowed(100) == 100 + percent


def test_later_tables_win_and_a_full_name_has_the_last_word(tmp_path: Path) -> None:
    budget = read(
        tmp_path,
        """
        latency_reference = "base-tflite-float32"
        [default]
        max_growth = "2%"
        max_accuracy_drop = "1 point"
        confidence = 0.9
        [artifact."base-tflite-int8"]
        max_size = "4 MB"
        [artifact."*-int8"]
        max_size = "5 MB"
        max_growth = "16 KiB"
        min_accuracy = "70%"
        [artifact."base-*"]
        min_accuracy = "none"
        """,
    )
    limits = budget.limits("base-tflite-int8")
    assert limits.max_size == 4_000_000
    assert limits.max_growth == Growth(size_bytes=16384)
    assert limits.min_accuracy is None
    assert limits.max_accuracy_drop == 0.01
    assert limits.confidence == 0.9
    assert budget.limits("qat-onnx-int8").max_size == 5_000_000
    assert budget.limits("qat-onnx-float32") == Limits(max_growth=Growth(share=0.02), max_accuracy_drop=0.01, confidence=0.9)
    assert budget.latency_reference == "base-tflite-float32"


def test_without_a_budget_growth_and_drops_are_limited() -> None:
    limits = Budget().limits("anything")
    assert limits.max_growth == Growth(share=0.01)
    assert limits.max_accuracy_drop == 0.005
    assert limits.max_size is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[default]\nmax_size = '4 MX'", "units: B, kB, KB, MB, GB, KiB, MiB, GiB"),
        ("[default]\nmax_growth = '4 parsecs'", "a growth such as '2%' or '16 KiB'"),
        ("[default]\nmax_accuracy_drop = '1%'", "percentage points such as '0.5 points'"),
        ("[default]\nmax_flips = 2", "a percentage such as '2%'"),
        ("[default]\nconfidence = 95", "a number from 0.5 to below 1"),
        ("[default]\nconfidence = 'none'", "a number from 0.5 to below 1"),
        ("[default]\nmax_sizes = '4 MB'", "found"),
        ("[defaults]\nmax_size = '4 MB'", "'defaults'"),
        ("artifact = 3", "artifact = 3"),
        ("[artifact]\nname = '4 MB'", "a table of limits"),
        ("latency_reference = 3", "latency_reference = 3"),
        ("latency_reference = '*-float32'", "the name of one artifact"),
        ("latency_reference = ''", "the name of one artifact"),
        ("[default", "a budget in TOML"),
    ],
)
def test_what_no_limit_has_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(GateError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
    assert str(tmp_path / "edgecls.toml") in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_budget_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="No such file"):
        Budget.read(tmp_path / "none.toml")


def test_limits_for_an_artifact_that_nobody_makes_are_refused(tmp_path: Path) -> None:
    names = ["base-tflite-int8", "base-onnx-int8"]
    read(tmp_path, "latency_reference = 'base-onnx-int8'\n[artifact.'*-int8']\nmax_size = '4 MB'").require_known(names)
    for text in ("[artifact.'*-int4']", "[artifact.'base-tflite-int']", "latency_reference = 'base'"):
        with pytest.raises(GateError, match="limits for artifacts there are"):
            read(tmp_path, text).require_known(names)
