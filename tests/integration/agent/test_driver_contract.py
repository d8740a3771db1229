"""What every driver keeps to, whatever it starts and ends the broker with.

``process`` starts a script as the server; ``systemd`` works on a stand-in for systemctl that runs the same
script as a real process; ``docker`` on a container with the same script, where an engine answers. With a real
RabbitMQ the first is tested in ``test_process_driver.py``. ``external`` can do only what its hooks can, and
has tests of its own below.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.agent.driver_harness import (
    DEAF,
    FAILS,
    HARNESSES,
    SERVES,
    DockerHarness,
    Harness,
    SystemdHarness,
    broker,
    docker,
    made,
    script,
    seen,
    started,
    until,
)

from rabbitkeeper.agent.broker.drivers import (
    BrokerDriver,
    BrokerNotOwned,
    BrokerProcess,
    BrokerStartFailed,
    BrokerStopFailed,
)
from rabbitkeeper.agent.config import (
    DockerConfig,
    ExternalConfig,
    HookConfig,
)
from rabbitkeeper.agent.rabbitmq.ctl import NodeNotRunning, RabbitmqCtlError, RabbitmqCtlTimeout
from rabbitkeeper.coordinator.model.errors import ConfigurationError


@pytest.fixture(params=HARNESSES)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    one = HARNESSES[request.param](tmp_path)
    yield one
    one.clear()


def test_before_the_first_start_there_is_nothing(harness: Harness) -> None:
    process = seen(harness.driver(SERVES))
    assert process == BrokerProcess(running=False)


def test_a_started_broker_is_seen_and_a_second_start_changes_nothing(harness: Harness) -> None:
    before = time.monotonic()
    driver = started(harness)
    process = driver.observe()
    assert process.running
    assert process.pid
    assert process.identity
    assert process.exited is None
    assert process.since is not None
    assert before - 1 <= process.since <= time.monotonic() + 1  # an engine's clock is the wall's
    driver.start()
    assert driver.observe().identity == process.identity


def test_an_orderly_stop_lets_it_end_by_itself(harness: Harness) -> None:
    driver = started(harness)
    driver.stop(30)
    process = driver.observe()
    assert process.running is False
    assert "exit code 0" in (process.exited or "")
    driver.stop(30)  # nothing is there to be stopped
    driver.kill()
    assert driver.observe() == process


def test_what_ignores_the_order_is_killed_when_the_time_is_over(harness: Harness) -> None:
    driver = started(harness, DEAF)
    driver.stop(0.5)
    assert driver.observe().running is False
    assert "SIGKILL" in (driver.observe().exited or "")


def test_one_that_hangs_still_runs_and_can_be_killed_and_started_again(harness: Harness) -> None:
    driver = started(harness)
    first = driver.observe()
    harness.freeze(driver)
    assert seen(harness.driver(SERVES)).identity == first.identity
    driver.kill("the broker hangs")
    assert driver.observe().running is False
    assert "SIGKILL" in (driver.observe().exited or "")
    driver.start()
    second = driver.observe()
    assert second.running
    assert second.exited is None
    assert second.identity != first.identity


def test_how_it_ended_is_told_with_its_last_lines(harness: Harness) -> None:
    driver = harness.driver(FAILS)
    driver.start()
    until(lambda: driver.observe().running is False, "it has ended")
    process = driver.observe()
    assert "exit code 7" in (process.exited or "")
    assert process.log_tail == ("one", "port is taken")
    assert process.identity is None


def test_another_driver_adopts_what_the_first_has_started(harness: Harness) -> None:
    first = started(harness)
    second = harness.driver(SERVES)
    assert seen(second).identity == first.observe().identity
    second.start()
    assert second.observe().identity == first.observe().identity
    second.stop(30)
    assert second.observe().running is False
    until(lambda: first.observe().running is False, "the first driver sees it, too")


# -- what cannot be asked


def test_a_systemctl_that_hangs_keeps_nobody_waiting(tmp_path: Path) -> None:
    harness = SystemdHarness(tmp_path)
    driver = harness.driver(SERVES)
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
    harness = DockerHarness()
    driver = made(broker("docker", docker=DockerConfig(container=harness.name)))
    with pytest.raises(BrokerStartFailed, match=rf"no container '{harness.name}'.*broker\.docker\.container"):
        driver.start()
    assert driver.observe().running is None


# -- tools inside a container


@pytest.fixture
def container() -> Iterator[DockerHarness]:
    harness = DockerHarness()
    yield harness
    harness.clear()


def test_tools_run_inside_the_container(container: DockerHarness, tmp_path: Path) -> None:
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
        driver.ctl.import_definitions({"users": [{"name": "x" * 99_988}]})
    assert "mode 644, read 9 more 100004" in str(caught.value)
    assert "exit code 65" in str(caught.value)


def test_a_tool_that_hangs_is_ended_inside_the_container(container: DockerHarness, tmp_path: Path) -> None:
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


def test_a_fenced_broker_is_gone_until_it_is_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RABBITKEEPER_LOCKED", raising=False)  # of ./dev, and no word to a hook
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
