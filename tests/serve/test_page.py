"""The page in headless Chromium: a picture and the camera, at desktop and phone width, light and dark, with the keyboard alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from chromium import Page, open_page
from served import LABELS, Server, write_classifier

pytestmark = pytest.mark.web
ANSWERED = "document.querySelectorAll('#answer li').length === 3"
LOADED = "document.querySelectorAll('#artifact option').length > 0"


def on_page(server: Server, profile: Path, look: Callable[[Page], Awaitable[None]]) -> None:
    async def run() -> None:
        page = await open_page(f"http://127.0.0.1:{server.port}/", profile)
        try:
            await page.until(LOADED)
            await look(page)
            assert all(
                address.startswith((f"http://127.0.0.1:{server.port}/", f"blob:http://127.0.0.1:{server.port}/", "data:"))
                for address in page.requested
            ), page.requested
        finally:
            page.close()

    asyncio.run(run())


@pytest.mark.parametrize(("width", "height"), [(1100, 760), (360, 740)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_is_answered_and_nothing_hangs_over(
    server: Server, png: bytes, tmp_path: Path, width: int, height: int, scheme: str
) -> None:
    (tmp_path / "picture.png").write_bytes(png)

    async def look(page: Page) -> None:
        await page.look(width, height, scheme)
        await page.choose("#file", tmp_path / "picture.png")
        await page.until(ANSWERED)
        assert await page.run("document.documentElement.scrollWidth") <= width
        assert await page.run("document.querySelector('#answer li').textContent.split(/[0-9]/)[0]") in LABELS
        shares = await page.run("[...document.querySelectorAll('#answer progress')].map((bar) => bar.value)")
        assert shares == sorted(shares, reverse=True)
        assert " ms in the model" in await page.run("document.querySelector('#time').textContent")
        assert await page.run("document.querySelector('#trouble').hidden")

    on_page(server, tmp_path / "profile", look)


def test_the_keyboard_alone_reaches_all(server: Server, tmp_path: Path) -> None:
    """Tab goes through what can be used, in the order in which it is read; the camera starts and stops with the space bar."""

    async def look(page: Page) -> None:
        reached = []
        for _ in range(3):
            await page.press("Tab")
            reached.append(await page.run("document.activeElement.id"))
        assert reached == ["artifact", "file", "camera"]
        assert await page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await page.press(" ")
        await page.until(ANSWERED)
        assert await page.run("document.activeElement.getAttribute('aria-pressed')") == "true"
        await page.press(" ")
        await page.until("document.querySelector('#video').hidden")

    on_page(server, tmp_path / "profile", look)


def test_trouble_is_told_in_words(server: Server, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"no picture")

    async def look(page: Page) -> None:
        await page.choose("#file", tmp_path / "picture.png")
        assert await page.until(
            "!document.querySelector('#trouble').hidden && document.querySelector('#trouble').textContent"
        ) == ("expected an image file, found not an image; send JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF")

    on_page(server, tmp_path / "profile", look)


def test_a_token_is_asked_for(png: bytes, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(png)
    model = write_classifier(tmp_path / "m.tflite")

    async def run(server: Server) -> None:
        page = await open_page(f"http://127.0.0.1:{server.port}/", tmp_path / "profile")
        try:
            await page.until("document.activeElement.id === 'token'")
            await page.run("document.querySelector('#token').value = 'secret'")
            await page.press("Enter")
            await page.until(LOADED)
            await page.choose("#file", tmp_path / "picture.png")
            await page.until(ANSWERED)
        finally:
            page.close()

    with Server([model, "--workers", 1], environment={"EDGECLS_TOKEN": "secret"}) as server:
        asyncio.run(run(server))
