"""What pyright does not ask of whoever adds a target, a scheme, a stage or a quantity: a row in each table that has one for all of them.

Where there is a case for each instead, `assert_never` lets pyright ask.
"""

from __future__ import annotations

import sys
from typing import get_args

from edgecls.converters.support import SUPPORT
from edgecls.crew.crew import engines
from edgecls.evaluation.examination import STORED_AS
from edgecls.evaluation.rows import _REFERENCE_ORDER
from edgecls.records.artifact import FORMATS, SUFFIXES, TARGETS, Scheme
from edgecls.records.finding import Quantity, scale_of
from edgecls.records.recipe import STAGE_FIELDS, Recipe, Stage
from edgecls.records.variant import Variant
from edgecls.reporting.gate import _TITLES

SCHEMES = get_args(Scheme)


def test_targets() -> None:
    for table in (FORMATS, SUFFIXES, _REFERENCE_ORDER, {target for target, _ in SUPPORT}):
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
