"""What a classifier says about one image: the best classes with bars."""

from __future__ import annotations

from collections.abc import Sequence

from rich.bar import Bar
from rich.console import Group
from rich.table import Table
from rich.text import Text

from edgecls.records.prediction import Prediction

_BAR_WIDTH = 30


def prediction_bars(title: str, predictions: Sequence[Prediction]) -> Group:
    """The answer for one image."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column(max_width=_BAR_WIDTH)  # in a narrow window it is the bars that get shorter
    table.add_column(justify="right", no_wrap=True)
    for prediction in predictions:
        bar = Bar(size=1, begin=0, end=min(1.0, max(0.0, prediction.probability)))
        style = {True: "bold", False: "dim", None: ""}[prediction.predicted]
        cells = [Text(prediction.label, style), bar, f"{prediction.probability:.1%}"]
        table.add_row(*cells, *(["predicted"] if prediction.predicted else []))
    return Group(Text(title, style="bold"), table)
