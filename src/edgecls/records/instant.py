"""Instant: a moment as files tell it. One without a zone, as some phones write it, is in UTC, so that any two can be compared."""

from __future__ import annotations

import datetime
from typing import Annotated

from pydantic import AfterValidator


def _with_zone(moment: datetime.datetime) -> datetime.datetime:
    return moment if moment.utcoffset() is not None else moment.replace(tzinfo=datetime.UTC)


Instant = Annotated[datetime.datetime, AfterValidator(_with_zone)]
