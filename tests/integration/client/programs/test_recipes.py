"""The programs of ``examples/recipes/`` as a reader runs them; the lead moves meanwhile, or a broker dies."""

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

import httpx
import pytest
from support.announcer import GROUP, Announcer
from support.client.programs import Program, Run
from support.queues import depth, publish, take_all
from support.waiting import PATIENCE, wait_for

from rabbitkeeper.client import Client, Queue
from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]


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
        # A connection for each order, so that it may be any of the server's processes that takes it.
        connections = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=url, timeout=PATIENCE, limits=connections)
        self.taken: dict[str, dict[str, int]] = {}
        self.refused: list[str] = []
        self.unanswered = 0
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

    def processes(self) -> set[int]:
        """Which of the server's processes have taken one."""
        return {answer["process"] for answer in self.taken.values()}

    def _run(self) -> None:
        while not self._stopping.wait(0.02):
            name = f"order-{len(self.taken)}"
            try:
                answer = self._http.post("/orders", json={"id": name, "item": "a kettle"})
            except httpx.TransportError:
                self.unanswered += 1
                continue
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
        assert (customer.refused, customer.unanswered) == ([], 0)
        wait_for(lambda: set(server.said("packed")) == set(customer.taken), "each order is packed")
        assert len(server.said("packed")) == len(customer.taken), "none twice"
        server.ended(signal.SIGTERM)
        assert "Application shutdown complete" in server.text


def test_each_process_of_gunicorn_has_a_client_of_its_own(
    announcer: Announcer, run: Run, moved: Callable[[], None]
) -> None:
    options = ("--config", "gunicorn_conf.py", "--bind", "127.0.0.1:0")
    with run("-m", "gunicorn", *options, "django_orders:application") as server:
        with Customer(address(server, "Listening at")) as customer:
            wait_for(lambda: len(customer.processes()) == 2, "both processes take orders")
            moved()
            customer.waits_for(20)
            assert customer.unanswered == 0
            first, _ = customer.processes()
            os.kill(first, signal.SIGKILL)
            wait_for(lambda: len(customer.processes()) == 3, "one in its place takes orders")
        assert customer.refused == []
        # What was posted to the process that was killed may be there, and was not taken.
        wait_for(lambda: depth(announcer, "recipes-django") >= len(customer.taken), "all are in the queue")
        assert server.ended(signal.SIGTERM) == 0


def test_processes_share_a_queue(run: Run, moved: Callable[[], None]) -> None:
    with run("worker_processes.py", "400") as program:

        def done() -> dict[str, str]:
            told = (line.split(": ") for line in program.said("done by "))
            return {job: process for process, job in told}

        wait_for(lambda: len(set(done().values())) == 3, "three processes work")
        os.kill(int(next(iter(done().values()))), signal.SIGKILL)
        moved()
        wait_for(lambda: len(done()) == 400, "each job is done, also those of the process that was killed")
        assert program.ended(signal.SIGTERM) == 0
        (ended,) = program.said("ended")
        assert sorted(json.loads(ended)) == [-signal.SIGKILL, 0, 0]


def test_tasks_of_taskiq_run(run: Run, moved: Callable[[], None]) -> None:
    with run("-m", "taskiq", "worker", "taskiq_tasks:broker", "--workers", "1") as worker:
        with run("taskiq_tasks.py", "60") as sender:
            wait_for(lambda: len(worker.said("greeted")) >= 10, "tasks run")
            moved()
            assert sender.ended() == 0
            assert len(sender.said("sent")) == 60
            wait_for(lambda: set(worker.said("greeted")) == set(sender.said("sent")), "each has run")
        assert worker.ended(signal.SIGTERM) == 0


def test_one_log_has_the_applications_lines_and_the_clients(run: Run, moved: Callable[[], None]) -> None:
    with run("structlog_events.py", "60") as program:
        wait_for(lambda: program.text.count('"confirmed"') >= 10, "orders are confirmed")
        moved()
        assert program.ended() == 0
        lines = [json.loads(line) for line in program.text.splitlines()]
    assert [line["order"] for line in lines if line["event"] == "confirmed"] == list(range(1, 61))
    (elected,) = (line for line in lines if line["event"].startswith("LeaderChanged: member node2"))
    assert (elected["group"], elected["member"], elected["level"]) == (GROUP, "node2", "info")
    assert elected["event_id"]
    assert elected["logger"] == "rabbitkeeper.client.events"


def test_a_relay_on_uvloop_loses_nothing(client: Client, run: Run, moved: Callable[[], None]) -> None:
    source, target = Queue("recipes-source"), Queue("recipes-target")
    client.declare(source, target)
    with run("uvloop_relay.py", source.name, target.name) as relay:
        relay.waited_for("relaying on uvloop")
        publish(client, source.name, 500)
        moved()
        publish(client, source.name, 1000)
        take_all(client.consume(target), {b"%d" % number for number in range(1000)})
        wait_for(lambda: client.check(source) == 0, "nothing is left")
        assert relay.ended(signal.SIGTERM) == 0
