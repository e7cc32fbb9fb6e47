"""Finding: one quantity of one artifact beside the baseline; GateResult: all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

Quantity = Literal["presence", "size", "download", "accuracy", "mAP", "flips", "latency"]
Scale = Literal["bytes", "share", "ratio"]
Judgement = Literal["ok", "warning", "violation"]


@dataclass(frozen=True)
class Finding:
    """One quantity of one artifact beside the baseline.

    Attributes:
        before, now: bytes, shares 0..1, or for latency the ratio to the reference artifact; None where there is none.
        text: what is wrong or worth knowing, without the artifact's name; empty where all is well.
        absolute: whether a limit is broken that holds whatever the baseline has, so that no new baseline accepts it.
        relative: of a violation, whether a new baseline accepts what is wrong, or a part of it.
    """

    artifact: str
    quantity: Quantity
    before: float | None = None
    now: float | None = None
    verdict: Judgement = "ok"
    text: str = ""
    absolute: bool = False
    relative: bool = True


@dataclass(frozen=True)
class GateResult:
    """Everything that was compared, in the order of the artifacts' names."""

    model: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def violations(self) -> list[Finding]:
        """What breaks the budget."""
        return [finding for finding in self.findings if finding.verdict == "violation"]

    @property
    def warnings(self) -> list[Finding]:
        """What a person should look at."""
        return [finding for finding in self.findings if finding.verdict == "warning"]

    def of(self, artifact: str) -> dict[Quantity, Finding]:
        """The findings of one artifact."""
        return {finding.quantity: finding for finding in self.findings if finding.artifact == artifact}

    def changed_beyond(self, share: float) -> bool:
        """Whether there is something to tell: a violation, a warning, or a change of more than `share`.

        Of bytes `share` is relative, of accuracy and flips it is absolute (0.005: half a point). Latency alone never counts: it
        changes from run to run.
        """
        return any(finding.verdict != "ok" or _change(finding) > share for finding in self.findings)


@dataclass(frozen=True)
class LayerChange:
    """Bytes of one layer of an artifact; None where the baseline does not know it, or where it is gone."""

    artifact: str
    layer: str
    before: int | None
    now: int | None


def scale_of(quantity: Quantity) -> Scale | None:
    """What the values of a quantity are; None where it has none."""
    match quantity:
        case "size" | "download":
            return "bytes"
        case "accuracy" | "mAP" | "flips":
            return "share"
        case "latency":
            return "ratio"
        case "presence":
            return None
        case _:
            assert_never(quantity)


def _change(finding: Finding) -> float:
    scale = scale_of(finding.quantity)
    if finding.before is None or finding.now is None or scale is None:
        return 0.0
    difference = abs(finding.now - finding.before)
    match scale:
        case "bytes":
            return difference / finding.before
        case "share":
            return difference
        case "ratio":
            return 0.0
        case _:
            assert_never(scale)
