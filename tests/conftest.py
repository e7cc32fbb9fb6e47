"""What all tests share: where the real models and images are."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from edgecls.system.worker import Worker

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # as `extras.require` sets it: fixtures import the frameworks by themselves

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"real input is not here: no folder ../shared/{name} beside the repository")
    return folder


@pytest.fixture
def edgecls() -> Callable[..., Any]:
    """Call `edgecls` with arguments in this process; the result has exit_code, stdout and stderr."""
    from typer.testing import CliRunner

    from edgecls.cli.app import app

    runner = CliRunner(env={"COLUMNS": "160"})  # whatever the terminal and the length of temporary paths
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session", autouse=True)
def workers() -> Iterator[None]:
    """All conversions of this test process have the same workers, as those of a folder of variants have: real ones, started once."""
    from edgecls.workflow.workers import Workers

    module = importlib.import_module("edgecls.workflow.convert")
    with Workers() as shared, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Workers", lambda: contextlib.nullcontext(shared))
        yield


@pytest.fixture(scope="session")
def zoo() -> Path:
    """Real models made by others."""
    return _shared("zoo")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images made by others."""
    return _shared("data")


@pytest.fixture(scope="session")
def foreign_tflite(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """scheme -> a .tflite that other tools made of a real model."""
    from foreign_files import tflite_files

    return tflite_files(zoo / "mlperf_tiny" / "pretrainedResnet.h5", tmp_path_factory.mktemp("foreign_tflite"))


@pytest.fixture(scope="session")
def foreign_onnx(foreign_tflite: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """kind -> an .onnx that other tools made of the same model."""
    from foreign_files import onnx_files

    return onnx_files(foreign_tflite["float32"], tmp_path_factory.mktemp("foreign_onnx"))


@pytest.fixture(autouse=True)
def spares(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker started ahead for the command of one test is not the next test's, whose workers may have to find other modules."""
    from edgecls.system import spare

    started: list[Worker] = []
    monkeypatch.setattr(spare, "_spares", started)
    yield
    for worker in started:
        worker.close()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children hear Ctrl-C: a suite that runs behind `nohup` or `&` ignores SIGINT, and whatever it starts would too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
