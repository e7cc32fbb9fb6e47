"""Android: a Gradle project, into the assets of its app module; constants in Kotlin."""

from __future__ import annotations

import re
from pathlib import Path

from edgecls.embed.app import App, Platform, read_source
from edgecls.embed.constants import WRITTEN, list_of, number, text
from edgecls.errors import InputError
from edgecls.records.app_contract import AppContract

_SETTINGS, _BUILD = ("settings.gradle.kts", "settings.gradle"), ("build.gradle.kts", "build.gradle")
_MODULE = re.compile(r"""["']([\w:.-]+)["']""")
_INCLUDE = re.compile(r"""\binclude\b\s*\(?\s*((?:["'][\w:.-]+["']\s*,?\s*)+)""")
_APPLICATION = re.compile(r"""com\.android\.application|libs\.plugins\.[\w.]*android[\w.]*application""", re.IGNORECASE)
_NAMESPACE = re.compile(r"""\bnamespace\s*=?\s*["']([\w.]+)["']""")
_NO_COMPRESS = re.compile(r"noCompress[^\n]*")
_QUOTED = re.compile(r"""["']\.?(\w+)["']""")
_STORED = frozenset((".png", ".jpg", ".jpeg", ".tflite"))  # as the Android Gradle Plugin does by itself


def find(folder: Path) -> App | None:
    """The app module of a Gradle project, or the one that the folder itself is.

    Raises:
        InputError: no app module, or several.
    """
    settings = next((folder / name for name in _SETTINGS if (folder / name).is_file()), None)
    if settings is None and _build_file(folder) is None:
        return None
    named = [folder, *(folder / Path(*name.strip(":").split(":")) for name in _modules(settings))]
    apps = [module for module in dict.fromkeys(named) if _is_app(module)]
    if len(apps) != 1:
        found = f"{folder} with {len(apps)}" + (f": {', '.join(str(app.relative_to(folder)) for app in apps)}" if apps else "")
        remedy = (
            "name its folder with --into"
            if apps
            else "name the folder of a project with one that applies com.android.application"
        )
        raise InputError("a Gradle project with one app module", found, remedy)
    return _app(folder, apps[0])


def constants(app: App, contract: AppContract) -> str:
    """An object of typed constants."""
    spec = contract.image_spec
    artifacts = [
        f"Artifact({_text(row.name)}, {_text(f'edgecls/{row.file}')}, {number(row.size_bytes)}L)" for row in contract.artifacts
    ]
    return f"""\
// {WRITTEN}
package {app.namespace}

/** What `edgecls embed` put into this app. */
object EdgeclsModel {{
    const val NAME = {_text(contract.model)}
    val ARTIFACTS: List<Artifact> = listOf({list_of(artifacts, 8, 4)})
    val LABELS: List<String> = listOf({list_of([_text(label) for label in contract.labels], 8, 4)})

    /** One file in the app's assets. */
    data class Artifact(
        val name: String,
        val asset: String,
        val sizeBytes: Long,
    )

    /** What a picture must look like: a pixel p (0 to 255) enters the model as (p - mean) / standard deviation. */
    object Image {{
        const val HEIGHT = {spec.height}
        const val WIDTH = {spec.width}
        const val CHANNELS = {spec.channels}
        const val FIT = {_text(spec.fit)}
        val CROP_SHARE: Double? = {spec.crop_share or "null"}
        val PAD_COLOR: List<Int> = listOf({", ".join(map(str, spec.pad_color))})
        const val FILTER = {_text(spec.filter)}
        const val COLOR_ORDER = {_text(spec.color_order)}
        val MEAN: List<Float> = listOf({", ".join(f"{value!r}f" for value in spec.mean)})
        val STANDARD_DEVIATION: List<Float> = listOf({", ".join(f"{value!r}f" for value in spec.std)})
    }}
}}
"""


def _text(value: str) -> str:
    return text(value).replace("$", "\\$")


def _modules(settings: Path | None) -> list[str]:
    """The modules that a project includes, as `:app`."""
    found = _INCLUDE.findall(read_source(settings)) if settings else []
    return [name for part in found for name in _MODULE.findall(part)]


def _build_file(module: Path) -> Path | None:
    return next((module / name for name in _BUILD if (module / name).is_file()), None)


def _is_app(module: Path) -> bool:
    """Whether a module applies the plugin of apps; the root of a project often only names it, for its modules."""
    build = _build_file(module)
    lines = read_source(build).splitlines() if build else []
    return any(_APPLICATION.search(line) and not re.search(r"apply\(?\s*false", line) for line in lines)


def _app(root: Path, module: Path) -> App:
    build = read_source(_build_file(module) or module)
    place = "" if module == root else f"{module.relative_to(root).as_posix()}/"
    namespace = _NAMESPACE.search(build)
    sources = "kotlin" if (module / "src/main/kotlin").is_dir() else "java"
    package = f"{namespace[1].replace('.', '/')}/" if namespace else ""
    stored = {f".{suffix}" for line in _NO_COMPRESS.findall(build) for suffix in _QUOTED.findall(line)}
    return App(
        root=root,
        folder=f"{place}src/main/assets/edgecls",
        packed="assets/edgecls",
        code=f"{place}src/main/{sources}/{package}EdgeclsModel.kt" if namespace else "",
        namespace=namespace[1] if namespace else "",
        stored=_STORED | stored,
        next_step="Build and install the app: its assets hold edgecls/ now, and edgecls/edgecls.json tells it everything.",
    )


ANDROID = Platform(
    name="android",
    app="an Android app",
    signs="settings.gradle(.kts) with an app module",
    targets=("tflite", "onnx"),
    why_not="choose a .tflite or an .onnx",
    find=find,
    constants=constants,
)
