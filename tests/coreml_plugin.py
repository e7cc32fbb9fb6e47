"""A pytest plugin for coremltools' own tests: the reference in the place of Core ML, and what became of each test.

`MLModel.predict` needs macOS, and the tests stop before it elsewhere; with the reference in its place they go on and compare its answers
with TensorFlow's, or with those written into the test.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.coreml_reference import Input, Program, open_program
from edgecls.errors import UnsupportedOperationError

_MACOS = (15, 0)  # the tests ask for its version before they compare
_STEPS = ("call", "setup")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("coreml")
    group.addoption("--outcomes", type=Path, help="where to write what became of each test, as JSON")
    group.addoption("--sample", type=int, help="run so many tests, drawn by --seed; all by default")
    group.addoption("--seed", type=int, default=0)


def pytest_configure(config: pytest.Config) -> None:
    suite = _Suite(config)
    _let_compare(suite)
    config.pluginmanager.register(suite, "coreml-suite")


def _let_compare(suite: _Suite) -> None:
    """Let the tests believe that they run on macOS, where Core ML answers."""
    from coremltools.models import utils

    utils._macos_version = lambda: _MACOS  # before the tests' own modules take it from there
    from coremltools.converters.mil import testing_utils
    from coremltools.models import MLModel

    testing_utils._IS_MACOS = True
    MLModel.predict = lambda model, data, state=None: suite.predict(model, data)  # type: ignore[method-assign]
    compare = np.testing.assert_allclose

    def comparing(*arguments: Any, **options: Any) -> None:
        suite.compared = True
        compare(*arguments, **options)

    np.testing.assert_allclose = comparing


class _Suite:
    """The run of one suite.

    Attributes:
        outcomes: test -> `equal`, `wrong: …`, `refused: …`, or `not compared` where it never had an answer to compare.
        compared: whether numbers were compared since the last answer.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._file, self._sample, self._seed = (config.getoption(name) for name in ("outcomes", "sample", "seed"))
        self.outcomes: dict[str, str] = {}
        self._answered = self.compared = self._expects_float16 = False
        self._refused = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave programs that compute in float16 out: float32 tells errors from rounding."""
        kept = [item for item in items if not _computes_in_float16(item)]
        if self._sample and self._sample < len(kept):
            chosen = sorted(random.Random(self._seed).sample(range(len(kept)), self._sample))
            kept = [kept[index] for index in chosen]
        items[:] = kept

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Each test draws its own numbers, whichever others run."""
        import tensorflow as tf

        seed = zlib.crc32(nodeid.encode())
        np.random.seed(seed)
        tf.random.set_seed(seed)
        self._answered = self.compared = False
        self._refused = ""
        self._expects_float16 = "fp16" in nodeid or "float16" in nodeid

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when in _STEPS:
            self.outcomes[item.nodeid] = self._outcome(call)
        return report

    def _outcome(self, call: pytest.CallInfo[None]) -> str:
        if self._refused:
            return f"refused: {self._refused}"
        if not self._answered or (call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception)):
            return "not compared"
        if call.excinfo is not None:
            return f"wrong: {' '.join(call.excinfo.exconly().split())[:300]}"
        return "equal" if self.compared else "not compared"

    def predict(self, model: Any, data: Mapping[str, Any]) -> dict[str, Any]:
        """`MLModel.predict` by the reference."""
        spec = model.get_spec()
        if spec.WhichOneof("Type") != "mlProgram":
            pytest.skip("no ML program")
        self._answered, self.compared = True, False
        try:
            program = open_program(Path(model.package_path))
            if program.note or self._expects_float16:
                pytest.skip("float16, whatever precision was asked for: the reference does not round to it")
            found = program.run({source.name: _given(source, data[source.name]) for source in program.inputs})
        except UnsupportedOperationError as error:
            self._refused = error.found.partition(": ")[2]
            pytest.skip("refused")
        ranks = {output.name: len(output.type.multiArrayType.shape) for output in spec.description.output}
        ranks.update({tensor.name: len(tensor.shape) for tensor in program.values})
        return {name: _answer(program, name, values, ranks[name]) for name, values in found.items()}

    def pytest_sessionfinish(self) -> None:
        if self._file is not None:
            self._file.write_text(json.dumps(self.outcomes, indent=1), encoding="utf-8")


def _computes_in_float16(item: pytest.Item) -> bool:
    """Its parameter `backend` tells, in one of two forms."""
    callspec = getattr(item, "callspec", None)
    return callspec is not None and "fp16" in repr(callspec.params.get("backend"))


def _given(source: Input, value: Any) -> np.ndarray:
    """What Core ML is given, as the reference takes it: an image or an array, for one image."""
    values = np.atleast_1d(np.asarray(value))
    if source.color is not None:
        return values.reshape(1, *values.shape[:2], -1)
    return values if source.shape[:1] == (1,) else values[None]


def _answer(program: Program, name: str, values: np.ndarray, rank: int) -> Any:
    """What Core ML gives: arrays of one axis at least, a text and a dictionary of a classifier's label and scores."""
    if values.dtype.kind == "U":
        return str(values[0])
    if name == program.scores:
        return dict(zip(program.labels, values[0].tolist(), strict=True))
    return np.atleast_1d(values[0] if values.ndim > rank else values)
