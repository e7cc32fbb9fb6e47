"""Reads documents: their links, headings and command blocks. As a program it runs a notebook's cells without Jupyter."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"(?:^<!-- (not run|before): ([^\n]*) -->\n)?^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<'(\w+)'")


@dataclass(frozen=True)
class Block:
    """What a reader types, or runs as Python.

    Attributes:
        before: what is done first, unseen by the reader: the project that is spoken of is made.
        reason: why it is not run; empty where it is.
    """

    language: str
    text: str
    before: str = ""
    reason: str = ""


def pages() -> list[Path]:
    """The documents of the repository."""
    folders = (ROOT, ROOT / "docs", ROOT / "benchmarks", *ROOT.glob("*_sample"))
    return [page for folder in folders for page in sorted(folder.glob("*.md"))]


def links(page: Path) -> list[str]:
    """Targets of the links and pictures of a page within the repository; what code shows is no link."""
    text = _INLINE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
    return [target for target in _LINK.findall(text) if "://" not in target and not target.startswith("mailto:")]


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page ends with, as GitHub makes it."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(page: Path) -> list[Block]:
    """The command and Python blocks of a page, in order."""
    found = []
    for mark, said, language, body in _BLOCK.findall(page.read_text(encoding="utf-8")):
        text = _typed(body) if language == "console" else body.rstrip("\n")
        found.append(Block(language, text, said if mark == "before" else "", said if mark == "not run" else ""))
    return found


def _typed(body: str) -> str:
    """The commands of a block: what stands behind `$ `, continued lines and here-documents; not what they print."""
    typed: list[str] = []
    end, continued = "", False
    for line in body.splitlines():
        if end:
            typed.append(line)
            end = "" if line == end else end
        elif continued or line.startswith("$ "):
            typed.append(line if continued else line[2:])
            heredoc = _HEREDOC.search(line)
            end = heredoc[1] if heredoc else ""
            continued = line.endswith("\\")
    return "\n".join(typed)


def run_notebook(path: Path) -> None:
    """Run the cells in order; lines that begin with `!` go to the shell, and one that fails ends it."""
    names: dict[str, Any] = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        lines = [line.rstrip("\n") for line in cell["source"]]
        if lines[0].startswith("!"):
            for line in lines:
                subprocess.run(line.removeprefix("!"), shell=True, check=True)
        else:
            exec(compile("\n".join(lines), path.name, "exec"), names)


if __name__ == "__main__":
    run_notebook(Path(sys.argv[1]))
