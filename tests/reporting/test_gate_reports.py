"""What a gate found, rendered: Markdown and XML are read back by their own rules, and names cannot break out."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from edgecls.records.finding import Finding, GateResult, LayerChange
from edgecls.reporting import gate_annotations, gate_junit, gate_line, gate_markdown
from edgecls.reporting.gate import comment_marker
from edgecls.reporting.github import annotation

NASTY = "a<b>|`x`\n--> ,:%\x07 \u202eevil🦔"
RESULT = GateResult(
    model=NASTY,
    findings=(
        Finding("plain", "size", 100, 100),
        Finding("plain", "accuracy", 0.9, 0.9),
        Finding("plain", "latency", 0.50, 0.53),
        Finding(NASTY, "size", 100_000, 120_000, "violation", f"grew because of {NASTY}"),
        Finding(NASTY, "accuracy", 0.9, 0.895, "warning", "top-1 fell, which may be chance"),
        Finding("bytes", "size", 1_000_000, 1_000_001),
        Finding("new", "presence", verdict="warning", text="is new"),
        Finding("new", "size", None, 5_000),
    ),
    notes=("latency: advice",),
)


def test_markdown_tells_changes_and_folds_the_rest() -> None:
    lines = gate_markdown(
        RESULT, [LayerChange("bytes", "conv|1", 1000, 2024), LayerChange("bytes", "gone", 3000, None)]
    ).splitlines()
    table = [line for line in lines if line.startswith("| ")]
    titles = [cell.strip() for cell in table[0].split("|")[1:-1]]
    assert titles == ["artifact", "size", "top-1", "verdict"]  # the latency that differs by 6 % is no change: its row is folded
    assert "| bytes | 976.6 KiB (+1 B) | – | – |" in lines
    assert "| new | 4.9 KiB | – | ⚠️ look |" in lines
    assert "- plain" in lines
    assert any("| bytes | conv\\|1 | 1000 B | 2.0 KiB | +1.0 KiB (+102.4%) |" in line for line in lines)
    assert any("| bytes | gone | 2.9 KiB | below 1% | −2.9 KiB |" in line for line in lines)


def test_names_stay_text_in_markdown() -> None:
    text = gate_markdown(RESULT)
    assert "<b>" not in text.replace("\\<b>", "")
    first, *others = text.splitlines()
    assert first == comment_marker(NASTY) == "<!-- edgecls check: a_b_x_evil_ -->"
    assert all("-->" not in line.replace("\\-->", "").replace("--\\>", "") or "a\\<b>" in line for line in others)
    rows = [line for line in others if line.startswith("| a")]
    assert rows
    assert all(line.replace("\\|", "").count("|") == 5 for line in rows)


def test_a_command_of_the_runner_is_one_line() -> None:
    lines = gate_annotations(RESULT, "a,b:c.json")
    assert len(lines) == 3
    assert all("\n" not in line and "\r" not in line for line in lines)
    assert lines[0].startswith("::error file=a%2Cb%3Ac.json,title=a<b>|`x`%0A--> %2C%3A%25")
    assert annotation("warning", "50 %\r\nof: it, all", title="t") == "::warning title=t::50 %25%0D%0Aof: it, all"


def test_junit_has_the_shape_that_servers_read() -> None:
    """The rules of the JUnit schema (Jenkins' junit-10.xsd): nesting, attributes that must be there, counts that add up."""
    document = gate_junit(RESULT)
    root = ElementTree.fromstring(document.encode())
    assert root.tag == "testsuites"
    suites = list(root)
    assert [suite.tag for suite in suites] == ["testsuite"]
    cases = list(suites[0])
    assert {case.tag for case in cases} == {"testcase"}
    assert all({"name", "classname", "time"} <= set(case.keys()) for case in cases)
    assert all(child.tag in {"failure", "system-out"} for case in cases for child in case)
    failures = suites[0].findall("testcase/failure")
    assert all({"message", "type"} <= set(failure.keys()) and failure.text for failure in failures)
    for element in (root, suites[0]):
        assert int(element.attrib["tests"]) == len(cases) == len(RESULT.findings)
        assert int(element.attrib["failures"]) == len(failures) == 1
        assert element.attrib["errors"] == "0"
        assert float(element.attrib["time"]) >= 0
    assert cases[3].attrib["classname"] == NASTY.replace("\x07", "\ufffd")  # a character XML cannot hold
    assert len({(case.attrib["classname"], case.attrib["name"]) for case in cases}) == len(cases)


@pytest.mark.parametrize(
    ("findings", "line"),
    [
        (RESULT.findings, "1 of 4 artifacts is over budget."),
        (RESULT.findings[4:], "3 artifacts are within budget; 2 things to look at."),
        (RESULT.findings[:1], "1 artifact is within budget."),
    ],
)
def test_the_verdict_is_one_line(findings: tuple[Finding, ...], line: str) -> None:
    assert gate_line(GateResult("m", findings)) == line
