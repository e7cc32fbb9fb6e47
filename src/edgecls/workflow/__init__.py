"""The data flow: composes the rooms. Nothing here computes or prints."""

from __future__ import annotations

from edgecls.workflow.convert import ConvertOptions, Progress, convert

__all__ = ["ConvertOptions", "Progress", "convert"]
