"""A headless Chromium, asked by its own protocol when it painted a page."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tornado.ioloop import IOLoop
from tornado.websocket import WebSocketClientConnection, websocket_connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LIMIT = 60.0  # seconds for it to start, and for a page
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--remote-debugging-port=0"),
)
_PAINTED = (
    "JSON.stringify(performance.getEntriesByName('first-contentful-paint')"
    ".map(each => each.startTime))"
)


def first_paint(page: Path, times: int) -> list[float]:
    """Seconds until a page's first content was painted, its scripts disabled."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory() as folder:
        browser = subprocess.Popen(
            [CHROMIUM, *_QUIET, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return IOLoop().run_sync(
                lambda: _painted(Path(folder), page, times), LIMIT * (times + 1)
            )
        finally:
            browser.kill()
            browser.wait(LIMIT)


async def _painted(folder: Path, page: Path, times: int) -> list[float]:
    port, path = await _door(folder / "DevToolsActivePort")
    asked = _Asked(await websocket_connect(f"ws://127.0.0.1:{port}{path}"))
    found = []
    for _ in range(times):
        made = await asked("Target.createTarget", url="about:blank")
        session = await asked(
            "Target.attachToTarget", targetId=made["targetId"], flatten=True
        )
        there = session["sessionId"]
        await asked("Emulation.setScriptExecutionDisabled", there, value=True)
        await asked("Page.navigate", there, url=page.as_uri())
        found.append(await _paint_of(asked, there))
        await asked("Target.closeTarget", targetId=made["targetId"])
    return found


async def _door(file: Path) -> list[str]:
    """Port and path that the browser writes down as it has started."""
    start = time.monotonic()
    while not (file.exists() and len(lines := file.read_text().split()) == 2):
        assert time.monotonic() - start < LIMIT, "Chromium has not started"
        time.sleep(0.05)
    return lines


async def _paint_of(asked: _Asked, there: str) -> float:
    start = time.monotonic()
    while time.monotonic() - start < LIMIT:
        answer = await asked("Runtime.evaluate", there, expression=_PAINTED)
        times = json.loads(answer["result"].get("value") or "[]")
        if times:
            return float(times[0]) / 1e3
        time.sleep(0.02)
    raise AssertionError("the page was not painted")


class _Asked:
    """Calls of the DevTools protocol, one after the other."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket
        self.count = 0

    async def __call__(
        self, method: str, session: str | None = None, **params: Any
    ) -> Any:
        self.count += 1
        call = {"id": self.count, "method": method, "params": params}
        if session:
            call["sessionId"] = session
        await self.socket.write_message(json.dumps(call))
        while True:
            said = await self.socket.read_message()
            assert said is not None, "Chromium has gone"
            answer = json.loads(said)
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]
