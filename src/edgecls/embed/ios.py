"""iOS: an Xcode project or a Swift package, into the folder EdgeclsModels; constants in Swift."""

from __future__ import annotations

from pathlib import Path

from edgecls.embed.app import App, Platform, read_source
from edgecls.embed.constants import WRITTEN, list_of, number, text
from edgecls.errors import InputError
from edgecls.records.app_contract import AppContract

_FOLDER, _CODE = "EdgeclsModels", "EdgeclsModel.swift"


def find(folder: Path) -> App | None:
    """The Xcode project in a folder, else its Swift package.

    Raises:
        InputError: several projects, or a package of several targets.
    """
    projects = sorted(folder.glob("*.xcodeproj"))
    if len(projects) > 1:
        names = ", ".join(project.name for project in projects)
        raise InputError("one Xcode project", f"{folder} with {len(projects)}: {names}", "name the folder of one with --into")
    if projects:
        return _project(folder, projects[0])
    return _package(folder) if (folder / "Package.swift").is_file() else None


def constants(app: App, contract: AppContract) -> str:
    """An enumeration of typed constants."""
    spec = contract.image_spec
    artifacts = [
        f"Artifact(name: {_text(row.name)}, file: {_text(row.file)}, sizeBytes: {number(row.size_bytes)})"
        for row in contract.artifacts
    ]
    return f"""\
// {WRITTEN}

/// What `edgecls embed` put into this app.
enum EdgeclsModel {{
    /// One package in `{_FOLDER}`.
    struct Artifact: Sendable {{
        let name: String
        let file: String
        let sizeBytes: Int
    }}

    /// What a picture must look like: a pixel p (0 to 255) enters the model as (p - mean) / standard deviation.
    enum Image {{
        static let height = {spec.height}
        static let width = {spec.width}
        static let channels = {spec.channels}
        static let fit = {_text(spec.fit)}
        static let cropShare: Double? = {spec.crop_share or "nil"}
        static let padColor: [UInt8] = [{", ".join(map(str, spec.pad_color))}]
        static let filter = {_text(spec.filter)}
        static let colorOrder = {_text(spec.color_order)}
        static let mean: [Float] = [{", ".join(repr(value) for value in spec.mean)}]
        static let standardDeviation: [Float] = [{", ".join(repr(value) for value in spec.std)}]
    }}

    static let name = {_text(contract.model)}
    static let artifacts: [Artifact] = [{list_of(artifacts, 8, 4)}]
    static let labels: [String] = [{list_of([_text(label) for label in contract.labels], 8, 4)}]
}}
"""


def _text(value: str) -> str:
    return text(value, control="\\u{{{:x}}}")


def _project(folder: Path, project: Path) -> App:
    place = f"{project.stem}/" if (folder / project.stem).is_dir() else ""
    is_known = _FOLDER in read_source(project / "project.pbxproj")
    by_hand = f"Drag {_FOLDER} into the app's target in Xcode, as a folder, once; then build."
    return App(
        root=folder,
        folder=_FOLDER,
        packed=_FOLDER,
        code=f"{place}{_CODE}",
        next_step=f"Build the app in Xcode: its folder {_FOLDER} is part of the project." if is_known else by_hand,
    )


def _package(folder: Path) -> App:
    sources = folder / "Sources"
    targets = sorted(path for path in sources.glob("*") if path.is_dir() and any(path.rglob("*.swift")))
    if len(targets) != 1:
        found = f"{sources} with {len(targets)}" + (f": {', '.join(target.name for target in targets)}" if targets else "")
        raise InputError("a Swift package with one target in Sources", found, "name the folder of an Xcode project with --into")
    place = f"Sources/{targets[0].name}"
    resource = f'resources: [.copy("{_FOLDER}")]'
    return App(
        root=folder,
        folder=f"{place}/{_FOLDER}",
        packed=_FOLDER,
        code=f"{place}/{_CODE}",
        next_step=f"Give the target {targets[0].name} in Package.swift {resource}, once; then build.",
    )


IOS = Platform(
    name="ios",
    app="an iOS app",
    signs="an .xcodeproj or a Package.swift",
    targets=("coreml",),
    why_not="choose a Core ML package: what runs here is Core ML",
    find=find,
    constants=constants,
)
