"""The demo in containers, from the first check to the last container's end."""

import time
from collections.abc import Callable, Iterable, Sequence

from rabbitkeeper.compose.containers.errors import DemoError
from rabbitkeeper.compose.containers.project import FOLDER, Project
from rabbitkeeper.compose.containers.settings import Settings
from rabbitkeeper.compose.containers.stage import FAULTS, MEMBERS, ContainerStage
from rabbitkeeper.compose.containers.traffic import ContainerTraffic, RemoteTimeline
from rabbitkeeper.compose.demo.performance import perform
from rabbitkeeper.compose.demo.report import Report
from rabbitkeeper.compose.demo.scenario import Fault
from rabbitkeeper.compose.demo.screen import Screen, waiting

READY_TIMEOUT = 300.0  # seconds from the start of the containers until the group is whole
SETTINGS = FOLDER / ".env"


def chosen(names: Iterable[str]) -> tuple[Fault[ContainerStage], ...]:
    """The faults of these names; all of them for none.

    Raises:
        DemoError: there is no such fault.
    """
    known = {fault.name: fault for fault in FAULTS}
    for name in names:
        if name not in known:
            raise DemoError(f"there is no fault {name!r}; there are: {', '.join(known)}")
    return tuple(known[name] for name in names) or FAULTS


def write_settings() -> str:
    """Make ``compose/.env`` and the secrets beside it if they are not there; says where."""
    return f"settings are in {Settings.load(SETTINGS).file}, passwords in secrets/ beside it"


def take_down() -> str:
    """Remove what is there of the demo; says what was done."""
    project = Project()
    if not project.exists():
        return "nothing of the demo is running"
    project.down()
    return "the demo's containers, networks and volumes are removed; its images are left"


def run(
    screen: Screen,
    *,
    project: Project | None = None,
    settings: Settings | None = None,
    faults: Sequence[Fault[ContainerStage]] = FAULTS,
    minutes: float | None = None,
    seed: int | None = None,
    watch: Callable[[Report], None] | None = None,
) -> Report:
    """Run the demo and return what it found. Nothing is left of it, however it ends, but the images.

    Args:
        screen: where it is shown.
        project: nothing of it exists yet; None: the usual one.
        settings: what compose.yaml is filled in with; None: those of ``compose/.env``.
        faults: each is struck once on the leader.
        minutes: go on at random for so long.
        seed: of what is random.
        watch: is given the report, and then everything goes on until an interrupt.

    Raises:
        DemoError: something is missing, or did not start.
        RabbitKeeperError: the producer or the consumer ended with an error.
    """
    started = time.monotonic()
    project = project or Project()
    settings = settings or Settings.load(SETTINGS)
    project.check(settings)
    done = waiting(screen.say, "building the images, as far as they are not up to date")
    project.build(settings)
    done()
    try:
        done = waiting(screen.say, "starting three ZooKeepers, three brokers with agents, HAProxy, clients")
        traffic, timeline = start(project, settings)
        done()
        addresses = (
            f"dashboard {settings.url('API')}, management {settings.url('MANAGEMENT')}, "
            f"AMQP {settings.bind}:{settings.ports['RABBITKEEPER_AMQP_PORT']}"
        )
        screen.watch(traffic, timeline)
        screen.say(f"a producer and a consumer are at work; {addresses}")
        report = perform(
            ContainerStage(project, settings.agents),
            faults,
            traffic,
            timeline,
            screen,
            started=started,
            minutes=minutes,
            seed=seed,
        )
        if watch is not None:
            traffic.resume()
            screen.say(f"left running until Ctrl-C: {addresses}")
            screen.close()
            watch(report)
            _wait_for_end(project)
        return report
    finally:
        screen.close()
        project.down()


def start(project: Project, settings: Settings) -> tuple[ContainerTraffic, RemoteTimeline]:
    """Start everything, and wait until the group is whole and the clients are at work.

    Args:
        project: its images are built.
        settings: what compose.yaml is filled in with.

    Raises:
        DemoError: something did not start.
    """
    project.up(settings)
    try:
        timeline = RemoteTimeline(project, MEMBERS)
        await_whole(timeline, READY_TIMEOUT)
        traffic = ContainerTraffic(project)
        traffic.wait()
    except DemoError as error:
        raise DemoError(
            f"{error}\nThe containers' logs are in {project.save_logs()}: see what they say; "
            "on a busy host try again"
        ) from error
    return traffic, timeline


def await_whole(timeline: RemoteTimeline, timeout: float) -> None:
    """Wait until there is a leader and every member runs.

    Raises:
        DemoError: not in time, or the observer has ended.
    """
    deadline = time.monotonic() + timeout
    while not timeline.is_whole():
        timeline.check()
        if time.monotonic() > deadline:
            seen = {} if timeline.now is None else timeline.now.members
            states = ", ".join(f"{name}: {one.state}" for name, one in sorted(seen.items())) or "no member"
            raise DemoError(f"the group is not whole after {timeout:.0f} s: {states}")
        time.sleep(0.1)


def _wait_for_end(project: Project) -> None:
    """Until an interrupt, or until somebody else has taken the demo down."""
    try:
        while project.is_ours():
            time.sleep(1)
    except KeyboardInterrupt:
        pass
