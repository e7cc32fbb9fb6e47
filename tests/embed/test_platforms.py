"""Apps are found by their files; a folder that is none, or several, is one line that says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecls.embed.platforms import find_app
from edgecls.errors import InputError
from embed.apps import APP_BUILD, android_app, groovy_app, swift_package, web_app, write, xcode_app

PLACES = {
    android_app: ("android", "app/src/main/assets/edgecls", "app/src/main/java/org/example/flowers/EdgeclsModel.kt"),
    groovy_app: ("android", "mobile/src/main/assets/edgecls", "mobile/src/main/java/org/example/flowers/EdgeclsModel.kt"),
    xcode_app: ("ios", "EdgeclsModels", "Flowers/EdgeclsModel.swift"),
    swift_package: ("ios", "Sources/Flowers/EdgeclsModels", "Sources/Flowers/EdgeclsModel.swift"),
    web_app: ("web", "public/edgecls", "src/edgecls_model.ts"),
}


@pytest.mark.parametrize(("make", "expected"), PLACES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_where_things_go(make: Callable[[Path], Path], expected: tuple[str, str, str], tmp_path: Path) -> None:
    platform, app = find_app(make(tmp_path))
    assert (platform.name, app.folder, app.code) == expected


@pytest.mark.parametrize(
    ("package", "folder"),
    [
        ("@sveltejs/kit", "static"),
        ("@docusaurus/core", "static"),
        ("gatsby", "static"),
        ("astro", "public"),
        ("express", "public"),
    ],
)
def test_a_web_project_takes_files_where_its_bundler_serves_them(package: str, folder: str, tmp_path: Path) -> None:
    write(
        tmp_path / "package.json",
        json.dumps({"dependencies": {"vite": "^7"} if package != "express" else {}, "devDependencies": {package: "^5"}}),
    )
    (tmp_path / "public").mkdir()  # as Gatsby builds it
    if folder == "static" and package != "gatsby":
        assert find_app(tmp_path)[1].folder == "public/edgecls"  # the place was set, as `kit.files.assets` does
        (tmp_path / "static").mkdir()
    assert find_app(tmp_path)[1].folder == f"{folder}/edgecls"


@pytest.mark.parametrize(
    ("version", "folder"), [("^2.15.0", "static"), ("~2.9", "static"), ("^3.2.0", "public"), ("latest", "public")]
)
def test_nuxt_serves_another_folder_since_version_3(version: str, folder: str, tmp_path: Path) -> None:
    write(tmp_path / "package.json", json.dumps({"dependencies": {"nuxt": version}}))
    assert find_app(tmp_path)[1].folder == f"{folder}/edgecls"


def test_the_module_itself_may_be_named(tmp_path: Path) -> None:
    platform, app = find_app(android_app(tmp_path) / "app")
    assert (platform.name, app.folder) == ("android", "src/main/assets/edgecls")


def test_what_a_package_stores_is_read_from_the_build_file(tmp_path: Path) -> None:
    assert find_app(android_app(tmp_path))[1].stored == {".png", ".jpg", ".jpeg", ".tflite", ".onnx"}
    assert ".onnx" not in find_app(groovy_app(tmp_path / "other"))[1].stored


def test_a_project_with_files_of_two_platforms_asks_which(tmp_path: Path) -> None:
    both = web_app(android_app(tmp_path))
    with pytest.raises(InputError, match=r"signs of android and web; choose one with --platform"):
        find_app(both)
    assert find_app(both, "web")[0].name == "web"


def _two_app_modules(root: Path) -> None:
    write(android_app(root) / "core" / "build.gradle.kts", APP_BUILD)


def _library_alone(root: Path) -> None:
    write(root / "settings.gradle", "include ':core'\n")
    write(root / "core" / "build.gradle", "apply plugin: 'com.android.library'\n")


def _two_projects(root: Path) -> None:
    (xcode_app(root) / "Other.xcodeproj").mkdir()


def _package_of_two_targets(root: Path) -> None:
    write(swift_package(root) / "Sources" / "Other" / "Other.swift")


def _unknown_bundler(root: Path) -> None:
    write(root / "package.json", '{"name": "server"}')


def _parcel(root: Path) -> None:
    write(root / "package.json", '{"devDependencies": {"parcel": "^2"}}')  # which serves no folder as it is


def _react_native(root: Path) -> None:
    write(root / "package.json", '{"name": "flowers", "dependencies": {"react-native": "0.80"}}')
    android_app(root / "android")
    xcode_app(root / "ios")


def _damaged_package(root: Path) -> None:
    write(root / "package.json", "{")


UNKNOWN = {
    _parcel: "make the folder public/ if it is served",
    _two_app_modules: "with 2: app, core; name its folder with --into",
    _library_alone: "one app module",
    _two_projects: "with 2: Flowers.xcodeproj, Other.xcodeproj",
    _package_of_two_targets: "with 2: Flowers, Other",
    _unknown_bundler: "make the folder public/ if it is served",
    _react_native: "or name its folder android or ios with --into",
    _damaged_package: "mend it",
    (lambda root: None): "name the project's own folder with --into",
}


@pytest.mark.parametrize(("make", "said"), UNKNOWN.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_an_unknown_layout_is_one_line(make: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(InputError) as caught:
        find_app(tmp_path)
    assert said in str(caught.value)


def test_the_remedy_for_two_app_modules_works(tmp_path: Path) -> None:
    _two_app_modules(tmp_path)
    assert find_app(tmp_path / "core")[1].folder == "src/main/assets/edgecls"


@pytest.mark.parametrize(("path", "platform", "said"), [("none", None, "does not exist"), (".", "symbian", "android, ios, web")])
def test_what_is_no_app_at_all(path: str, platform: str | None, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        find_app(tmp_path / path, platform)
