"""A headless Chromium, driven through the pipe of its DevTools protocol: no port, no driver, nothing to download.

The messages are JSON with a zero byte behind each, on descriptors 3 (to the browser) and 4 (from it);
https://chromedevtools.github.io/devtools-protocol/ defines them.
"""

from __future__ import annotations

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.cluster.commands import Programs
from e2e.cluster.debian import install_packages
from e2e.cluster.errors import ClusterError

# fonts-liberation: a page without a single font has no widths worth testing.
PACKAGES = ("chromium", "fonts-liberation")
PATIENCE = 60.0  # s for one answer, on a machine that is busy with other work
# A pipe between the descriptors that Chromium expects: a shell moves them there after the fork.
_LAUNCH = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'


class BrowserFailed(Exception):
    """One line for people."""


def ensure_browser() -> str:
    """Chromium's path; installed where it is missing. Raises ClusterError where it cannot be."""
    if (found := shutil.which("chromium")) is None:
        install_packages(Programs(), PACKAGES)
        found = shutil.which("chromium")
    if found is None:
        raise ClusterError("the package chromium is installed, and there is no program of that name")
    return found


@dataclass
class Page:
    """One tab: requests to the network and errors are recorded from its first moment on."""

    _browser: _Pipe
    _session: str
    requests: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # why requests were not sent: `csp` is the page's own policy
    troubles: list[str] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command. Raises BrowserFailed."""
        return self._browser.call(method, parameters, self._session, self._note)

    def _note(self, event: dict[str, Any]) -> None:
        what = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(what["request"]["url"])
            case "Network.loadingFailed" if what.get("blockedReason"):
                self.refused.append(what["blockedReason"])
            case "Runtime.exceptionThrown":
                self.troubles.append(str(what["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if what["type"] in ("error", "warning", "assert"):
                self.troubles.append(str(what["args"]))
            case "Log.entryAdded":
                self.troubles.append(what["entry"]["text"])
            case "Page.javascriptDialogOpening":
                self.troubles.append(f"dialog: {what['message']}")
                raise BrowserFailed(f"the page opened a dialog: {what['message']}")

    def resize(self, width: int, height: int = 900, *, mobile: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def media(self, kind: str = "", **features: str) -> None:
        """`kind` is print or nothing; `prefers_color_scheme="dark"`."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", media=kind, features=wanted)

    def open(self, path: Path, *, scripts: bool = True) -> None:
        """The file, loaded to its end. Raises BrowserFailed."""
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        failure = self.call("Page.navigate", url=path.resolve().as_uri()).get("errorText")
        if failure:
            raise BrowserFailed(f"{path}: {failure}")
        self._browser.wait_for(self._session, "Page.loadEventFired", self._note)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON. Raises BrowserFailed where it throws."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserFailed(f"{expression[:80]}: {answer['exceptionDetails'].get('text')}")
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Click with the mouse, in the middle of the first such element, so that an element above it gets the click."""
        x, y = self.ask(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key)

    def picture(self, path: Path) -> None:
        """The whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


class _Pipe:
    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._rest = b""
        self._number = 0
        # (session, method) of events that came while another message was awaited
        self._seen: list[tuple[str, str]] = []

    def call(self, method: str, parameters: dict[str, Any], session: str | None, note: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        if method == "Page.navigate":
            self._seen.clear()
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while True:
            answer = self._next(note)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserFailed(f"{method}: {answer['error'].get('message')}")
                result: dict[str, Any] = answer["result"]
                return result

    def wait_for(self, session: str, method: str, note: Any) -> None:
        while (session, method) not in self._seen:
            self._next(note)

    def _next(self, note: Any) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._back], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self._back, 1 << 16) if ready else b""
            if not chunk:
                raise BrowserFailed("the browser ended" if ready else f"the browser is silent for {PATIENCE:.0f} s")
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        if "method" in found:
            self._seen.append((found.get("sessionId", ""), found["method"]))
            if note is not None:
                note(found)
        return found


class Browser:
    """One running Chromium."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    @contextmanager
    def tab(self) -> Iterator[Page]:
        """A tab that shares nothing with others, closed afterwards."""
        context = self._pipe.call("Target.createBrowserContext", {}, None, None)["browserContextId"]
        about = {"url": "about:blank", "browserContextId": context}
        target = self._pipe.call("Target.createTarget", about, None, None)["targetId"]
        attached = self._pipe.call("Target.attachToTarget", {"targetId": target, "flatten": True}, None, None)
        page = Page(self._pipe, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        try:
            yield page
        finally:
            self._pipe.call("Target.disposeBrowserContext", {"browserContextId": context}, None, None)


@contextmanager
def a_browser(program: str) -> Iterator[Browser]:
    """A browser that can reach no host at all; afterwards it is ended and its files are deleted."""
    to_child, to = os.pipe()
    back, from_child = os.pipe()
    profile = tempfile.mkdtemp(prefix="chromium-")
    command = [
        program, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run",
        "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--lang=en", "about:blank",
    ]  # fmt: skip
    if os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # Chromium refuses to start as root with one
    process = subprocess.Popen(
        ["bash", "-c", _LAUNCH, str(to_child), str(from_child), *command],
        pass_fds=(to_child, from_child),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_child)
    os.close(from_child)
    try:
        yield Browser(_Pipe(to, back))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(to)
        os.close(back)
        shutil.rmtree(profile, ignore_errors=True)
