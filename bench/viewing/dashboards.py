"""Open dashboards without their browsers: each listens to the events and asks as the page's scripts do.

What they ask, and how often, is ``agent/dashboard/static/main.js``'s.
"""

import asyncio
import contextlib
import json
import threading
import time
from typing import Any

import httpx

EVERY = 2.0  # seconds between two looks at what is now
LOGS_EVERY = 15.0  # seconds between two looks at the logs
NOW = ("/group", "/health")
LOGS = ("/traffic", "/history?last=50", "/operations?last=50")
EVENTS = "/events?last=60"

Heard = list[tuple[dict[str, Any], float]]  # events, and when each came, seconds since 1970


class Dashboards:
    """So many of them, from :meth:`start` to :meth:`stop`, on a thread of their own.

    Args:
        url: the agent's.
        count: how many.
        proxied: all come from one address, as through a proxy; else each from one of its own, on loopback.
    """

    def __init__(self, url: str, count: int, *, proxied: bool = False) -> None:
        self._url = url
        self._count = count
        self._proxied = proxied
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._over = asyncio.Event()
        self.answers: list[float] = []  # seconds that each answer took
        self.failures: list[str] = []
        self.listening = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)

    def _run(self) -> None:
        self._loop.run_until_complete(self._all())

    async def _all(self) -> None:
        viewers = [asyncio.create_task(self._one(number)) for number in range(self._count)]
        await self._over.wait()
        for viewer in viewers:
            viewer.cancel()
        await asyncio.gather(*viewers, return_exceptions=True)

    async def _one(self, number: int) -> None:
        host = "127.0.1.1" if self._proxied else f"127.0.1.{number + 1}"
        transport = httpx.AsyncHTTPTransport(local_address=host)
        await asyncio.sleep(EVERY * number / self._count)  # people do not come all at once
        async with httpx.AsyncClient(base_url=self._url, transport=transport, timeout=30) as client:
            listening = asyncio.create_task(self._listen(client))
            try:
                await self._look(client)
            finally:
                listening.cancel()

    async def _look(self, client: httpx.AsyncClient) -> None:
        logs_due = 0.0
        while True:
            paths = list(NOW)
            if time.monotonic() >= logs_due:
                paths += LOGS
                logs_due = time.monotonic() + LOGS_EVERY
            for path in paths:
                await self._ask(client, path)
            await asyncio.sleep(EVERY)

    async def _ask(self, client: httpx.AsyncClient, path: str) -> None:
        began = time.perf_counter()
        try:
            answer = await client.get(path)
        except httpx.HTTPError as error:
            self.failures.append(f"{path}: {error!r}")
            return
        self.answers.append(time.perf_counter() - began)
        if answer.status_code != 200:
            self.failures.append(f"{path}: {answer.status_code}")

    async def _listen(self, client: httpx.AsyncClient) -> None:
        try:
            async with client.stream("GET", EVENTS) as answer:
                if answer.status_code != 200:
                    self.failures.append(f"{EVENTS}: {answer.status_code}")
                    return
                self.listening += 1
                async for _ in answer.aiter_lines():
                    pass
                self.failures.append(f"{EVENTS}: ended")
        except httpx.HTTPError as error:
            self.failures.append(f"{EVENTS}: {error!r}")


class Listener:
    """One who listens to an agent's events, on a thread of its own, until the agent ends them.

    Args:
        url: the agent's.
        heard: where events are put.
    """

    def __init__(self, url: str, heard: Heard) -> None:
        self._url = url
        self._heard = heard
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with (
            contextlib.suppress(httpx.RemoteProtocolError),  # the agent was killed
            httpx.stream("GET", f"{self._url}/events", timeout=60) as answer,
        ):
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    self._heard.append((json.loads(line.removeprefix("data: ")), time.time()))
