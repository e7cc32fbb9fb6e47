"""Turns results into tables for a terminal and for Markdown. Computes and renders; never prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecls.system.lazy import export_lazily

if TYPE_CHECKING:
    from edgecls.reporting.conversion import conversion_grid as conversion_grid
    from edgecls.reporting.csv_file import runs_csv as runs_csv
    from edgecls.reporting.description import description_tables as description_tables
    from edgecls.reporting.evaluation import evaluation_table as evaluation_table
    from edgecls.reporting.evaluation_page import evaluation_page as evaluation_page
    from edgecls.reporting.gate import gate_line as gate_line
    from edgecls.reporting.gate import gate_markdown as gate_markdown
    from edgecls.reporting.gate import gate_table as gate_table
    from edgecls.reporting.github import gate_annotations as gate_annotations
    from edgecls.reporting.junit import gate_junit as gate_junit
    from edgecls.reporting.markdown import conversion_markdown as conversion_markdown
    from edgecls.reporting.markdown import report_markdown as report_markdown
    from edgecls.reporting.markdown import runs_markdown as runs_markdown
    from edgecls.reporting.markdown import to_markdown as to_markdown
    from edgecls.reporting.measurements import report_grid as report_grid
    from edgecls.reporting.page import report_html as report_html
    from edgecls.reporting.plots import evaluation_plots as evaluation_plots
    from edgecls.reporting.plots import require_plots as require_plots
    from edgecls.reporting.predictions import prediction_bars as prediction_bars
    from edgecls.reporting.runs import Run as Run
    from edgecls.reporting.runs import merge_reports as merge_reports
    from edgecls.reporting.special_tables import delegates_table as delegates_table
    from edgecls.reporting.special_tables import diagnosis_table as diagnosis_table
    from edgecls.reporting.special_tables import optimization_table as optimization_table
    from edgecls.reporting.special_tables import preflight_table as preflight_table
    from edgecls.reporting.special_tables import variants_table as variants_table
    from edgecls.reporting.table import conversion_table as conversion_table
    from edgecls.reporting.table import demo_table as demo_table
    from edgecls.reporting.table import report_table as report_table
    from edgecls.reporting.table import to_table as to_table
    from edgecls.reporting.units import format_bytes as format_bytes

_EXPORTS = {
    "conversion": ("conversion_grid",),
    "csv_file": ("runs_csv",),
    "description": ("description_tables",),
    "evaluation": ("evaluation_table",),
    "evaluation_page": ("evaluation_page",),
    "gate": ("gate_line", "gate_markdown", "gate_table"),
    "github": ("gate_annotations",),
    "junit": ("gate_junit",),
    "markdown": ("conversion_markdown", "report_markdown", "runs_markdown", "to_markdown"),
    "measurements": ("report_grid",),
    "page": ("report_html",),
    "plots": ("evaluation_plots", "require_plots"),
    "predictions": ("prediction_bars",),
    "runs": ("Run", "merge_reports"),
    "special_tables": ("delegates_table", "diagnosis_table", "optimization_table", "preflight_table", "variants_table"),
    "table": (
        "conversion_table",
        "demo_table",
        "report_table",
        "to_table",
    ),
    "units": ("format_bytes",),
}
__all__ = export_lazily(__name__, _EXPORTS)  # noqa: PLE0605 - a list of strings
