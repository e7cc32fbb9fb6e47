"""What a gate found as JUnit XML, which CI servers read: a case for each quantity of each artifact."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from edgecls.records.finding import Finding, GateResult

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters XML 1.0 cannot hold


def gate_junit(result: GateResult) -> str:
    """An XML document: `testsuites` > `testsuite` > `testcase`; a violation is a `failure`, a warning stands in `system-out`."""
    counts = {"tests": str(len(result.findings)), "failures": str(len(result.violations)), "errors": "0"}
    root = ElementTree.Element("testsuites", {"name": "edgecls check", **counts, "time": "0"})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _text(result.model), **counts, "skipped": "0", "time": "0"})
    for finding in result.findings:
        _add_case(suite, finding)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _add_case(suite: ElementTree.Element, finding: Finding) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", {"classname": _text(finding.artifact), "name": finding.quantity, "time": "0"}
    )
    if finding.verdict == "violation":
        failure = ElementTree.SubElement(case, "failure", {"message": _text(finding.text), "type": finding.quantity})
        failure.text = _text(f"{finding.artifact}: {finding.text}")
    elif finding.text:
        ElementTree.SubElement(case, "system-out").text = _text(finding.text)


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
