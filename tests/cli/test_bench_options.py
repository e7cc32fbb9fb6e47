"""Lists of numbers on the command line of `edgecls bench`."""

from __future__ import annotations

import pytest

from edgecls.cli.bench import _counts
from edgecls.errors import InputError


@pytest.mark.parametrize(("text", "expected"), [("1", (1,)), ("1,2,4", (1, 2, 4)), (" 4 , 1,4", (4, 1))])
def test_numbers_in_their_order_each_once(text: str, expected: tuple[int, ...]) -> None:
    assert _counts("--threads", text) == expected


@pytest.mark.parametrize("text", ["", "0", "1,", "1;2", "-1", "2.5", "two", "1025", "²"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="separate them by commas"):
        _counts("--batch", text)
