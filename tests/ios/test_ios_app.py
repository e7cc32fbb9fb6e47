"""The app, as far as no Mac is needed: it is checked against stand-ins of Apple's modules, parsed, and its project is read."""

from __future__ import annotations

import plistlib
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ios_sample import KIT, SAMPLE, Swift

pytestmark = [pytest.mark.ios, pytest.mark.timeout(900)]

APP = SAMPLE / "EdgeclsSample"
PROJECT = SAMPLE / "EdgeclsSample.xcodeproj"
STUBS = Path(__file__).parent / "stubs"
MODULES = ("AppleTypes", "CoreGraphics", "ImageIO", "CoreVideo", "CoreML", "Vision")  # each builds on those before it
# what talks to Core ML, Vision and ImageIO; the other files need SwiftUI, AVFoundation or what Foundation has on a phone alone
CHECKED = ("ModelFolder", "PictureFile", "CoreMLClassifier", "VisionClassifier", "InferenceDesk", "GoldenCheck")


@pytest.fixture(scope="module")
def modules(swift: Swift, output: Path) -> Path:
    """A folder of compiled stand-ins and EdgeclsKit."""
    folder = KIT / ".build/stubs"
    folder.mkdir(exist_ok=True)
    for name in MODULES:
        where = ("-I", folder, "-o", folder / f"{name}.swiftmodule")
        done = swift("swiftc", "-emit-module", "-module-name", name, *where, STUBS / f"{name}.swift")
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def project() -> Any:
    """The project as another program than Xcode reads it."""
    from pbxproj import XcodeProject

    return XcodeProject.load(str(PROJECT / "project.pbxproj"))


def check(swift: Swift, modules: Path, *files: Path) -> str:
    """What the compiler says of files of the app."""
    done = swift("swiftc", "-typecheck", "-swift-version", "5", "-I", modules, "-I", KIT / ".build/release/Modules", *files)
    assert (done.returncode == 0) == ("error:" not in done.stderr)
    return done.stderr


def test_what_talks_to_core_ml_agrees_with_its_signatures(swift: Swift, modules: Path):
    said = check(swift, modules, *(APP / f"{name}.swift" for name in CHECKED))
    assert "error:" not in said, said


def test_a_wrong_type_would_be_found(swift: Swift, modules: Path):
    right = (APP / "CoreMLClassifier.swift").read_text()
    wrong = right.replace("model.prediction(from: input)", 'model.prediction(from: "input")', 1)
    file = modules / "Wrong.swift"
    file.write_text(wrong)
    assert wrong != right
    assert "error:" in check(swift, modules, file)


def test_every_file_parses(swift: Swift):
    files = sorted(APP.glob("*.swift")) + sorted((SAMPLE / "EdgeclsSampleTests").glob("*.swift"))
    assert len(files) > len(CHECKED)
    done = swift("swiftc", "-parse", *files)
    assert done.returncode == 0, done.stderr


def test_the_project_opens_with_its_synchronized_folders(project: Any):
    assert project.objectVersion == "77"
    groups = {
        group.get_id(): group.path for group in project.objects.get_objects_in_section("PBXFileSystemSynchronizedRootGroup")
    }
    targets = {
        target.name: [groups[group] for group in target.fileSystemSynchronizedGroups] for target in project.objects.get_targets()
    }
    assert targets == {"EdgeclsSample": ["EdgeclsSample", "EdgeclsModels"], "EdgeclsSampleTests": ["EdgeclsSampleTests"]}
    assert all((SAMPLE / path).is_dir() for path in groups.values())
    packages = [package.relativePath for package in project.objects.get_objects_in_section("XCLocalSwiftPackageReference")]
    assert [(SAMPLE / path / "Package.swift").exists() for path in packages] == [True]


def test_every_reference_of_the_project_leads_somewhere(project: Any):
    texts = [(PROJECT / name).read_text() for name in ("project.pbxproj", "xcshareddata/xcschemes/EdgeclsSample.xcscheme")]
    named = set(re.findall("ED6E[0-9A-F]{20}", "".join(texts)))
    assert named == {item.get_id() for item in project.objects.get_objects_in_section(*project.objects.get_sections())}


def test_scheme_and_properties_are_whole():
    scheme = ElementTree.parse(PROJECT / "xcshareddata/xcschemes/EdgeclsSample.xcscheme")
    assert {found.get("BlueprintName") for found in scheme.iter("BuildableReference")} == {"EdgeclsSample", "EdgeclsSampleTests"}
    properties = plistlib.loads((SAMPLE / "Info.plist").read_bytes())
    assert properties["NSCameraUsageDescription"]
