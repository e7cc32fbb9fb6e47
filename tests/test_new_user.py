"""A new user who has README and the wheel: a fresh environment, another folder, no cache, no network, a home that cannot be written."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from documents import ROOT, blocks
from reader import Reader

pytestmark = pytest.mark.slow
ARTIFACTS = "model.h5.artifacts"
NO_HOME = "/dev/null/home"  # a folder below a file: not even root writes there


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `python -m build` builds it, by the backend that pyproject.toml names."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    script = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def user(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Somebody with the wheel in an environment of its own. The packages it depends on are this environment's, which saves 2.6 GB; its
    editable edgecls is not among them: `.pth` files of a folder that itself comes from one are not read."""
    folder = tmp_path_factory.mktemp("user")
    env = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", env], check=True)
    subprocess.run([env / "bin/pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    where = [env / "bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.check_output(where, text=True).strip())
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    work, temporary = folder / "somewhere else", folder / "tmp"
    work.mkdir()
    temporary.mkdir()
    environment = {"PATH": f"{env / 'bin'}:/usr/bin:/bin", "HOME": NO_HOME, "TMPDIR": str(temporary), "LANG": "C.UTF-8"}
    return Reader(work, environment, ("unshare", "--net") if _can_leave_the_network() else ())


def _can_leave_the_network() -> bool:
    return (
        bool(shutil.which("unshare"))
        and subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0
    )


def test_the_wheel_is_whole(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    sources = {str(path.relative_to(ROOT / "src")) for path in files}
    assert sources <= names
    assert not [name for name in names if name.startswith(("tests/", "docs/"))]


def test_readme_is_enough(user: Reader) -> None:
    user.prepare()
    assert "edgecls 0." in user.does("edgecls --version")
    location = user.does("python -c 'import edgecls; print(edgecls.__file__)'")
    assert "site-packages" in location
    assert str(ROOT) not in location
    shown = [user.follows(block) for block in blocks(ROOT / "README.md") if not block.reason]
    assert "To ship: " in shown[0]
    assert (user.folder / ARTIFACTS / "manifest.json").is_file()
    assert "<html" in (user.folder / "report.html").read_text(encoding="utf-8")


def test_what_reads_and_measures_needs_no_tensorflow(user: Reader) -> None:
    """Where nothing but the base can be imported; the artifacts are those of the test before."""
    absent = "import sys; sys.modules |= dict.fromkeys(('tensorflow', 'keras', 'tf_keras', 'coremltools', 'sklearn', 'h5py'))"
    run = f"{absent}; from edgecls.cli import main; sys.exit(main())"
    for words in (
        f"bench {ARTIFACTS}/base-tflite-int8.tflite {ARTIFACTS}/base-onnx-float32.onnx --data test_photos --min-seconds 0 -o r.json",
        f"inspect {ARTIFACTS}/base-tflite-int8.tflite",
        f"predict {ARTIFACTS}/base-tflite-int8.tflite picture.jpg",
        "report r.json -o light.html",
        f"check {ARTIFACTS} --update-baseline --results {ARTIFACTS}/results.json",
        f"check {ARTIFACTS} --results {ARTIFACTS}/results.json",
    ):
        user.does(f'python -c "{run}" {words}')
