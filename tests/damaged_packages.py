"""Ways to damage a Core ML package, and what the error must say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from edgecls.formats.coreml.read import open_package

MODEL = Path("Data", "com.apple.CoreML", "model.mlmodel")
WEIGHTS = Path("Data", "com.apple.CoreML", "weights", "weight.bin")


def _truncate(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def _manifest(package: Path, root: Any) -> None:
    manifest = json.loads((package / "Manifest.json").read_text())
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = root
    (package / "Manifest.json").write_text(json.dumps(manifest))


def _link_outside(package: Path) -> None:
    outside = package.parent / "outside.mlmodel"
    shutil.move(package / MODEL, outside)
    (package / MODEL).symlink_to(outside)


def _edit(package: Path, change: Any) -> None:
    opened = open_package(package)
    change(opened)
    (package / MODEL).write_bytes(opened.spec.SerializeToString())


def _rename_weight_file(name: str) -> Any:
    def rename(package: Path) -> None:
        def change(opened: Any) -> None:
            for operation in opened.block.operations:
                for value in operation.attributes.values():
                    if value.WhichOneof("value") == "blobFileValue":
                        value.blobFileValue.fileName = name

        _edit(package, change)

    return rename


def _offset(opened: Any) -> None:
    for operation in opened.block.operations:
        for value in operation.attributes.values():
            if value.WhichOneof("value") == "blobFileValue":
                value.blobFileValue.offset += 1


def _cut_wire(opened: Any) -> None:
    softmax = next(item for item in opened.block.operations if item.type == "softmax")
    softmax.inputs["x"].arguments[0].name = "nowhere"


def _set(field: str, value: Any) -> Any:
    return lambda package: _edit(package, lambda opened: setattr(opened.spec, field, value))


DAMAGE: dict[str, tuple[Any, str]] = {
    "model cut short": (lambda package: _truncate(package / MODEL, 0.6), "copy it or convert it again"),
    "model empty": (lambda package: (package / MODEL).write_bytes(b""), "model.mlmodel: cannot mmap an empty file"),
    "model replaced": (lambda package: (package / MODEL).write_bytes(b"\xff" * 500), "copy it or convert it again"),
    "model missing": (lambda package: (package / MODEL).unlink(), "model.mlmodel is missing"),
    "weights cut short": (lambda package: _truncate(package / WEIGHTS, 0.5), "weight file"),
    "weights empty": (lambda package: (package / WEIGHTS).write_bytes(b""), "weight.bin: cannot mmap an empty file"),
    "weights of something else": (lambda package: (package / WEIGHTS).write_bytes(b"GIF89a" * 999), "does not begin as one"),
    "weights missing": (lambda package: shutil.rmtree((package / WEIGHTS).parent), "weight.bin is missing"),
    "manifest cut short": (lambda package: _truncate(package / "Manifest.json", 0.5), "Manifest.json names no root model"),
    "manifest a list": (lambda package: (package / "Manifest.json").write_text("[1]"), "Manifest.json names no root model"),
    "manifest not text": (lambda package: (package / "Manifest.json").write_bytes(b"\xff\x00"), "names no root model"),
    "manifest leads up": (lambda package: _manifest(package, "../../outside.mlmodel"), "leads outside"),
    "manifest leads to a file above": (lambda package: _manifest(package, "../../secret.txt"), "leads outside the package"),
    "manifest is absolute": (lambda package: _manifest(package, "/etc/hostname"), "leads outside the package"),
    "manifest names a number": (lambda package: _manifest(package, 7), "gives 7 as the path"),
    "manifest names a folder": (lambda package: _manifest(package, "com.apple.CoreML"), "is missing"),
    "manifest has a null byte": (lambda package: _manifest(package, "com\0apple"), "is missing"),
    "model is a link that leads outside": (_link_outside, "leads outside the package"),
    "weight file above": (_rename_weight_file("@model_path/../../../secret.txt"), "leads outside the package"),
    "weight file absolute": (_rename_weight_file("/etc/hostname"), "not named relative to the model"),
    "weights at another place": (lambda package: _edit(package, _offset), "no constant at byte"),
    "an operation takes nothing": (lambda package: _edit(package, _cut_wire), "takes 'nowhere', which nothing makes"),
    "newer than known": (_set("specificationVersion", 99), "99; install a newer edgecls"),
    "no manifest": (lambda package: (package / "Manifest.json").unlink(), "no Manifest.json"),
    "empty": (lambda package: [shutil.rmtree(package), package.mkdir()], "no Manifest.json"),
    "missing": (shutil.rmtree, "does not exist"),
}
