"""Firefox, driven over its own protocol: no driver has to be installed beside it."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PORT = 2829
SETTINGS = {"marionette.port": PORT, "browser.shell.checkDefaultBrowser": False, "app.update.enabled": False,
            "datareporting.policy.dataSubmissionEnabled": False,
            "network.captive-portal-service.enabled": False}  # fmt: skip


class Firefox:
    """One window. A message is its length, a colon, and JSON."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream, self.rest, self.count = stream, b"", 0
        self._read()  # Firefox speaks first
        self._ask("WebDriver:NewSession", capabilities={})

    def _read(self) -> Any:
        while b":" not in self.rest:
            self.rest += self.stream.recv(65536)
        length, _, body = self.rest.partition(b":")
        while len(body) < int(length):
            body += self.stream.recv(65536)
        self.rest = body[int(length) :]
        return json.loads(body[: int(length)])

    def _ask(self, command: str, **given: Any) -> Any:
        self.count += 1
        message = json.dumps([0, self.count, command, given]).encode()
        self.stream.sendall(str(len(message)).encode() + b":" + message)
        _, _, error, answer = self._read()
        assert not error, error
        return answer

    def open(self, address: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self._ask("WebDriver:Navigate", url=address)

    def run(self, script: str) -> Any:
        """What the lines of JavaScript return."""
        return self._ask("WebDriver:ExecuteScript", script=script, args=[])["value"]

    def choose(self, css: str, which: int, files: Sequence[Path]) -> None:
        """Put files into one of the inputs that the selector finds."""
        found = self._ask("WebDriver:FindElements", using="css selector", value=css)[which]
        self._ask("WebDriver:ElementSendKeys", id=next(iter(found.values())), text="\n".join(map(str, files)))

    def wait(self, condition: str, seconds: float = 90) -> None:
        """Until the expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"return {condition}"):
            assert time.monotonic() < end, f"{condition} did not come true in {seconds} s"
            time.sleep(0.1)


@contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """A fresh Firefox with its own profile; it ends with the block."""
    profile.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in SETTINGS.items()]
    (profile / "user.js").write_text("".join(lines))
    command = ["firefox", "--headless", "--marionette", "--no-remote", "--profile", str(profile), "about:blank"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env={**os.environ, "HOME": str(profile)}, **quiet)  # type: ignore[call-overload]
    try:
        for attempt in range(120):
            try:
                stream = socket.create_connection(("127.0.0.1", PORT), 2)
                break
            except OSError:
                assert attempt < 119, "Firefox did not answer within a minute"
                time.sleep(0.5)
        stream.settimeout(120)
        with stream:
            yield Firefox(stream)
    finally:
        process.terminate()
        process.wait(30)
