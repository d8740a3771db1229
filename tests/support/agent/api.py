"""What tests of an agent's HTTP API share: waiting, and one who listens to its events."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from support.group_watch import PATIENCE


def until(condition: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.05)


class Events:
    """Listens to ``/events`` in a thread."""

    def __init__(self, url: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self._url = url
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(httpx.TransportError):  # the agent is killed
            self._read()

    def _read(self) -> None:
        with httpx.stream("GET", f"{self._url}/events", timeout=60) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    self.heard.append(json.loads(line.removeprefix("data: ")))

    def named(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.heard if event.get("event") == kind]


def problems(http: httpx.Client) -> str:
    """The znodes that the agent cannot read, as it names them."""
    answer = http.get("/group").json()
    return " ".join(answer.get("problems", []))


def read_log(http: httpx.Client, name: str) -> dict[str, Any]:
    content: dict[str, Any] = http.get(f"/{name}").json()
    return content
