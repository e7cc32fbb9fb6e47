"""What mkdocs is told beside mkdocs.yml: pages that lie outside docs/, the gallery's notebook as a page, and links between all of them.

In the repository every link leads to a file, as GitHub shows it. In the site these files are pages, and what is no page (code, folders) is
named without a link.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
OUTSIDE = {  # file in the repository -> page of the site
    "benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "android_sample/README.md": "android_sample.md",
    "ios_sample/README.md": "ios_sample.md",
    "web_sample/README.md": "web_sample.md",
    "SECURITY.md": "security.md",
    "docs/gallery.ipynb": "gallery.md",
}
PAGES = {**OUTSIDE, "README.md": "index.md"}  # of which docs/index.md says the same for the site
PICTURES = [*sorted((ROOT / "android_sample/docs").glob("*.png"))]
# Code, which stays as it is, or a link, whose text may be code.
_CODE_OR_LINK = re.compile(
    r"^```.*?^```|`[^`\n]*`|(?P<picture>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)", re.MULTILINE | re.DOTALL
)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and pictures that lie elsewhere."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=_text(ROOT / source)))
    for picture in PICTURES:
        files.append(File.generated(config, f"pictures/{picture.name}", content=picture.read_bytes()))
    notebook = files.get_file_from_path("gallery.ipynb")
    if notebook:
        files.remove(notebook)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the links of the repository into those of the site; code stays as it is."""
    place = next((source for source, name in OUTSIDE.items() if name == page.file.src_uri), f"docs/{page.file.src_uri}")
    return _CODE_OR_LINK.sub(lambda found: _relinked(found, place), markdown)


def _relinked(found: re.Match[str], place: str) -> str:
    picture, text, target = found["picture"], found["text"], found["target"]
    if target is None or "://" in target or target.startswith("#"):
        return found[0]
    path, _, anchor = target.partition("#")
    file = posixpath.normpath(posixpath.join(posixpath.dirname(place), path))
    inside = file.removeprefix("docs/")
    page = PAGES.get(file) or (inside if inside != file else None)
    if page is None and ROOT / file in PICTURES:
        page = f"pictures/{Path(file).name}"
    if page is None:
        if not (ROOT / file).exists():
            return found[0]  # mkdocs tells of it
        return text
    return f"{picture}[{text}]({page}{'#' + anchor if anchor else ''})"


def _text(path: Path) -> str:
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(_cell(cell) for cell in cells)


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    return source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
