"""Throw-away apps of each platform: the files by which they are known, and no more."""

from __future__ import annotations

import json
from pathlib import Path

APP_BUILD = """
plugins {
    alias(libs.plugins.android.application)
}
android {
    namespace = "org.example.flowers"
    androidResources { noCompress += listOf("tflite", "onnx") }
}
"""
GROOVY_BUILD = """
apply plugin: 'com.android.application'
android { namespace 'org.example.flowers' }
"""


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def android_app(root: Path) -> Path:
    write(
        root / "settings.gradle.kts", 'rootProject.name = "flowers" // include(":none")\ninclude(\n    ":app",\n    ":core",\n)\n'
    )
    write(root / "build.gradle.kts", "plugins {\n    alias(libs.plugins.android.application) apply false\n}\n")
    write(root / "app" / "build.gradle.kts", APP_BUILD)
    write(root / "core" / "build.gradle.kts", "plugins {\n    alias(libs.plugins.kotlin.jvm)\n}\n")
    return root


def groovy_app(root: Path) -> Path:
    write(root / "settings.gradle", "include ':mobile', ':core'\n")
    write(root / "mobile" / "build.gradle", GROOVY_BUILD)
    return root


def xcode_app(root: Path) -> Path:
    write(root / "Flowers.xcodeproj" / "project.pbxproj", "// !$*UTF8*$!\n{ path = EdgeclsModels; }\n")
    write(root / "Flowers" / "FlowersApp.swift")
    return root


def swift_package(root: Path) -> Path:
    write(root / "Package.swift")
    write(root / "Sources" / "Flowers" / "Flowers.swift")
    return root


def web_app(root: Path) -> Path:
    write(root / "package.json", json.dumps({"name": "flowers", "devDependencies": {"vite": "^7"}}))
    write(root / "src" / "main.ts")
    return root
