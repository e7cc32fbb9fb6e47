"""Runs coremltools' own tests with the reference in the place of Core ML and writes docs/coreml-reference.md: `make coreml`.

    python tests/coreml_suites.py [SAMPLE]

SAMPLE runs so many tests of each suite, drawn by a fixed seed. A wrong answer makes the exit code 1.
"""

from __future__ import annotations

import collections
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "coreml-reference.md"
_MIL = "coremltools.converters.mil"
SUITES = {
    "Keras layers": [f"{_MIL}.frontend.tensorflow2.test.test_v2_ops_tf_keras"],
    "TensorFlow operations": [f"{_MIL}.frontend.tensorflow.test.test_ops", f"{_MIL}.frontend.tensorflow2.test.test_v2_ops"],
    "MIL operations": [f"{_MIL}.mil.ops.tests"],
}
# ML programs alone, in float32 too; the tests are written for Keras 2
_VARIABLES = {"PYMIL_TEST_TARGETS": "mlprogram", "INCLUDE_MIL_FP32_UNIT_TESTS": "1", "TF_USE_LEGACY_KERAS": "1"}
_TEST_TIMEOUT_S = 300
_HEAD = """# How right the Core ML reference is

coremltools carries its own tests. Off macOS they stop before `MLModel.predict`; with the reference of edgecls in its place they go on, and
compare what it computes with what TensorFlow does, or with the numbers written into them. Only programs that compute in float32 run. Every
test draws its numbers by its own name. `make coreml` runs all of them and writes this page; a sample is among the slow tests.
"""


@dataclass
class Figures:
    """What became of a suite.

    Attributes:
        equal: tests whose numbers all agreed.
        refused: operation, or what of it is not computed -> tests that the reference refused by name.
        wrong: test -> what differed.
        not_compared: tests that never had an answer to compare: they test something else, or coremltools itself fails before.
    """

    equal: int = 0
    refused: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: dict[str, str] = field(default_factory=dict)
    not_compared: int = 0

    @property
    def compared(self) -> int:
        """Tests whose numbers were compared."""
        return self.equal + len(self.wrong)


def run(suite: str, sample: int | None = None, seed: int = 0) -> Figures:
    """Run a suite, or so many of its tests, in a process of its own.

    Raises:
        RuntimeError: pytest could not collect or run it.
    """
    with TemporaryDirectory() as folder:
        outcomes = Path(folder) / "outcomes.json"
        command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", folder, "-q", "--no-header", "--tb=no"]
        command += ["--continue-on-collection-errors"]  # some of their modules need PyTorch
        command += ["-p", "coreml_plugin", "-p", "no:warnings", "-p", "no:cacheprovider", f"--timeout={_TEST_TIMEOUT_S}"]
        command += ["--outcomes", str(outcomes), "--seed", str(seed), *([] if sample is None else ["--sample", str(sample)])]
        path = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "src")])
        done = subprocess.run(
            [*command, "--pyargs", *SUITES[suite]],
            env={**os.environ, **_VARIABLES, "PYTHONPATH": path},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        found = json.loads(outcomes.read_text(encoding="utf-8")) if outcomes.exists() else {}
        if not found:
            raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
        return figures_of(found)


def figures_of(outcomes: Mapping[str, str]) -> Figures:
    """Count what the plugin wrote."""
    figures = Figures()
    for test, outcome in outcomes.items():
        kind, _, what = outcome.partition(": ")
        if kind == "equal":
            figures.equal += 1
        elif kind == "refused":
            figures.refused[re.sub(r"^operation '[^']*': ", "", what)] += 1
        elif kind == "wrong":
            figures.wrong[test] = what
        else:
            figures.not_compared += 1
    return figures


def table(suites: Mapping[str, Figures]) -> Iterator[str]:
    """Lines of the table."""
    yield "| suite | compared | equal | wrong | refused by name | nothing to compare |"
    yield "| --- | --: | --: | --: | --: | --: |"
    for name, found in suites.items():
        counts = (found.compared, found.equal, len(found.wrong), found.refused.total())
        yield f"| {name} | {' | '.join(f'{count:,}' for count in (*counts, found.not_compared))} |"


def page(suites: Mapping[str, Figures], sample: int | None) -> Iterator[str]:
    """The lines of the document."""
    yield from _HEAD.splitlines()
    yield "" if sample is None else f"\n{sample} tests of each suite, drawn by a fixed seed:\n"
    yield from table(suites)
    refused = sum((found.refused for found in suites.values()), collections.Counter[str]())
    yield from ("", "Refused by name, with the number of tests:", "")
    yield from (f"- {count:,}: {what}" for what, count in refused.most_common())


def main(sample: int | None) -> int:
    """Run all suites and write the document; the number of wrong answers."""
    suites = {name: run(name, sample) for name in SUITES}
    DOCUMENT.write_text("\n".join(page(suites, sample)) + "\n", encoding="utf-8")
    for found in suites.values():
        for test, what in found.wrong.items():
            print(f"{test}: {what}", file=sys.stderr)
    return sum(len(found.wrong) for found in suites.values())


if __name__ == "__main__":
    sys.exit(1 if main(int(sys.argv[1]) if sys.argv[1:] else None) else 0)
