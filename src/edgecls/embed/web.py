"""Web: a project with a package.json, into the folder that its bundler serves as it is; constants in TypeScript."""

from __future__ import annotations

import json
from pathlib import Path

from edgecls.embed.app import App, Platform
from edgecls.embed.constants import WRITTEN, list_of, number, text
from edgecls.errors import InputError, reason_of
from edgecls.records.app_contract import AppContract

_PACKAGE = "package.json"
_LINE = 80
_NATIVE = ("android", "ios")  # folders with the native projects of a package.json that is no web page's
_PUBLIC, _STATIC = "public", "static"
_SERVED = {  # package -> the folder that it serves as it is; those that build on others first
    "@sveltejs/kit": _STATIC,
    "@docusaurus/core": _STATIC,
    "gatsby": _STATIC,  # its public/ is what it builds
    **dict.fromkeys(("vite", "next", "nuxt", "astro", "react-scripts", "@vue/cli-service"), _PUBLIC),
}


def find(folder: Path) -> App | None:
    """The project in a folder.

    Raises:
        InputError: its package.json is damaged, or nothing tells which folder is served.
    """
    if not (folder / _PACKAGE).is_file():
        return None
    return App(
        root=folder,
        folder=f"{_served(folder)}/edgecls",
        packed="edgecls",
        code="src/edgecls_model.ts" if (folder / "src").is_dir() else "edgecls_model.ts",
        next_step="Start or build the page: it finds everything through edgecls/edgecls.json.",
    )


def constants(app: App, contract: AppContract) -> str:
    """Typed constants, each exported."""
    spec = contract.image_spec
    artifacts = [
        f"{{\n    name: {text(row.name)},\n    url: {text(f'edgecls/{row.file}')},\n    sizeBytes: {number(row.size_bytes)},\n  }}"
        for row in contract.artifacts
    ]
    return f"""\
// {WRITTEN}

/** One file that the page serves. */
export interface EdgeclsArtifact {{
  readonly name: string;
  readonly url: string;
  readonly sizeBytes: number;
}}

export const MODEL_NAME = {text(contract.model)};

export const ARTIFACTS: readonly EdgeclsArtifact[] = [{list_of(artifacts, 2, 0)}];

{_labels([text(label) for label in contract.labels])}

/** What a picture must look like: a pixel p (0 to 255) enters the model as (p - mean) / standardDeviation. */
export const IMAGE = {{
  height: {spec.height},
  width: {spec.width},
  channels: {spec.channels},
  fit: {text(spec.fit)},
  cropShare: {spec.crop_share or "null"},
  padColor: [{", ".join(map(str, spec.pad_color))}],
  filter: {text(spec.filter)},
  colorOrder: {text(spec.color_order)},
  mean: [{", ".join(map(_number, spec.mean))}],
  standardDeviation: [{", ".join(map(_number, spec.std))}],
}} as const;
"""


def _served(folder: Path) -> str:
    """The folder of a project that goes to browsers as it is: its bundler's, else public/ where there is one.

    Raises:
        InputError: its package.json is damaged, or nothing tells.
    """
    packages = _packages(folder / _PACKAGE)
    known = next((place for package, place in _SERVED.items() if package in packages), None)
    if packages.get("nuxt", "").lstrip("^~=v").startswith("2"):
        known = _STATIC  # Nuxt 3 serves public/
    if known == _STATIC and not (folder / _STATIC).is_dir() and (folder / _PUBLIC).is_dir() and "gatsby" not in packages:
        known = _PUBLIC  # the place can be set, as SvelteKit's kit.files.assets
    if known or (folder / _PUBLIC).is_dir():
        return known or _PUBLIC
    native = [name for name in _NATIVE if (folder / name).is_dir()]
    others = f", or name its folder {' or '.join(native)} with --into" if native else ""
    raise InputError(
        f"a web project that serves its folder {_PUBLIC}/",
        f"{folder} without one, by a bundler that is not known",
        f"make the folder {_PUBLIC}/ if it is served{others}",
    )


def _labels(labels: list[str]) -> str:
    """On one line where they fit, as formatters have it."""
    line = f"export const LABELS: readonly string[] = [{', '.join(labels)}];"
    return line if len(line) <= _LINE else f"export const LABELS: readonly string[] = [{list_of(labels, 2, 0)}];"


def _number(value: float) -> str:
    return json.dumps(int(value) if value.is_integer() else value).replace("e-0", "e-")


def _packages(path: Path) -> dict[str, str]:
    """What a project depends on, and the range of versions of each.

    Raises:
        InputError: its package.json cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError("a package.json", f"{path}: {reason_of(error)}", "mend it") from None
    parts = [content.get(name) for name in ("dependencies", "devDependencies")] if isinstance(content, dict) else []
    return {name: str(version) for part in parts if isinstance(part, dict) for name, version in part.items()}


WEB = Platform(
    name="web",
    app="a web app",
    signs="package.json",
    targets=("tflite", "onnx"),
    why_not="choose a .tflite or an .onnx",
    find=find,
    constants=constants,
)
