"""The demo in containers for tests: under a name and on ports of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from rabbitkeeper.compose.containers import (
    ContainerStage,
    ContainerTraffic,
    Project,
    RemoteTimeline,
    Settings,
)
from rabbitkeeper.compose.containers.demo import READY_TIMEOUT, await_whole, start
from rabbitkeeper.compose.demo.performance import DELIVERY_TIMEOUT
from rabbitkeeper.compose.demo.report import FaultResult
from rabbitkeeper.compose.demo.scenario import Fault, Scenario
from rabbitkeeper.compose.local.ports import Ports

_WHO_HAS = (
    ("list_queues", "name", "leader", "messages_ready", "messages_unacknowledged", "consumers"),
    ("list_consumers", "queue_name", "channel_pid", "ack_required", "prefetch_count", "active"),
    ("list_channels", "pid", "connection", "messages_unacknowledged", "consumer_count"),
    ("list_connections", "pid", "client_properties", "state"),
)
PORTS = ("RABBITKEEPER_AMQP_PORT", "RABBITKEEPER_MANAGEMENT_PORT", "RABBITKEEPER_API_PORT")
CHOSEN = ("RABBITKEEPER_SUITE", "RABBITKEEPER_BROKER_FROM")  # by whoever runs the tests


@dataclass(frozen=True, slots=True)
class Running:
    """A demo that runs."""

    project: Project
    settings: Settings
    stage: ContainerStage
    traffic: ContainerTraffic
    timeline: RemoteTimeline

    @property
    def leader(self) -> str:
        """Who leads; waits for a group that is whole."""
        await_whole(self.timeline, READY_TIMEOUT)
        assert self.timeline.leader is not None
        return self.timeline.leader

    def strike(self, *faults: Fault[ContainerStage]) -> list[FaultResult]:
        """Each of these faults on the leader, with the demo's own scenario."""
        said: list[str] = []
        results = Scenario(self.stage, self.traffic, self.timeline, said.append).run(faults)
        assert [result.fault for result in results if result.whole is None] == [], said
        return results

    def not_delivered(self) -> str:
        """What was confirmed and is not delivered when the traffic has ended, and who has it; else empty."""
        missing = self.traffic.finish(DELIVERY_TIMEOUT)
        if not missing:
            return ""
        broker = self.project.containers()[("node" if self.settings.agents == "inside" else "broker") + "1"]
        has = [broker.exec_run(["rabbitmqctl", "--silent", *asked]).output.decode() for asked in _WHO_HAS]
        consumer = self.project.container("consumer").logs(tail=5).decode()
        late = self.traffic.finish(DELIVERY_TIMEOUT)
        told = f"{len(missing)} not delivered after {DELIVERY_TIMEOUT:.0f} s, {len(late)} after twice that"
        return "; ".join((told, str(sorted(missing)[:5]), *has, consumer)).replace("\n", " | ")


def free_ports() -> dict[str, str]:
    """Ports that nobody listens on. Docker's proxy does not share one, so they are let go."""
    ports = Ports()
    try:
        return {name: str(ports.reserve()) for name in PORTS}
    finally:
        ports.close()


@contextmanager
def running(profiles: str, folder: Path) -> Iterator[Running]:
    """The demo in one of its variants, built if it has to be, and taken down in the end."""
    project = Project(f"rabbitkeeper-test-{uuid4().hex[:8]}")
    chosen = {name: os.environ.get(name, "") for name in CHOSEN}
    settings = Settings.load(folder / ".env", {"COMPOSE_PROFILES": profiles, **free_ports(), **chosen})
    project.check(settings)
    project.build(settings)
    try:
        traffic, timeline = start(project, settings)
        yield Running(project, settings, ContainerStage(project, settings.agents), traffic, timeline)
    finally:
        project.down()
    assert not project.exists()
