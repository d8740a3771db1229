"""What every driver keeps to, whatever it starts and ends the broker with.

``process`` starts a script as the server; ``systemd`` works on a stand-in for systemctl that runs the same
script as a real process; ``docker`` on a container with the same script, where an engine answers. With a real
RabbitMQ the first is tested in ``test_process_driver.py``. ``external`` can do only what its hooks can, and
has tests of its own below.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from pydantic import SecretStr

from rabbitkeeper.agent.broker.drivers import (
    BrokerDriver,
    BrokerNotOwned,
    BrokerProcess,
    BrokerStartFailed,
    BrokerStopFailed,
    driver_for,
)
from rabbitkeeper.agent.config import (
    AmqpConfig,
    BrokerConfig,
    DockerConfig,
    ExternalConfig,
    HookConfig,
    ProcessConfig,
    SystemdConfig,
)
from rabbitkeeper.agent.rabbitmq.ctl import NodeNotRunning, RabbitmqCtlError, RabbitmqCtlTimeout
from rabbitkeeper.coordinator.model.errors import ConfigurationError

SERVES = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
FAILS = "echo one; echo port is taken; exit 7"
IMAGE = "debian:trixie-slim"


def broker(driver: str, **section: object) -> BrokerConfig:
    amqp = AmqpConfig(username="keeper", password=SecretStr("s3cret"))
    given = {"driver": driver, "node": "rabbit@host1", "amqp": amqp, **section}
    return BrokerConfig.model_validate(given)


def made(config: BrokerConfig) -> BrokerDriver:
    return driver_for(config, group="orders", member="node1")


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Stage(Protocol):
    """A place where one kind of driver has a broker."""

    def driver(self, does: str) -> BrokerDriver:
        """A driver of the broker; ``does`` is the server's script, the same for all drivers of a test."""

    def freeze(self, driver: BrokerDriver) -> None:
        """Have the broker hang."""

    def log(self) -> str:
        """What it has written."""

    def clear(self) -> None: ...


class ProcessStage:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drivers: list[BrokerDriver] = []

    def driver(self, does: str) -> BrokerDriver:
        process = ProcessConfig(server=script(self.folder / "server", does), directory=self.folder / "node")
        self.drivers.append(made(broker("process", process=process)))
        return self.drivers[-1]

    def freeze(self, driver: BrokerDriver) -> None:
        os.kill(seen(driver).pid or 0, signal.SIGSTOP)

    def log(self) -> str:
        output = self.folder / "node" / "log" / "output.log"
        return output.read_text() if output.exists() else ""

    def clear(self) -> None:
        for driver in self.drivers:
            driver.kill()


class SystemdStage(ProcessStage):
    def driver(self, does: str) -> BrokerDriver:
        script(self.folder / "unit", does)
        systemctl = self.folder / "systemctl"
        if not systemctl.exists():
            source = Path(__file__).with_name("stand_in_systemctl.py").read_text()
            systemctl.write_text(source.replace("#!/usr/bin/env python3", f"#!{sys.executable}", 1))
            systemctl.chmod(0o755)
        self.drivers.append(made(broker("systemd", systemd=SystemdConfig(systemctl=systemctl, timeout=60.0))))
        return self.drivers[-1]

    def log(self) -> str:
        journal = self.folder / "journal"
        return journal.read_text() if journal.exists() else ""


class DockerStage:
    def __init__(self) -> None:
        why_not = no_engine()
        if why_not is not None:
            pytest.skip(why_not)
        self.name = f"rabbitkeeper-test-{uuid.uuid4().hex[:8]}"
        self.made = False

    def driver(self, does: str) -> BrokerDriver:
        if not self.made:
            docker("create", "--name", self.name, IMAGE, "sh", "-c", does)
            self.made = True
        return made(broker("docker", docker=DockerConfig(container=self.name, timeout=60.0)))

    def freeze(self, driver: BrokerDriver) -> None:
        docker("pause", self.name)

    def log(self) -> str:
        return docker("logs", self.name)

    def clear(self) -> None:
        if self.made:
            docker("rm", "--force", "--volumes", self.name)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def no_engine() -> str | None:
    """Why there is nothing to test the driver ``docker`` with; None if there is."""
    if shutil.which("docker") is None:
        return "no docker command here"
    asked = ["docker", "image", "inspect", IMAGE]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    return None if done.returncode == 0 else f"no engine with the image {IMAGE}: {done.stderr.strip()}"


