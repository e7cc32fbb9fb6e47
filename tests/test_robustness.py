"""Damaged copies of every file that is read end in an error of ours or are read, and in nothing else. `tests/fuzz.py` tries more."""

from __future__ import annotations

from pathlib import Path

import pytest

from native_readers import NATIVE_READERS
from readers import READERS, Reader, try_damage

COPIES = 60


@pytest.mark.parametrize("reader", READERS, ids=[reader.name for reader in READERS])
def test_damage_is_refused_in_a_line(reader: Reader, tmp_path: Path) -> None:
    outcome = try_damage(reader, tmp_path / "files", range(COPIES))
    assert outcome.other == {}
    assert outcome.copies == COPIES
    assert outcome.refused > COPIES // 10  # the damage is seen at all


@pytest.mark.slow
@pytest.mark.parametrize("reader", NATIVE_READERS, ids=[reader.name for reader in NATIVE_READERS])
def test_frameworks_and_engines_let_nothing_through(reader: Reader, tmp_path: Path) -> None:
    outcome = try_damage(reader, tmp_path / "files", range(COPIES))
    assert outcome.other == {}
    assert outcome.refused > COPIES // 10
