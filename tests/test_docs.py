"""README and docs/: every link leads somewhere, every command runs or is marked why not, and the site builds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

import edgecls
from documents import ROOT, Block, anchors, blocks, links, pages
from edgecls.cli.app import app
from reader import Reader

PAGES = pages()
WITH_COMMANDS = [page for page in PAGES if page.name == "README.md" or page.parent.name == "docs"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    missing = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            missing.append(target)
    assert not missing


def test_links_are_found_and_judged(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b`, c\n[one](other.md#x) `[no](code.md)`\n```\n[no](block.md)\n```\n![two](p.png) [web](https://x.y)\n")
    assert links(page) == ["other.md#x", "p.png"]
    assert anchors(page) == {"a-b-c"}


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("name", sorted(get_command(app).commands))  # type: ignore[attr-defined]
def test_the_page_of_a_command_tells_of_each_of_its_options_and_its_table_of_no_others(name: str) -> None:
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    options = [{*found.opts, *found.secondary_opts} for found in command.params if found.param_type_name == "option"]
    untold = [names for names in options if not any(re.search(rf"{option}(?![\w-])", text) for option in names)]
    assert not untold
    own = {option for names in options for option in names}
    told = {
        option for row in re.findall(r"^\| (`-[^|]*) \|", text, re.MULTILINE) for option in re.findall(r"--[a-z][a-z-]*", row)
    }
    assert told <= own


def test_versions_agree() -> None:
    newest = re.search(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest
    assert cited
    assert newest[1] == cited[1] == edgecls.__version__


def test_blocks_are_read_as_a_reader_types_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run: needs a Mac -->\n```console\n$ open x\n```\n\n<!-- before: mkdir a -->\n```console\n$ cat > f <<'END'\n"
        "$ in it\nEND\n$ one \\\n    --more   # comment\noutput\n```\n```toml\na = 1\n```\n```python\nprint(1)\n```\n"
    )
    assert blocks(page) == [
        Block("console", "open x", reason="needs a Mac"),
        Block("console", "cat > f <<'END'\n$ in it\nEND\none \\\n    --more   # comment", before="mkdir a"),
        Block("python", "print(1)"),
    ]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, its labels, pictures, and the artifacts of it, measured."""
    found = Reader(tmp_path_factory.mktemp("docs"))
    found.prepare()
    found.does("edgecls convert model.h5 --calibration photos/ --labels labels.txt")
    found.does("edgecls bench --data test_photos/ --min-seconds 0 --min-runs 5")
    return found.folder


@pytest.fixture
def reader(prepared: Path, tmp_path: Path) -> Iterator[Reader]:
    shutil.copytree(prepared, tmp_path / "work", symlinks=True)
    yield Reader(tmp_path / "work")
    shutil.rmtree(tmp_path / "work")


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in WITH_COMMANDS if any(not block.reason for block in blocks(page))], ids=lambda page: page.name
)
def test_the_commands_of_a_page_run_in_their_order(page: Path, reader: Reader) -> None:
    for block in blocks(page):
        if not block.reason:
            reader.follows(block)


@pytest.mark.slow
def test_the_gallery_runs_from_its_first_cell_to_its_last(tmp_path: Path) -> None:
    Reader(tmp_path).does(f"python {ROOT / 'tests/documents.py'} {ROOT / 'docs/gallery.ipynb'}")


def test_the_site_builds_and_hears_of_a_link_to_nowhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    for name in (".github", "docs", "tools", "benchmarks", "android_sample", "ios_sample", "web_sample"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("node_modules", "build", "*.artifacts"))
    for path in [*ROOT.glob("*.md"), ROOT / "mkdocs.yml"]:
        shutil.copy(path, tmp_path)
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "<h1" in (tmp_path / "site/gallery.html").read_text(encoding="utf-8")
    (tmp_path / "docs/data.md").write_text("# Data\n\n[to nowhere](nowhere.md)\n", encoding="utf-8")
    assert subprocess.run(build, cwd=tmp_path, capture_output=True, check=False).returncode != 0