@pytest.fixture(params=["process", "systemd", "docker"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    stages: dict[str, Callable[[], Stage]] = {
        "process": lambda: ProcessStage(tmp_path),
        "systemd": lambda: SystemdStage(tmp_path),
        "docker": DockerStage,
    }
    one = stages[request.param]()
    yield one
    one.clear()


def seen(driver: BrokerDriver) -> BrokerProcess:
    """What is seen, once anything is: some drivers look from a thread of their own."""
    until(lambda: driver.observe().running is not None, "something is seen")
    return driver.observe()


def started(stage: Stage, does: str = SERVES) -> BrokerDriver:
    driver = stage.driver(does)
    driver.start()
    until(lambda: "ready" in stage.log(), "the server has come up")
    return driver


def test_before_the_first_start_there_is_nothing(stage: Stage) -> None:
    process = seen(stage.driver(SERVES))
    assert process == BrokerProcess(running=False)


def test_a_started_broker_is_seen_and_a_second_start_changes_nothing(stage: Stage) -> None:
    before = time.monotonic()
    driver = started(stage)
    process = driver.observe()
    assert process.running
    assert process.pid
    assert process.identity
    assert process.exited is None
    assert process.since is not None
    assert before - 1 <= process.since <= time.monotonic() + 1  # an engine's clock is the wall's
    driver.start()
    assert driver.observe().identity == process.identity


def test_an_orderly_stop_lets_it_end_by_itself(stage: Stage) -> None:
    driver = started(stage)
    driver.stop(30)
    process = driver.observe()
    assert process.running is False
    assert "exit code 0" in (process.exited or "")
    driver.stop(30)  # nothing is there to be stopped
    driver.kill()
    assert driver.observe() == process


def test_what_ignores_the_order_is_killed_when_the_time_is_over(stage: Stage) -> None:
    driver = started(stage, DEAF)
    driver.stop(0.5)
    assert driver.observe().running is False
    assert "SIGKILL" in (driver.observe().exited or "")


def test_one_that_hangs_still_runs_and_can_be_killed_and_started_again(stage: Stage) -> None:
    driver = started(stage)
    first = driver.observe()
    stage.freeze(driver)
    assert seen(stage.driver(SERVES)).identity == first.identity
    driver.kill("the broker hangs")
    assert driver.observe().running is False
    assert "SIGKILL" in (driver.observe().exited or "")
    driver.start()
    second = driver.observe()
    assert second.running
    assert second.exited is None
    assert second.identity != first.identity


def test_how_it_ended_is_told_with_its_last_lines(stage: Stage) -> None:
    driver = stage.driver(FAILS)
    driver.start()
    until(lambda: driver.observe().running is False, "it has ended")
    process = driver.observe()
    assert "exit code 7" in (process.exited or "")
    assert process.log_tail == ("one", "port is taken")
    assert process.identity is None


def test_another_driver_adopts_what_the_first_has_started(stage: Stage) -> None:
    first = started(stage)
    second = stage.driver(SERVES)
    assert seen(second).identity == first.observe().identity
    second.start()
    assert second.observe().identity == first.observe().identity
    second.stop(30)
    assert second.observe().running is False
    until(lambda: first.observe().running is False, "the first driver sees it, too")


# -- what cannot be asked


def test_a_systemctl_that_hangs_keeps_nobody_waiting(tmp_path: Path) -> None:
    stage = SystemdStage(tmp_path)
    driver = stage.driver(SERVES)
    (tmp_path / "hang").touch()
    try:
        assert driver.observe() == BrokerProcess(running=None)
        until((tmp_path / "hanging").exists, "systemctl is asked")
        assert driver.observe() == BrokerProcess(running=None)
    finally:
        (tmp_path / "hang").unlink()  # and so it ends


def test_an_engine_that_does_not_answer_keeps_nobody_waiting(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "engine"))
        engine.listen()
        settings = DockerConfig(container="rabbit1", url=f"unix://{tmp_path}/engine", timeout=60.0)
        driver = made(broker("docker", docker=settings))
        assert driver.observe() == BrokerProcess(running=None)
        connection, _ = engine.accept()
        with connection:
            assert connection.recv(4) == b"GET "
            assert driver.observe() == BrokerProcess(running=None)


def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    driver = made(broker("docker", docker=DockerConfig(container="rabbit1", url=f"unix://{tmp_path}/none")))
    with pytest.raises(BrokerStartFailed, match=rf"does not answer at unix://{tmp_path}/none"):
        driver.start()
    with pytest.raises(BrokerStopFailed, match="does not answer"):
        driver.kill()
    with pytest.raises(NodeNotRunning, match="does not answer"):
        driver.ctl.cluster_status()


def test_a_container_that_is_not_there_is_named() -> None:
    stage = DockerStage()
    driver = made(broker("docker", docker=DockerConfig(container=stage.name)))
    with pytest.raises(BrokerStartFailed, match=rf"no container '{stage.name}'.*broker\.docker\.container"):
        driver.start()
    assert driver.observe().running is None


# -- tools inside a container


@pytest.fixture
def container() -> Iterator[DockerStage]:
    stage = DockerStage()
    yield stage
    stage.clear()


def test_tools_run_inside_the_container(container: DockerStage, tmp_path: Path) -> None:
    driver = container.driver(SERVES)
    with pytest.raises(NodeNotRunning, match="not running"):
        driver.ctl.cluster_status()
    driver.start()
    with pytest.raises(RabbitmqCtlError, match=rf"{container.name}.*broker\.rabbitmqctl"):
        driver.ctl.cluster_status()
    # A tool that says what it was given: its output is the error's reason.
    says = 'echo "mode $(stat -Lc %a /dev/stdin), read $(head -c 9 | wc -c) more $(wc -c)" >&2'
    tool = script(tmp_path / "rabbitmqctl", f"{says}; exit 65")
    docker("cp", str(tool), f"{container.name}:/usr/bin/rabbitmqctl")
    with pytest.raises(RabbitmqCtlError) as caught:
        driver.ctl.import_definitions({"users": [{"name": "x" * 100_000}]})
    assert "mode 644, read 9 more 100004" in str(caught.value)
    assert "exit code 65" in str(caught.value)


def test_a_tool_that_hangs_is_ended_inside_the_container(container: DockerStage, tmp_path: Path) -> None:
    driver = container.driver(SERVES)
    driver.start()
    tool = script(tmp_path / "rabbitmqctl", "exec sleep 3333")
    docker("cp", str(tool), f"{container.name}:/usr/bin/rabbitmqctl")
    driver.ctl._timeout = 1.0
    with pytest.raises(RabbitmqCtlTimeout):
        driver.ctl.cluster_status()
    until(lambda: "3333" not in docker("top", container.name), "the tool has ended")


# -- external


def external(tmp_path: Path, **hooks: str) -> BrokerDriver:
    """A driver whose hooks are scripts; each writes its environment and then does what is given."""
    told = 'env | grep ^RABBITKEEPER | sort >> "${0%/*}/told"'
    commands = {
        name: HookConfig(command=[str(script(tmp_path / name, f"{told}\n{does}")), "host1"], timeout=5.0)
        for name, does in hooks.items()
    }
    return made(broker("external", external=ExternalConfig(**commands)))


def test_without_hooks_nothing_is_touched() -> None:
    driver = made(broker("external"))
    assert (driver.can_start, driver.can_stop, driver.can_kill) == (False, False, False)
    assert driver.observe() == BrokerProcess(running=None)
    touches: tuple[Callable[[], None], ...] = (driver.start, lambda: driver.stop(1), driver.kill)
    for touch in touches:
        with pytest.raises(BrokerNotOwned, match="rabbit@host1"):
            touch()


def test_a_fenced_broker_is_gone_until_it_is_restarted(tmp_path: Path) -> None:
    driver = external(tmp_path, fence="kill -KILL $(cat ${0%/*}/pid)", restart=f'echo "$1" > {tmp_path}/up')
    assert (driver.can_start, driver.can_stop, driver.can_kill) == (True, False, True)
    with subprocess.Popen(["sleep", "600"]) as its:
        (tmp_path / "pid").write_text(str(its.pid))
        before = driver.observe()
        os.kill(its.pid, signal.SIGSTOP)
        driver.kill("the broker hangs")
        assert its.wait(10) == -signal.SIGKILL
    assert driver.observe().running is False
    assert "fenced" in (driver.observe().exited or "")
    assert (tmp_path / "told").read_text().splitlines() == [
        "RABBITKEEPER_GROUP=orders",
        "RABBITKEEPER_MEMBER=node1",
        "RABBITKEEPER_NODE=rabbit@host1",
        "RABBITKEEPER_REASON=the broker hangs",
    ]
    driver.start("the broker is not running")
    assert (tmp_path / "up").read_text() == "host1\n"
    after = driver.observe()
    assert after.running is None
    assert after.identity != before.identity


def test_with_a_fence_alone_it_is_others_who_restart_it(tmp_path: Path) -> None:
    driver = external(tmp_path, fence="true")
    driver.kill("the broker hangs")
    assert driver.observe() == BrokerProcess(running=None)


def test_a_hook_that_fails_says_why(tmp_path: Path) -> None:
    driver = external(tmp_path, fence="echo no such outlet >&2; exit 3")
    with pytest.raises(BrokerStopFailed, match=r"broker\.external\.fence .* exit code 3: no such outlet"):
        driver.kill()
    assert driver.observe().running is None


def test_a_hook_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    driver = external(tmp_path, restart=f"sleep 600 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(BrokerStartFailed, match=r"broker\.external\.restart .* within 5 s"):
        driver.start()
    child = int((tmp_path / "child").read_text())
    until(lambda: not alive(child), "its child has ended")


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in ("Z", "X")


def test_the_docker_sdk_is_needed_for_docker_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)  # an agent installed without the extra
    made(broker("external"))
    with pytest.raises(ConfigurationError, match=r"pip install 'rabbitkeeper\[docker\]'"):
        made(broker("docker", docker=DockerConfig(container="rabbit1")))
