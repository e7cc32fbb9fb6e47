"""Turns results into tables for a terminal and for Markdown. Computes and renders; never prints."""

from __future__ import annotations

from edgecls.reporting.conversion import conversion_grid
from edgecls.reporting.csv_file import runs_csv
from edgecls.reporting.description import description_tables
from edgecls.reporting.evaluation import evaluation_table
from edgecls.reporting.evaluation_page import evaluation_page
from edgecls.reporting.gate import gate_line, gate_markdown, gate_table
from edgecls.reporting.github import gate_annotations
from edgecls.reporting.junit import gate_junit
from edgecls.reporting.markdown import conversion_markdown, report_markdown, runs_markdown, to_markdown
from edgecls.reporting.measurements import report_grid
from edgecls.reporting.page import report_html
from edgecls.reporting.plots import evaluation_plots
from edgecls.reporting.predictions import prediction_bars
from edgecls.reporting.runs import Run, merge_reports
from edgecls.reporting.table import (
    conversion_table,
    delegates_table,
    demo_table,
    diagnosis_table,
    optimization_table,
    preflight_table,
    report_table,
    to_table,
    variants_table,
)
from edgecls.reporting.units import format_bytes

__all__ = [
    "Run",
    "conversion_grid",
    "conversion_markdown",
    "conversion_table",
    "delegates_table",
    "demo_table",
    "description_tables",
    "diagnosis_table",
    "evaluation_page",
    "evaluation_plots",
    "evaluation_table",
    "format_bytes",
    "gate_annotations",
    "gate_junit",
    "gate_line",
    "gate_markdown",
    "gate_table",
    "merge_reports",
    "optimization_table",
    "prediction_bars",
    "preflight_table",
    "report_grid",
    "report_html",
    "report_markdown",
    "report_table",
    "runs_csv",
    "runs_markdown",
    "to_markdown",
    "to_table",
    "variants_table",
]
