"""Takes the pictures of the dashboard in docs/dashboard/, over groups that are made for them.

A made group is in the state that a picture is of for as long as it takes, and needs no servers; that the page
shows the same of a real one is tests/integration/dashboard/'s to try.
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path

from rabbitkeeper.agent.model.observation import Traffic
from rabbitkeeper.agent.notify.events import EventKind
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.coordinator.model.records import (
    ClusterNode,
    ClusterRecord,
    MemberStatus,
    OperationEntry,
    OperationKind,
    OperationState,
)
from rabbitkeeper.coordinator.model.view import ClusterView, MemberView
from support.agent.dashboard_stage import Stage, ago, change, event, group, member
from support.browser.chromium import Chromium, chromium, says

SITES = {"node1": "south", "node2": "south", "node3": "north"}
ALARM = "low on memory: RabbitMQ blocks publishers on every node"
NODES = {f"rabbit@{name}": ClusterNode(member=name, joined=ago(90_000)) for name in SITES}
CLUSTER = ClusterView(ClusterRecord(founder="rabbit@node1", formed=ago(90_000), nodes=NODES), version=1)


def _member(
    name: str, state: MemberStatus = MemberStatus.RUNNING, *reasons: str, since: float = 7300
) -> MemberView:
    return member(
        name,
        state,
        *reasons,
        site=SITES[name],
        since=ago(since),
        amqp=f"10.0.0.{name[-1]}:5672",
        api=f"http://10.0.0.{name[-1]}:8008",
        load={"connections": 40},
    )


def _past(stage: Stage) -> None:
    ann = {"operation": "switchover-1", "by": "ann, HTTP API (10.0.0.9)", "reason": "new disks in node2"}
    stage.history = [
        change(1, None, "node1", ago(86_000), "first leader"),
        change(2, "node1", "node2", ago(60_000), timings={"vacant": 0.42}),
        change(3, "node2", "node3", ago(40_000), "switchover", timings={"vacant": 0.03}, **ann),
        change(4, "node3", "node1", ago(20_000), "broker hung", timings={"vacant": 0.58}),
        change(5, "node1", "node2", ago(7300), timings={"vacant": 0.39}),
    ]
    asked = [
        (
            OperationKind.ROLLING_RESTART,
            "node1, node2, node3",
            "bob",
            50_000,
            96,
            "all brokers were restarted",
        ),
        (OperationKind.SWITCHOVER, "node3", "ann, HTTP API (10.0.0.9)", 40_000, 0.4, "node3 leads"),
    ]
    stage.operations = [
        OperationEntry(
            id=f"operation-{before}",
            kind=kind,
            state=OperationState.DONE,
            target=target,
            by=by,
            requested=ago(before),
            ended=ago(before - took),
            outcome=outcome,
        )
        for kind, target, by, before, took, outcome in asked
    ]


def _carries(stage: Stage, *, blocked: bool = False) -> None:
    """Ten minutes of traffic, up to now."""
    now, samples = monotonic(), []
    for step in range(60):
        rate = 1180 + 90 * math.sin(step / 6) + 35 * math.sin(step * 1.7)
        if blocked and step > 52:
            rate = 0.0
        ready = round(60 + 40 * math.sin(step / 9))
        samples.append((now - (59 - step) * 10, Traffic(rate, rate * 0.99, ready, round(rate / 9), 118, 36)))
    stage.traffic = tuple(samples)


def well(stage: Stage) -> None:
    told = event(EventKind.MEMBER_UP, "node1", state="running")
    stage.show(group("node2", *map(_member, SITES), cluster=CLUSTER), told)


def failing_over(stage: Stage) -> None:
    stopped = _member("node2", MemberStatus.STOPPED, "its process has ended; it is started again", since=0.3)
    vacant = group(None, _member("node1"), stopped, _member("node3"), cluster=CLUSTER)
    stage.show(
        vacant,
        event(EventKind.MEMBER, "node2", state="stopped", reason="its process has ended"),
        event(EventKind.LEADER, "node2", state="vacant"),
    )


def alarm(stage: Stage) -> None:
    _carries(stage, blocked=True)
    alarmed = [_member(name, MemberStatus.ALARMED, ALARM, since=70) for name in SITES]
    stage.show(
        group("node2", *alarmed, cluster=CLUSTER),
        event(EventKind.MEMBER, "node2", state="alarmed", reason=ALARM),
    )


def zookeeper_away(stage: Stage) -> None:
    stage.zookeeper_away = True
    told = event(EventKind.ZOOKEEPER, "node1", state="disconnected", reason="ZooKeeper does not answer")
    stage.show(group("node2", *map(_member, SITES), cluster=CLUSTER), told, connected=False)


Scene = Callable[[Stage], None]
PICTURES: dict[str, tuple[Scene, str, dict[str, object]]] = {
    "well": (well, "all is well", {"width": 1440, "height": 1300}),
    "dark": (well, "all is well", {"width": 1440, "height": 1300, "color_scheme": "dark"}),
    "failing-over": (failing_over, "Nobody leads", {"width": 1440, "height": 900}),
    "alarm": (alarm, "alarmed", {"width": 1440, "height": 900}),
    "zookeeper-away": (zookeeper_away, "ZooKeeper does not answer", {"width": 1440, "height": 900}),
    "phone": (
        failing_over,
        "Nobody leads",
        {"width": 390, "height": 844, "color_scheme": "dark", "device_scale_factor": 2},
    ),
}


def take(browser: Chromium, name: str, folder: Path) -> None:
    """One picture: the page before, so that it has a past, then what the picture is of."""
    scene, said, window = PICTURES[name]
    stage = Stage()
    _past(stage)
    _carries(stage)
    well(stage)
    stage.start()
    well(stage)  # its event is heard from the start on
    try:
        page = browser.open(stage.url, **window)  # type: ignore[arg-type]
        says(page, "#timeline", "gap 0.39 s")
        says(page, "#operations", "all brokers were restarted")
        says(page, "#traffic", "published")
        scene(stage)
        says(page, "#lead", said)
        page.reload()
        says(page, "#lead", said)
        says(page, "#events", "member up")
        page.screenshot(path=folder / f"{name}.png")
    finally:
        browser.close_pages()
        stage.stop()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for name in PICTURES:
            take(browser, name, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
