"""The programs of ``examples/recipes/`` as a reader runs them; the lead moves meanwhile, or a broker dies."""

import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Self

import httpx
import pytest
from support.announcer import GROUP, Announcer
from support.client.programs import EXAMPLES, Program, running
from support.waiting import PATIENCE, wait_for

from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

Run = Callable[..., AbstractContextManager[Program]]


@pytest.fixture
def run(announcer: Announcer, tmp_path: Path) -> Run:
    """Starts a recipe: what stands behind ``python``."""
    user, password = announcer.local.credentials

    def run(*command: str) -> AbstractContextManager[Program]:
        return running(
            command,
            tmp_path / "recipe.txt",
            {
                "RABBITKEEPER_ZOOKEEPER": announcer.local.zookeeper_hosts,
                "RABBITKEEPER_GROUP": GROUP,
                "RABBITKEEPER_USER": user,
                "RABBITKEEPER_PASSWORD": password,
            },
            EXAMPLES / "recipes",
        )

    return run


@contextmanager
def leader_dead(announcer: Announcer) -> Iterator[None]:
    """The leader's broker is killed, and another leads; at the end all is as before."""
    announcer.local.kill_broker("node1")
    try:
        announcer.status("node1", MemberStatus.STOPPED)
        announcer.lead("node2")
        yield
    finally:
        announcer.local.start_broker("node1")
        announcer.status("node1", MemberStatus.RUNNING)
        announcer.lead("node1")


class Customer:
    """Posts an order after the other, each until it is taken, and keeps the answers by the orders' ids."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=PATIENCE)
        self.taken: dict[str, dict[str, int]] = {}
        self.refused: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        self._thread.join(PATIENCE)
        self._http.close()

    def waits_for(self, more: int) -> None:
        """So many more orders are taken."""
        wanted = len(self.taken) + more
        wait_for(lambda: len(self.taken) >= wanted, f"{wanted} orders are taken; refused: {self.refused}")

    def _run(self) -> None:
        while not self._stopping.wait(0.02):
            name = f"order-{len(self.taken)}"
            answer = self._http.post("/orders", json={"id": name, "item": "a kettle"})
            if answer.status_code == 202:
                self.taken[name] = answer.json()
            else:
                self.refused.append(answer.text)


def address(program: Program, announced: str) -> str:
    """The URL that a server has printed behind ``announced``."""
    wait_for(lambda: announced in program.text or program.process.poll() is not None, "it serves")
    match = re.search(rf"{announced}.*?(http://[\d.]+:\d+)", program.text)
    assert match, program.text
    return match[1]


def test_fastapi_takes_orders_while_the_leaders_broker_dies(announcer: Announcer, run: Run) -> None:
    with run("-m", "uvicorn", "fastapi_orders:app", "--port", "0") as server:
        with Customer(address(server, "running on")) as customer:
            customer.waits_for(10)
            with leader_dead(announcer):
                customer.waits_for(20)
            customer.waits_for(5)
        assert customer.refused == []
        wait_for(lambda: set(server.said("packed")) == set(customer.taken), "each order is packed")
        assert len(server.said("packed")) == len(customer.taken), "none twice"
        server.ended(signal.SIGTERM)
        assert "Application shutdown complete" in server.text
