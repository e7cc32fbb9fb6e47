"""What an app is said to grow by, beside a real archive of the same files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from edgecls.embed.growth import growth_of

STORED = frozenset((".tflite", ".png"))


def test_the_growth_is_that_of_an_archive(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    files = {
        "model.tflite": noise.integers(0, 16, 50_000, np.uint8).tobytes(),
        "model.onnx": noise.integers(0, 4, 50_000, np.uint8).tobytes(),
        "golden/x.png": noise.bytes(3000),
        "edgecls.json": b'{"labels": []}' * 200,
    }
    archive = tmp_path / "app.zip"
    with zipfile.ZipFile(archive, "w", compresslevel=9) as zipped:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
            kept = zipfile.ZIP_STORED if Path(name).suffix in STORED else zipfile.ZIP_DEFLATED
            zipped.writestr(zipfile.ZipInfo(name), content, kept, 9)
    pairs = [(tmp_path / name, name) for name in files]
    growth = growth_of(pairs, STORED, {"golden/x.png"})
    end_of_archive, padding = 22, 2 * 2  # the growth counts half of the most that aligning a stored file takes: 2 bytes for each
    assert growth.package_bytes == archive.stat().st_size - end_of_archive + padding
    assert growth.golden_bytes == 3000 + 2 + 76 + 2 * len("golden/x.png")
    assert growth.download_bytes < growth.package_bytes
    assert growth_of(pairs, frozenset(), ()).package_bytes == sum(map(len, files.values()))


def test_a_package_counts_file_by_file(tmp_path: Path) -> None:
    package = tmp_path / "m.mlpackage"
    (package / "Data").mkdir(parents=True)
    (package / "Data" / "weight.bin").write_bytes(b"1" * 1000)
    (package / "Manifest.json").write_text("{}")
    assert growth_of([(package, "m.mlpackage")], frozenset(), ()).package_bytes == 1002
