"""coremltools' own tests with the reference in the place of Core ML; `make coreml` runs all of them."""

from __future__ import annotations

import pytest

from coreml_suites import SUITES, run

SAMPLE = 60  # of each suite: some minutes


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES)
def test_no_answer_is_wrong(suite: str) -> None:
    found = run(suite, SAMPLE)
    assert found.wrong == {}
    assert found.equal > SAMPLE // 5  # the others are refused by name, or compare nothing
