"""Pages: a template with its script, styles and everything else inside, so that it needs no network, no fonts and no other files."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import Any

from edgecls.records.artifact import FORMATS
from edgecls.reporting.units import format_bytes, format_ms, format_share
from edgecls.version import __version__

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # what HTML cannot hold


def render(template: str, **values: Any) -> str:
    """A page of `templates/`; the same values give the same bytes. Its script is allowed by its hash alone."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("edgecls.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"ms": format_ms, "share": format_share, "bytes": format_bytes}
    templates.globals |= {"targets": FORMATS}
    script = resources.files("edgecls.reporting").joinpath("templates", "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = templates.get_template(template).render(script=script, script_hash=digest, version=__version__, **values)
    return _CONTROL.sub("\ufffd", page)
