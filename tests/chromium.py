"""A headless Chromium for tests of pages, driven by its DevTools protocol over two pipes: no port and no driver."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATIENCE_S = 60
"""Two busy cores start a browser slowly."""


def find_chromium() -> str | None:
    """The browser that `CHROMIUM` names, or the first of the usual ones that is installed."""
    named = os.environ.get("CHROMIUM")
    return named or next((found for name in _NAMES if (found := shutil.which(name))), None)


@dataclass(slots=True, kw_only=True)
class Browser:
    """One tab. What happened in it is kept: requests, and errors of its scripts or against its policy."""

    reader: int
    writer: int
    session: str | None = None
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _buffer: bytearray = field(default_factory=bytearray)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call one method of the protocol and wait for its result."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self.reader], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            read = os.read(self.reader, 2**20)
            assert read, "the browser has ended"
            self._buffer += read
        line, _, rest = self._buffer.partition(b"\0")
        self._buffer = rest
        message: dict[str, Any] = json.loads(line)
        parameters = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(parameters["exceptionDetails"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.errors.append(parameters["entry"]["text"])
        return message

    def attach(self) -> None:
        """Open the tab."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def open(self, path: Path, anchor: str = "") -> None:
        """Load a page anew and wait for it."""
        self.requests.clear()
        self.errors.clear()
        url = path.as_uri() + anchor
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=url)
        self.wait(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression is true: addresses and loading are asynchronous."""
        deadline = time.monotonic() + _PATIENCE_S
        while not self.evaluate(condition):
            assert time.monotonic() < deadline, f"never came true: {condition}"
            time.sleep(0.02)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, which must be JSON."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def click(self, selector: str) -> None:
        """Click the middle of the first element of a selector, as a mouse does."""
        x, y = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key)

    def choose(self, selector: str, value: str) -> None:
        """Choose an option by its value, or type into a search box."""
        self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
            "e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change')); })()"
        )

    def texts(self, selector: str) -> list[str]:
        """The text of every element of a selector."""
        found: list[str] = self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent)"
        )
        return found

    def screenshot(self, path: Path) -> None:
        """What the tab shows, as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def chromium(executable: str, profile: Path, width: int = 1500, height: int = 1050) -> Iterator[Browser]:
    """Run the browser with a profile of its own; ended with the block."""
    commands, writer = os.pipe()
    reader, answers = os.pipe()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command = [executable, *options, f"--window-size={width},{height}", f"--user-data-dir={profile}"]
    process = subprocess.Popen(  # the browser reads file descriptor 3 and writes 4
        ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "bash", *command, "--remote-debugging-pipe"],
        pass_fds=(commands, answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands)
    os.close(answers)
    browser = Browser(reader=reader, writer=writer)
    try:
        browser.attach()
        yield browser
        browser.session = None
        browser.send("Browser.close")
        process.wait(timeout=_PATIENCE_S)
    finally:
        process.kill()
        process.wait()
        os.close(reader)
        os.close(writer)
