"""Frameworks are imported without what they merely support, in processes of edgecls' own alone."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgecls.system.extras import hidden, without_unused
from edgecls.system.worker import Worker, preload

_FRAMEWORK = "try:\n    import matplotlib\nexcept ImportError:\n    matplotlib = None\n"


def found(name: str) -> bool:
    """Whether a module is there to be imported; asked in a worker."""
    return importlib.util.find_spec(name) is not None


def imported(name: str) -> bool:
    """Whether a module was imported; asked in a worker."""
    return sys.modules.get(name) is not None


def supported(name: str) -> bool:
    """Whether the framework of these tests has found what it supports; asked in a worker."""
    return sys.modules[name].matplotlib is not None


@pytest.fixture(autouse=True)
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the functions of this file."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))


@pytest.fixture
def framework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reachable: None) -> str:
    """A module that imports matplotlib where it is installed, as Keras does; and a matplotlib that is."""
    (tmp_path / "framework_of_tests.py").write_text(_FRAMEWORK, encoding="utf-8")
    (tmp_path / "matplotlib.py").write_text("", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]]))
    return "framework_of_tests"


def test_hidden_modules_are_not_found_inside_alone():
    assert found("wave") and not imported("wave")
    with hidden(["wave", "json"]):
        assert not found("wave")
        with pytest.raises(ImportError):
            importlib.import_module("wave")
        assert imported("json"), "what is imported already stays"
    assert found("wave")
    assert importlib.import_module("wave")


def test_a_worker_imports_frameworks_without_what_they_merely_support(framework: str):
    with Worker() as worker:
        worker.call(preload, [framework])
        assert not worker.call(supported, framework)
        assert worker.call(found, "matplotlib"), "whoever asks for it afterwards gets it"


def test_a_process_of_others_is_left_as_it_is(framework: str):
    code = f"import sys; from edgecls.system.worker import preload; preload(['{framework}']); print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "True"


def test_this_process_is_not_edgecls_own():
    with without_unused():
        assert found("json")


@pytest.mark.parametrize("module", ["tensorflow", "coremltools"])
def test_frameworks_in_a_worker_come_without_plots_tables_and_trees(module: str):
    pytest.importorskip(module)
    with Worker({"TF_CPP_MIN_LOG_LEVEL": "3"}) as worker:
        worker.call(preload, [module])
        assert worker.call(imported, module)
        assert not [name for name in ("matplotlib", "pandas", "sklearn") if worker.call(imported, name)]


def test_what_a_framework_brings_is_not_walked_again_and_again(tmp_path: Path):
    (tmp_path / "tensorflow.py").write_text("objects = [[] for _ in range(1000)]", encoding="utf-8")
    code = """
import gc
from edgecls.system.extras import require
from edgecls.system.memory import new_objects_alone
gc.disable()
with new_objects_alone():
    before = gc.get_freeze_count()
    require("wave")
    assert gc.get_freeze_count() == before, "what else is there may have to be collected"
    require("tensorflow")
    assert gc.get_freeze_count() > before + 1000
assert not gc.get_freeze_count()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize(("given", "kept"), [(None, "1"), ("3", "3")])
def test_products_of_a_process_of_ours_wait_on_no_core(given: str | None, kept: str, monkeypatch: pytest.MonkeyPatch):
    """But for somebody who says how many threads they should have."""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    with Worker() as worker:
        assert worker.call(os.getenv, "OPENBLAS_NUM_THREADS") == kept


def test_a_process_of_ours_looks_for_no_plugins_of_pydantic(tmp_path: Path):
    """One that is installed is for other programs, and all that is installed had to be read to find it."""
    (tmp_path / "other_plugin.py").write_text("raise SystemExit('loaded')\n")
    told = tmp_path / "other-1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Name: other\nVersion: 1\n")
    (told / "entry_points.txt").write_text("[pydantic]\nother = other_plugin:plugin\n")
    code = "from edgecls.system.extras import take_as_own\n{}\nfrom edgecls.records.engine import Engine\nEngine(name='LiteRT')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    environment.pop("PYDANTIC_DISABLE_PLUGINS", None)
    for line, answer in (("take_as_own()", 0), ("", 1)):
        done = subprocess.run([sys.executable, "-c", code.format(line)], env=environment, capture_output=True, check=False)
        assert done.returncode == answer, done.stderr
