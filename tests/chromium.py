"""A page in headless Chromium, driven over its DevTools protocol: no more than the tests of the service's page need."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

_START_S = 30.0
_KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowDown": 40}


class Page:
    """One tab. Use `open_page`."""

    def __init__(self, process: subprocess.Popen[str], socket: WebSocketClientConnection) -> None:
        self._process, self._socket, self._number = process, socket, 0
        self.requested: list[str] = []  # every address that the page asked for

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command, and its result."""
        self._number += 1
        await self._socket.write_message(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(await self._socket.read_message() or "{}")
            if message.get("method") == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        found = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str) -> Any:
        """The value of an expression once it is true of something."""
        end = time.monotonic() + _START_S
        while not (found := await self.run(script)):
            assert time.monotonic() < end, script
            await asyncio.sleep(0.05)
        return found

    async def press(self, key: str) -> None:
        """A key goes down and up."""
        known = {"key": key, "code": key, "windowsVirtualKeyCode": _KEYS[key]}
        text = {"Enter": "\r", " ": " "}.get(key)
        await self.send("Input.dispatchKeyEvent", type="keyDown", **known, **({"text": text} if text else {}))
        await self.send("Input.dispatchKeyEvent", type="keyUp", **known)

    async def choose(self, selector: str, path: Path) -> None:
        """A file for a file input."""
        root = await self.send("DOM.getDocument")
        node = await self.send("DOM.querySelector", nodeId=root["root"]["nodeId"], selector=selector)
        await self.send("DOM.setFileInputFiles", nodeId=node["nodeId"], files=[str(path)])

    async def look(self, width: int, height: int, scheme: str) -> None:
        """As on a screen of this size, `light` or `dark`."""
        await self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def picture(self, path: Path) -> None:
        """A screenshot as PNG."""
        path.write_bytes(base64.b64decode((await self.send("Page.captureScreenshot", captureBeyondViewport=True))["data"]))

    def close(self) -> None:
        """End the browser."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


async def open_page(address: str, profile: Path) -> Page:
    """A tab at an address, in a browser of its own with a pretended camera."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
    process = subprocess.Popen(
        [
            chromium,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            "about:blank",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    port = next(found[1] for line in process.stderr if (found := re.search(r"ws://127\.0\.0\.1:(\d+)/", line)))
    tabs = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list"))
    page = Page(process, await websocket_connect(next(tab for tab in tabs if tab["type"] == "page")["webSocketDebuggerUrl"]))
    for domain in ("Page", "Network", "Runtime", "DOM"):
        await page.send(f"{domain}.enable")
    await page.send("Page.navigate", url=address)
    await page.until("document.readyState === 'complete' && location.href !== 'about:blank'")
    return page
