"""Which platforms there are, and which of them a folder holds an app of."""

from __future__ import annotations

from pathlib import Path

from edgecls.embed.android import ANDROID
from edgecls.embed.app import App, Platform
from edgecls.embed.ios import IOS
from edgecls.embed.web import WEB
from edgecls.errors import InputError

PLATFORMS: dict[str, Platform] = {platform.name: platform for platform in (ANDROID, IOS, WEB)}
_NAMES = ", ".join(PLATFORMS)


def find_app(folder: Path, wanted: str | None = None) -> tuple[Platform, App]:
    """The app in a folder.

    Args:
        wanted: its platform; needed where the folder has the signs of several.

    Raises:
        InputError: no app, apps of several platforms, or a layout that is not known.
    """
    if wanted is not None and wanted not in PLATFORMS:
        raise InputError(f"a platform ({_NAMES})", f"--platform {wanted}", "choose one of them")
    if not folder.is_dir():
        found = f"{folder}, which {'is a file' if folder.exists() else 'does not exist'}"
        raise InputError("the folder of an app", found, "name it with --into")
    asked = [PLATFORMS[wanted]] if wanted else list(PLATFORMS.values())
    found = {platform.name: answer for platform in asked if (answer := _find(platform, folder)) is not None}
    if not found:
        signs = "; ".join(f"{platform.app} by {platform.signs}" for platform in asked)
        raise InputError(f"an app ({signs})", f"{folder} without", "name the project's own folder with --into")
    if len(found) > 1:
        raise InputError("an app of one platform", f"{folder} with signs of {' and '.join(found)}", "choose one with --platform")
    name, answer = next(iter(found.items()))
    if isinstance(answer, InputError):
        raise answer
    return PLATFORMS[name], answer


def _find(platform: Platform, folder: Path) -> App | InputError | None:
    """An app whose layout is not known is one all the same."""
    try:
        return platform.find(folder)
    except InputError as error:
        return error
