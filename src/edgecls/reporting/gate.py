"""What a gate found, as a grid for the terminal and as Markdown for a pull request's comment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import assert_never

from rich.console import Group

from edgecls.records.counted import counted
from edgecls.records.finding import Finding, GateResult, LayerChange, Quantity, scale_of
from edgecls.reporting.grid import Column, Grid, make_grid
from edgecls.reporting.markdown import escape, to_markdown
from edgecls.reporting.table import to_table
from edgecls.reporting.units import format_bytes, format_share

_TITLES: dict[Quantity, str] = {  # the columns, the most important first
    "size": "size",
    "download": "download",
    "accuracy": "top-1",
    "mAP": "mAP",
    "flips": "flips",
    "latency": "latency",
}
_VERDICTS = {"ok": "", "warning": "look", "violation": "over budget"}
_SIGNS = {"ok": "", "warning": "⚠️ look", "violation": "❌ over budget"}
_Findings = dict[Quantity, Finding]


def gate_table(result: GateResult, layers: Sequence[LayerChange], width: int | None = None) -> Group:
    """All artifacts beside their baseline, what is wrong below; `layers` that changed, if any."""
    tables = [to_table(gate_grid(result, _VERDICTS), width)]
    if layers:
        tables.append(to_table(layers_grid(layers), width))
    return Group(*tables)


def gate_grid(result: GateResult, verdicts: dict[str, str], artifacts: Sequence[str] | None = None) -> Grid:
    """One row per artifact (or per one of `artifacts`): value now and change since the baseline."""
    rows = {finding.artifact: result.of(finding.artifact) for finding in result.findings}
    shown = [(name, found) for name, found in rows.items() if artifacts is None or name in artifacts]
    columns = [Column[tuple[str, _Findings]]("artifact", lambda row: row[0])]
    columns += [_column(quantity, rank) for rank, quantity in enumerate(_TITLES)]
    columns.append(Column("verdict", lambda row: verdicts[_worst(row[1])]))
    return make_grid(columns, shown, lambda row: _worst(row[1]) != "violation", [*_sentences(result), *result.notes])


def layers_grid(layers: Sequence[LayerChange]) -> Grid:
    """Bytes of the layers that changed."""
    columns = [
        Column[LayerChange]("artifact", lambda row: row.artifact),
        Column[LayerChange]("layer", lambda row: row.layer),
        Column[LayerChange]("before", lambda row: "below 1%" if row.before is None else format_bytes(row.before), numeric=True),
        Column[LayerChange]("now", lambda row: "below 1%" if row.now is None else format_bytes(row.now), numeric=True),
        Column[LayerChange]("change", _layer_change, numeric=True),
    ]
    return make_grid(columns, layers, lambda _: True)


def gate_markdown(result: GateResult, layers: Sequence[LayerChange] = ()) -> str:
    """A comment for a pull request: the verdict, what changed, and folded what did not. Its first line finds it again."""
    changed = [name for name in _names(result) if any(_differs(finding) for finding in result.of(name).values())]
    same = [name for name in _names(result) if name not in changed]
    parts = [comment_marker(result.model), f"### {_heading(result)}", ""]
    if changed:
        parts.append(to_markdown(gate_grid(result, _SIGNS, changed)))
    if layers:
        parts += ["<details><summary>Layers that changed</summary>", "", to_markdown(layers_grid(layers)), "</details>", ""]
    if same:
        summary = f"{counted(len(same), 'artifact')} without a change"
        parts += [f"<details><summary>{summary}</summary>", "", *(f"- {escape(name)}" for name in same), "", "</details>", ""]
    return "\n".join(parts)


def comment_marker(model: str) -> str:
    """The hidden line a comment is found by: one comment for each model."""
    return f"<!-- edgecls check: {re.sub(r'[^0-9A-Za-z_.]+', '_', model)} -->"  # no `--`, which would end it


def gate_line(result: GateResult) -> str:
    """The verdict in one line."""
    names, violations, warnings = _names(result), result.violations, result.warnings
    if violations:
        count = len({finding.artifact for finding in violations})
        return f"{count} of {counted(len(names), 'artifact')} {'are' if count > 1 else 'is'} over budget."
    looks = f"; {counted(len(warnings), 'thing')} to look at" if warnings else ""
    return f"{len(names)} artifact{'s are' if len(names) > 1 else ' is'} within budget{looks}."


def _heading(result: GateResult) -> str:
    sign = "❌" if result.violations else "⚠️" if result.warnings else "✅"
    return f"{sign} {escape(result.model)}: {gate_line(result)}"


def _column(quantity: Quantity, rank: int) -> Column[tuple[str, _Findings]]:
    return Column(_TITLES[quantity], lambda row: _cell(row[1].get(quantity)), numeric=True, rank=rank)


def _cell(finding: Finding | None) -> str:
    """`94.4 KiB (+2.1%)`; the value alone where it is as before."""
    if finding is None or finding.now is None:
        return ""
    scale = scale_of(finding.quantity)
    now, before = finding.now, finding.before if _differs(finding) else None
    match scale:
        case "bytes":
            value, change = format_bytes(int(now)), "" if before is None else _change_of_bytes(before, now)
        case "share":
            value, change = format_share(now), "" if before is None else f"{(now - before) * 100:+.2f}"
        case "ratio":
            value, change = f"{now:.2f} ×", "" if before is None else f"{now / before - 1:+.1%}"
        case None:
            return ""
        case _:
            assert_never(scale)
    return f"{value} ({change})" if change else value


def _change_of_bytes(before: float, now: float) -> str:
    """`+2.1%`, or the bytes where that is nothing."""
    change = f"{now / before - 1:+.1%}"
    return change if change.strip("+-0.%") else f"{now - before:+,.0f} B"


def _layer_change(row: LayerChange) -> str:
    difference = (row.now or 0) - (row.before or 0)
    return f"{'+' if difference > 0 else '−'}{format_bytes(abs(difference))}" + (
        f" ({row.now / row.before - 1:+.1%})" if row.now and row.before else ""
    )


def _differs(finding: Finding) -> bool:
    if finding.quantity == "latency":
        return finding.verdict != "ok"  # it always differs a little
    return finding.before != finding.now or finding.verdict != "ok"


def _worst(found: _Findings) -> str:
    verdicts = {finding.verdict for finding in found.values()}
    return next((verdict for verdict in ("violation", "warning") if verdict in verdicts), "ok")


def _names(result: GateResult) -> list[str]:
    return list(dict.fromkeys(finding.artifact for finding in result.findings))


def _sentences(result: GateResult) -> list[str]:
    return [f"{finding.artifact}: {finding.text}" for finding in (*result.violations, *result.warnings)]
