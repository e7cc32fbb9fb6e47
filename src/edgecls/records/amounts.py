"""Amounts: numbers that are never below zero nor beyond all bounds; a file in which they are is damaged."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Bytes = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[float, Field(ge=0, le=1e12)]  # thirty years
