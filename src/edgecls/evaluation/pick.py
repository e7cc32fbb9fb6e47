"""The pick: of the artifacts of a format that lose no accuracy, the smallest download, and of those as small the fastest.

Where times are no fair comparison, of those as small the most accurate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecls.evaluation.loss import Loss, float_artifact, loss_of
from edgecls.records.artifact import FORMATS
from edgecls.records.measurement import Measurement
from edgecls.records.pick import Pick

_DIGITS = 6  # of percentage points: one image of a hundred is 1 point, not 1.0000000000000009
_AS_SMALL = 1.02  # downloads that differ by 2 % or less are the same to a user; their speed is not


@dataclass(frozen=True)
class _Field:
    """The artifacts of one format that ran, and what each loses.

    Attributes:
        reference: the float artifact of the run.
        within: percentage points that may be lost; None: a loss beyond chance is one too many.
        losses: artifact -> loss; those of which nothing is known are missing.
    """

    rows: Sequence[Measurement]
    reference: str
    within: float | None
    losses: dict[str, Loss]

    def fits(self, row: Measurement) -> bool:
        loss = self.losses.get(row.artifact)
        if loss is None:
            return False
        return loss.shown is False if self.within is None else round(loss.points, _DIGITS) <= self.within

    @property
    def measure(self) -> str:
        """What is compared."""
        of = next(iter(self.losses.values())).of
        return "images with all classes right" if of == "mAP" and self.within is None else of

    @property
    def limit(self) -> str:
        """What those that fit are."""
        if self.within is None:
            return f"not distinguishable from {self.reference} in {self.measure} at 95 %"
        return f"within {_points(self.within)} of {self.reference} in {self.measure}"

    @property
    def excess(self) -> str:
        """What those that do not fit lose."""
        if self.within is None:
            return f"{self.measure} against {self.reference}, beyond chance at 95 %"
        return f"more than {_points(self.within)} of {self.measure} against {self.reference}"

    def lost(self, row: Measurement) -> str:
        """`-0.04 points, at worst -0.61`, which is the end of the 95 % interval."""
        loss = self.losses[row.artifact]
        what = "" if loss.of == self.measure else f" of {loss.of}"
        worst = "" if loss.worst is None else f", at worst {_gain(loss.worst)}"
        return f"{_gain(loss.points)} points{what}{worst}"


def pick_artifacts(
    rows: Sequence[Measurement], within_points: float | None = None, answers: Sequence[Measurement] | None = None
) -> list[Pick]:
    """Which artifact of each format to ship, in the order in which the formats come.

    Args:
        rows: the measurements of one run.
        within_points: percentage points of accuracy (of agreement with the float artifact, where images have no labels) that may be
            lost; None: accuracy must not be distinguishable from the float artifact's at 95 %.
        answers: where the accuracy of these artifacts was measured; by default here.
    """
    asked = {row.artifact: row for row in (rows if answers is None else answers) if row.status == "ok"}
    base = asked.get(float_artifact(list(asked.values())) or "")
    picks = []
    for target in dict.fromkeys(row.target for row in rows):
        chosen, why = _pick([row for row in rows if row.target == target and row.status == "ok"], asked, base, within_points)
        advice = f"ship {chosen}: {why}" if chosen else f"none to ship: {why}"
        sentence = f"{FORMATS.get(target, target)}: {advice}"
        picks.append(Pick(target=target, artifact=chosen, within_points=within_points, sentence=sentence))
    return picks


def _pick(
    ran: Sequence[Measurement], asked: dict[str, Measurement], base: Measurement | None, within: float | None
) -> tuple[str | None, str]:
    """The artifact of those of one format that ran, and why it; or None, and why none."""
    if not ran:
        return None, "nothing of it ran"
    if base is None:
        return None, f"no float artifact was measured beside {_named(ran)}, whose accuracy could be compared with it"
    known = {row.artifact: asked[row.artifact] for row in ran if row.artifact in asked}
    losses = {name: loss for name, row in known.items() if (loss := loss_of(row, base))}
    field = _Field(ran, base.artifact, within, losses)
    if within is None and not any(loss.shown is not None for loss in losses.values()):
        return None, "without labelled images nothing tells what accuracy is lost: measure on some, or set a limit with --within"
    if not losses:
        return None, f"{_named(ran)} and {base.artifact} were not measured on the same images"
    fitting = [row for row in ran if field.fits(row)]
    if not fitting:
        nearest = min((row for row in ran if row.artifact in losses), key=lambda row: losses[row.artifact].points)
        return None, f"all {len(losses)} measured lose {field.excess}; {nearest.artifact} comes nearest ({field.lost(nearest)})"
    chosen, rule = _best(field, fitting)
    return chosen.artifact, f"{_among(field, fitting, chosen, rule)}{_smaller(field, chosen)}"


def _best(field: _Field, rows: Sequence[Measurement]) -> tuple[Measurement, str]:
    """Of the smallest downloads the fastest, or where their times are no fair comparison the most accurate; and the rule that decided."""
    smallest = min(_download(row) for row in rows)
    small = [row for row in rows if _download(row) <= smallest * _AS_SMALL]
    if smallest and not _are_fair(small):
        chosen = min(small, key=lambda row: (round(field.losses[row.artifact].points, _DIGITS), _download(row)))
        return chosen, "the smallest download" if len(small) == 1 else "the most accurate within 2 % of the smallest download"
    chosen = min(small, key=lambda row: (row.latency is None, row.latency.p50_ms if row.latency else 0.0, _download(row)))
    if not smallest:
        return chosen, "the fastest, as sizes are not known,"
    if len(small) == 1:
        return chosen, "the smallest download"
    return chosen, "the fastest within 2 % of the smallest download"


def _are_fair(rows: Sequence[Measurement]) -> bool:
    """Whether times tell which is the fastest: some are known, and none is marked as doubtful."""
    known = [row.latency for row in rows if row.latency is not None]
    return bool(known) and all(found.validity is None or found.validity.verdict == "valid" for found in known)


def _among(field: _Field, fitting: Sequence[Measurement], chosen: Measurement, rule: str) -> str:
    is_reference = chosen.artifact == field.reference
    lost = "it is what the others are compared with" if is_reference else field.lost(chosen)
    if len(field.rows) == 1:
        return f"the only one that ran; {'' if is_reference else f'{field.limit}; '}{lost}"
    if len(fitting) == 1:
        return f"the only one of {len(field.rows)} {'that loses nothing' if is_reference else field.limit} ({lost})"
    return f"{rule} of the {len(fitting)} {field.limit} ({lost})"


def _smaller(field: _Field, chosen: Measurement) -> str:
    """Which smaller one was passed over, and what it loses."""
    known = [row for row in field.rows if row.artifact in field.losses and not field.fits(row)]
    smaller = [row for row in known if _download(row) < _download(chosen)]
    if not smaller:
        return ""
    least = min(smaller, key=lambda row: field.losses[row.artifact].points)
    return f"; {least.artifact} is smaller, but {field.lost(least)}"


def _download(row: Measurement) -> int:
    """Bytes; those of a phone, which may know neither size, are all alike."""
    return row.compressed_bytes or row.size_bytes


def _gain(lost: float) -> str:
    return f"{0.0 - round(lost, 2):+.2f}"  # and nothing lost is +0.00


def _points(number: float) -> str:
    return f"{number:g} point{'' if number == 1 else 's'}"


def _named(rows: Sequence[Measurement]) -> str:
    return ", ".join(row.artifact for row in rows)
