"""What pyright does not ask of whoever adds a target, a scheme, a stage, a quantity, a limit or a kind of Core ML operation: a row in each
table that has one for all of them.

Where there is a case for each instead, `assert_never` lets pyright ask.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import get_args

from edgecls.converters.support import SUPPORT
from edgecls.coreml_reference import operations
from edgecls.crew.crew import engines
from edgecls.evaluation.examination import STORED_AS
from edgecls.evaluation.flips_reference import _ORDER
from edgecls.gate.budget import _PARSERS, Limits
from edgecls.records.artifact import FORMATS, SUFFIXES, TARGETS, Scheme
from edgecls.records.finding import Quantity, scale_of
from edgecls.records.recipe import STAGE_FIELDS, Recipe, Stage
from edgecls.records.variant import Variant
from edgecls.reporting.gate import _TITLES

SCHEMES = get_args(Scheme)
DOCS = Path(__file__).parents[1] / "docs"


def test_targets() -> None:
    for table in (FORMATS, SUFFIXES, _ORDER, {target for target, _ in SUPPORT}):
        assert sorted(table) == sorted(TARGETS)
    here = [target for target in TARGETS if (target, sys.platform) != ("coreml", "darwin")]  # its runner loads Core ML itself
    assert all(engines([target]) for target in here)


def test_schemes() -> None:
    assert {scheme for _, scheme in SUPPORT} == set(SCHEMES)
    assert {*STORED_AS, "float32"} == set(SCHEMES)


def test_stages() -> None:
    assert set(STAGE_FIELDS) == set(get_args(Stage))
    for record in (Recipe, Variant):
        assert set(STAGE_FIELDS.values()) <= set(record.model_fields)


def test_quantities() -> None:
    assert list(_TITLES) == [quantity for quantity in get_args(Quantity) if scale_of(quantity)]


def test_limits() -> None:
    limits = [field.name for field in dataclasses.fields(Limits)]
    assert sorted(_PARSERS) == sorted(limits)
    page = (DOCS / "ci.md").read_text(encoding="utf-8")
    assert [limit for limit in limits if f"`{limit}`" not in page] == []


def test_kinds_of_core_ml_operations() -> None:
    names = [path.stem for path in Path(str(operations.__file__)).parent.glob("*.py") if not path.stem.startswith("_")]
    kinds = [importlib.import_module(f"{operations.__name__}.{name}") for name in names]
    entries = {operation for kind in kinds for operation in getattr(kind, "ENTRIES", ())}
    assert set(operations.OPERATIONS) == entries
