"""The table of a diagnosis: the layers that add most error, and advice."""

from __future__ import annotations

from edgecls.records.counted import counted
from edgecls.records.diagnosis import Diagnosis, LayerDiagnosis
from edgecls.reporting.grid import Column, Grid, make_grid
from edgecls.reporting.units import format_share

_COLUMNS = [
    Column[LayerDiagnosis]("layer", lambda row: row.name.split(";")[0]),
    Column[LayerDiagnosis]("operation", lambda row: row.operation.lower(), rank=2),
    Column[LayerDiagnosis]("own SNR dB", lambda row: _db(row.own_snr_db), numeric=True),
    Column[LayerDiagnosis]("SNR dB", lambda row: _db(row.snr_db), numeric=True),
    Column[LayerDiagnosis]("most from", lambda row: row.cause or "", rank=1),
    Column[LayerDiagnosis]("clipped", lambda row: format_share(row.range.clipped if row.range else None), numeric=True, rank=3),
    Column[LayerDiagnosis]("range used", lambda row: f"{row.range.used:.0%}" if row.range else "", numeric=True, rank=4),
    Column[LayerDiagnosis]("range", lambda row: f"{row.range.low:.3g} … {row.range.high:.3g}" if row.range else "", rank=6),
    Column[LayerDiagnosis](
        "seen", lambda row: f"{row.range.seen_low:.3g} … {row.range.seen_high:.3g}" if row.range else "", rank=7
    ),
    Column[LayerDiagnosis](
        "widest channel", lambda row: f"{row.weights.channel_spread:.1f} ×" if row.weights else "", numeric=True, rank=5
    ),
    Column[LayerDiagnosis]("outlier", lambda row: f"{row.weights.outlier:.1f} ×" if row.weights else "", numeric=True, rank=5),
    Column[LayerDiagnosis]("computes", lambda row: "float" if row.computes_float else "", rank=3),
]


def diagnosis_grid(found: Diagnosis, top: int) -> Grid:
    """The `top` layers that add most error, worst first."""
    shown = found.layers[:top]
    calibration = (
        f", ranges held against {counted(found.calibration_images, 'calibration image')}" if found.calibration_images else ""
    )
    notes = [
        f"{found.artifact} against {found.reference} on {counted(found.images, 'image')} of {found.data}{calibration}",
        f"same {found.decision} on {found.agreement:.1%}; scores {_db(found.snr_db)} dB",
        "own SNR: what the layer adds, its inputs as they come; SNR: all error up to there; low is bad, 6 dB are twice the error",
        "range used: by 99.9 % of the values; widest channel: its largest weight over that of the median one; outlier: largest weight over "
        "its channel's root mean square",
    ]
    if len(shown) < len(found.layers):
        rest = counted(len(found.layers) - len(shown), "layer")
        notes.append(f"not shown: {rest} of less error (--top {len(found.layers)} shows all)")
    return make_grid(_COLUMNS, shown, lambda row: not row.is_weak, notes)


def _db(value: float | None) -> str:
    return "no error" if value is None else f"{value:.1f}"
