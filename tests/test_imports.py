"""What is loaded when, and who may import whom. import-linter reads imports; only a fresh process shows which of them run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FRAMEWORKS = {
    "tensorflow", "keras", "tf_keras", "tf2onnx", "coremltools", "litert_quantizer", "tensorflow_model_optimization",
    "h5py", "onnxruntime", "ai_edge_litert.interpreter", "sklearn", "scipy",
}  # fmt: skip
HEAVY = {"numpy", "onnx", "PIL", "ai_edge_litert", "rich.console", "edgecls.records.image_spec", "edgecls.workflow"}


def loaded_by(code: str) -> set[str]:
    """Names in sys.modules of a fresh process after `code`."""
    script = f"import sys\n{code}\nprint(*sys.modules, file=sys.__stderr__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_importing_the_package_loads_nothing_else() -> None:
    loaded = loaded_by("import edgecls; edgecls.__version__")
    assert not loaded & (FRAMEWORKS | HEAVY)


def test_no_module_loads_a_framework_when_it_is_imported() -> None:
    """Frameworks belong inside functions. `__main__` modules are left out: importing one is running it."""
    code = """
import importlib, pkgutil, edgecls
for found in pkgutil.walk_packages(edgecls.__path__, "edgecls."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
"""
    loaded = loaded_by(code)
    assert {"edgecls.cli", "edgecls.reporting.table", "edgecls.models.loading"} <= loaded
    assert not loaded & FRAMEWORKS


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["convert", "--help"], ["bench", "--help"], ["predict", "--help"]]
)
def test_help_loads_neither_numpy_nor_rich_nor_a_room(arguments: list[str]) -> None:
    code = f"""
from edgecls.cli.app import app
try:
    app({arguments!r}, prog_name="edgecls")
except SystemExit as leaving:
    assert leaving.code == 0, leaving.code
"""
    assert not loaded_by(code) & (FRAMEWORKS | HEAVY)


def test_bench_loads_nothing_that_only_other_commands_need() -> None:
    """The first inference waits for every import: a third of them was for training and conversion."""
    loaded = loaded_by("import edgecls.cli.app, edgecls.workflow.bench")
    rooms = ("models", "training", "converters", "compression", "search", "embed", "serve", "reporting", "diagnosis")
    assert not [name for name in loaded if name.startswith(tuple(f"edgecls.{room}" for room in rooms))]
    assert not loaded & (FRAMEWORKS | {"PIL"})  # images may come in an archive, or not at all


def test_the_table_of_a_run_loads_nothing_of_other_tables() -> None:
    loaded = loaded_by("from edgecls.reporting import report_table")
    records = ("optimization", "preflight", "recipe", "trial", "variant")
    assert not loaded & {"edgecls.formats.delegates", *(f"edgecls.records.{name}" for name in records)}


def test_records_are_built_when_they_are_first_used() -> None:
    """Importing their modules is cheap: a command meets a few of them."""
    loaded_by("""
from edgecls.records.latency import Conditions
from edgecls.records.recipe import Recipe
assert not Recipe.__pydantic_complete__ and not Conditions.__pydantic_complete__
assert Recipe.model_json_schema()["properties"]
""")


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("reporting/units.py", "import edgecls.gate.budget"),
        ("data/decode.py", "import edgecls.formats"),
        ("records/artifact.py", "import edgecls.formats"),
        ("runners/onnx.py", "import tensorflow"),
        ("system/worker.py", "import rich"),
        ("models/safety.py", "import typer"),
        ("unlisted.py", "import json"),
    ],
)
def test_the_import_contracts_bite(module: str, line: str, tmp_path: Path) -> None:
    linter = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert linter is not None, "lint-imports is not installed: pip install -c constraints.txt -e '.[convert,cluster,dev]'"
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "src" / "edgecls" / module).open("a", encoding="utf-8") as stream:
        stream.write(f"\n\ndef broken() -> None:\n    {line}\n")
    done = subprocess.run(
        [linter, "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "src"), "PATH": "", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "Broken contracts" in done.stdout, done.stdout + done.stderr  # what stands on a room may break its own with it
