"""Drives a headless Chromium by its DevTools protocol, over a pipe, without further libraries."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
         "--force-color-profile=srgb", "--remote-debugging-pipe")  # fmt: skip
PATIENCE = 60.0  # seconds


class Browser:
    """One page in a browser of its own."""

    def __init__(self, width: int = 1280, height: int = 1000, dark: bool = False, touch: bool = False) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="diabolo-tests-", ignore_cleanup_errors=True)
        (commands, self._to), (self._from, answers) = os.pipe(), os.pipe()
        command = f'exec "$@" 3<&{commands} 4>&{answers}'
        browser = [str(CHROMIUM), *FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", command, "bash", *browser], pass_fds=(commands, answers), stderr=subprocess.DEVNULL
        )
        os.close(commands), os.close(answers)
        self._left, self._count, self._session, self.said = b"", 0, None, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.ask("Emulation.setTouchEmulationEnabled", enabled=touch)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[theme])

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._to)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)
        self._profile.cleanup()

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command of the protocol; what the page logs or fails with meanwhile is kept in `said`."""
        self._count += 1
        asked = {"id": self._count, "method": method, "params": params}
        os.write(self._to, json.dumps(asked | ({"sessionId": self._session} if self._session else {})).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while True:
            message = self._next(end)
            if message.get("id") == self._count:
                assert "error" not in message, message
                return message["result"]
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"):
                self.said.append(message["params"])
            if message.get("method") == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])

    requests: list[str] = []

    def _next(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._left:
            assert select.select([self._from], [], [], max(0, end - time.monotonic()))[0], "the browser does not answer"
            read = os.read(self._from, 1 << 20)
            assert read, "the browser has ended"
            self._left += read
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)

    def open(self, address: str | Path) -> None:
        """Opens a file or an address and waits until the page says that it is ready."""
        self.requests = []
        self.ask("Page.navigate", url=address if isinstance(address, str) else address.resolve().as_uri())
        self.wait("document.body && 'ready' in document.body.dataset")
        self.settle()

    def run(self, code: str) -> Any:
        """The value of an expression in the page, awaited."""
        answer = self.ask("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Waits until an expression in the page is true."""
        end = time.monotonic() + PATIENCE
        while not self.run(f"Boolean({condition})"):
            assert not self.failures(), self.failures()
            assert time.monotonic() < end, f"never: {condition}"
            time.sleep(0.05)

    @contextmanager
    def within_frame(self) -> Iterator[None]:
        """Within it `run` and `wait` are about the page of the first frame, which has a process of its own."""
        outer = self._session
        self._session = None
        end, frames = time.monotonic() + PATIENCE, []
        while not frames:
            assert time.monotonic() < end, "no frame has a process of its own"
            time.sleep(0.1)
            frames = [one for one in self.ask("Target.getTargets")["targetInfos"] if one["type"] == "iframe"]
        self._session = self.ask("Target.attachToTarget", targetId=frames[0]["targetId"], flatten=True)["sessionId"]
        try:
            self.ask("Runtime.enable")
            yield
        finally:
            self._session = outer

    def failures(self) -> list[str]:
        """Errors of the page, and what its policy has kept it from."""
        thrown = [
            one["exceptionDetails"]["exception"].get("description", "")
            for one in self.said
            if "exceptionDetails" in one
        ]
        entries = [one["entry"] for one in self.said if one.get("entry", {}).get("level") == "error"]
        logged = [one["text"] for one in entries if not one.get("url", "").endswith("/favicon.ico")]
        return thrown + logged

    def settle(self) -> None:
        """Waits until what has changed is drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element, brought into view."""
        at = f"document.querySelector({json.dumps(selector)})"
        return tuple(self.run(
            f"(() => {{ {at}.scrollIntoView({{block: 'center'}}); const b = {at}.getBoundingClientRect();"
            " return [b.left, b.top, b.width, b.height]; })()"
        ))  # fmt: skip

    def press(self, x: float, y: float, *to: tuple[float, float]) -> None:
        """Presses the mouse at a place of the window, drags it along others, and lets go."""
        self._mouse("mouseMoved", x, y, 0)
        self._mouse("mousePressed", x, y, 1)
        for x, y in to:
            self._mouse("mouseMoved", x, y, 1)
        self._mouse("mouseReleased", x, y, 0)
        self.settle()

    def hover(self, x: float, y: float) -> None:
        self._mouse("mouseMoved", x, y, 0)
        self.settle()

    def touch(self, x: float, y: float, *to: tuple[float, float]) -> None:
        """The same with a finger."""
        self.ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for x, y in to:
            self.ask("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x, "y": y}])
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()

    def key(self, name: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=KEYS[name])
        self.settle()

    def _mouse(self, kind: str, x: float, y: float, buttons: int) -> None:
        button = "none" if kind == "mouseMoved" and not buttons else "left"
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons, clickCount=1)

    def screenshot(self, file: str | Path, whole: bool = True) -> None:
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=whole, **(
            {"clip": {**self.ask("Page.getLayoutMetrics")["cssContentSize"], "scale": 1}} if whole else {}
        ))  # fmt: skip
        Path(file).write_bytes(base64.b64decode(shot["data"]))


KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Enter": 13,
    "Escape": 27,
    "Home": 36,
    "Tab": 9,
}
