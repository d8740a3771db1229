"""The agent's child: started once, found again, ended whatever state it is in.

Most of it needs no RabbitMQ: what matters is a process, so a script stands in for the server.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import pytest
from pydantic import SecretStr
from support.waiting import PATIENCE

from rabbitkeeper.agent.broker.drivers import output
from rabbitkeeper.agent.broker.drivers.process import ProcessDriver
from rabbitkeeper.agent.broker.drivers.process_id import ProcessId
from rabbitkeeper.agent.config import AmqpConfig, BrokerConfig, ManagementConfig, ProcessConfig
from rabbitkeeper.agent.model.observation import Load, ManagementFacts, NodeState
from rabbitkeeper.agent.rabbitmq import recommended
from rabbitkeeper.agent.rabbitmq.management.client import ManagementClient, ManagementSettings
from rabbitkeeper.agent.rabbitmq.management.poller import Poller
from rabbitkeeper.agent.rabbitmq.versions import version_of
from rabbitkeeper.compose.local import Local, installed
from rabbitkeeper.compose.local.lean import lean_server
from rabbitkeeper.coordinator.model.errors import ConfigurationError

SERVES = "echo booted; exec sleep 600"


def config(directory: Path, server: Path, **process: object) -> BrokerConfig:
    return BrokerConfig(
        driver="process",
        node="rabbit@localhost",
        amqp=AmqpConfig(username="keeper", password=SecretStr("s3cret")),
        process=ProcessConfig.model_validate({"server": server, "directory": directory, **process}),
    )


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., ProcessDriver]]:
    """Makes drivers of one broker whose server is a shell script."""
    made: list[ProcessDriver] = []

    def driver(script: str = SERVES) -> ProcessDriver:
        server = tmp_path / "rabbitmq server"  # a path with a blank in it
        server.write_text(f"#!/bin/sh\n{script}\n")
        server.chmod(0o755)
        made.append(ProcessDriver(config(tmp_path / "node 1", server)))
        return made[-1]

    yield driver
    for each in made:
        each.kill()


def said(tmp_path: Path) -> str:
    """The first line that the server writes; a script writes it when it has come so far."""
    output = tmp_path / "node 1" / "log" / "output.log"
    deadline = time.monotonic() + PATIENCE
    while not output.exists() or not output.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return output.read_text().strip()


def ended(driver: ProcessDriver) -> None:
    deadline = time.monotonic() + PATIENCE
    while driver.observe().running:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_before_the_first_start_there_is_nothing(make: Callable[..., ProcessDriver]) -> None:
    process = make().observe()
    assert not process.running
    assert process.exited is None


def test_a_started_broker_is_seen_with_its_age(make: Callable[..., ProcessDriver]) -> None:
    driver, before = make(), time.monotonic()
    driver.start()
    process = driver.observe()
    assert process.running
    assert process.pid is not None
    assert process.since is not None
    assert before - 0.05 <= process.since <= time.monotonic()
    assert os.getsid(process.pid) == process.pid


def test_a_second_start_changes_nothing(make: Callable[..., ProcessDriver]) -> None:
    driver = make()
    driver.start()
    first = driver.observe().pid
    driver.start()
    assert driver.observe().pid == first


def test_the_next_agent_adopts_the_broker(make: Callable[..., ProcessDriver]) -> None:
    first = make()
    first.start()
    successor = make()
    successor.start()  # so soon that the child may not have recorded yet who it is
    assert successor.observe().pid == first.observe().pid
    successor.stop(5)
    assert not successor.observe().running
    assert "adopted" in (successor.observe().exited or "")


def test_a_pid_file_of_another_process_is_not_believed(
    make: Callable[..., ProcessDriver], tmp_path: Path
) -> None:
    bystander = subprocess.Popen(["sleep", "600"])
    its = ProcessId.of(bystander.pid)
    assert its is not None
    run = tmp_path / "node 1" / "run"
    run.mkdir(parents=True)
    (run / "broker").write_text(f"{its.pid} {its.started - 1} {its.boot}\n")  # the pid was used again
    driver = make()
    assert not driver.observe().running
    driver.kill()
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


@pytest.mark.parametrize("damage", ["", "12", "x y z"])
def test_a_damaged_pid_file_is_no_broker(
    make: Callable[..., ProcessDriver], tmp_path: Path, damage: str
) -> None:
    run = tmp_path / "node 1" / "run"
    run.mkdir(parents=True)
    (run / "broker").write_text(damage)
    assert not make().observe().running


def test_how_it_ended_is_told_with_its_last_lines(make: Callable[..., ProcessDriver]) -> None:
    driver = make("echo one; echo port is taken; exit 7")
    driver.start()
    ended(driver)
    process = driver.observe()
    assert "exit code 7" in (process.exited or "")
    assert process.log_tail == ("one", "port is taken")


def test_the_last_lines_are_of_the_last_server(make: Callable[..., ProcessDriver]) -> None:
    driver = make("echo started once; exit 1")
    driver.start()
    ended(driver)
    make("echo started twice; exit 1")  # the same server file
    driver.start()
    ended(driver)
    assert driver.observe().log_tail == ("started twice",)


def test_a_killed_broker_is_told_by_its_signal(make: Callable[..., ProcessDriver]) -> None:
    driver = make()
    driver.start()
    os.kill(driver.observe().pid or 0, signal.SIGKILL)
    ended(driver)
    assert "SIGKILL" in (driver.observe().exited or "")


def test_a_stopped_process_is_killed_with_all_of_its_group(
    make: Callable[..., ProcessDriver], tmp_path: Path
) -> None:
    driver = make("sleep 600 & echo $!; exec sleep 600")
    driver.start()
    pid = driver.observe().pid or 0
    helper = int(said(tmp_path))
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    driver.kill()
    assert time.monotonic() - started < 60, "the helper sleeps for 600 s"
    assert not driver.observe().running
    found = ProcessId.of(helper)
    assert found is None or found.wait(PATIENCE)


def test_an_orderly_stop_reaches_a_stopped_process_too(
    make: Callable[..., ProcessDriver], tmp_path: Path
) -> None:
    driver = make("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    driver.start()
    assert said(tmp_path) == "ready"
    os.kill(driver.observe().pid or 0, signal.SIGSTOP)
    driver.stop(10)
    assert "exit code 0" in (driver.observe().exited or "")


def test_what_ignores_sigterm_is_killed_when_the_time_is_over(
    make: Callable[..., ProcessDriver], tmp_path: Path
) -> None:
    driver = make("trap '' TERM; echo deaf; while :; do sleep 0.05; done")
    driver.start()
    assert said(tmp_path) == "deaf"
    driver.stop(0.2)
    assert "SIGKILL" in (driver.observe().exited or "")


def test_a_start_after_an_end_is_a_new_process(make: Callable[..., ProcessDriver]) -> None:
    driver = make()
    driver.start()
    first = driver.observe().pid
    driver.kill()
    driver.start()
    second = driver.observe()
    assert second.running
    assert second.pid != first
    assert second.exited is None


def test_what_it_writes_without_end_is_kept_to_a_size(
    make: Callable[..., ProcessDriver], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "MOST", 20_000)
    monkeypatch.setattr(output, "KEPT", 5_000)
    monkeypatch.setattr("rabbitkeeper.agent.broker.drivers.process._TRIM_EVERY", 0.0)
    driver = make("i=0; while :; do i=$((i+1)); echo line $i; done")
    driver.start()
    file = tmp_path / "node 1" / "log" / "output.log"
    emptied, last = 0, 0
    deadline = time.monotonic() + PATIENCE
    while emptied < 3:
        assert time.monotonic() < deadline
        assert driver.observe().running
        kept = file.with_name("output.log.1")
        newest = int(kept.read_text().split()[-1]) if kept.exists() else 0
        emptied, last = emptied + (newest > last), newest
    assert kept.stat().st_size == 5_000
    assert file.read_bytes()[:4] in (b"", b"line")  # no hole where the writer was


def test_a_missing_server_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"broker\.process\.server is '/no/such'"):
        ProcessDriver(config(tmp_path, Path("/no/such")))


def test_the_packages_wrapper_is_refused(tmp_path: Path) -> None:
    wrapper = tmp_path / "rabbitmq-script-wrapper"
    wrapper.write_text("#!/bin/sh\n")
    wrapper.chmod(0o755)
    link = tmp_path / "rabbitmq-server"
    link.symlink_to(wrapper)
    with pytest.raises(ConfigurationError, match="wrapper"):
        ProcessDriver(config(tmp_path, link))


@pytest.mark.parametrize("content", [None, "\n"])
def test_a_cookie_that_is_not_there_names_the_key(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "cookie").write_text(content)
    with pytest.raises(ConfigurationError, match=r"broker\.process\.cookie_file"):
        ProcessDriver(config(tmp_path, Path("/bin/true"), cookie_file=tmp_path / "cookie"))


def polled(broker: BrokerConfig, version: str) -> ManagementFacts:
    """What the management API says, which the driver has had the broker open; its plugin comes up last."""
    assert broker.management is not None
    settings = ManagementSettings(broker.management.address, ("keeper", "s3cret"))
    client = ManagementClient(settings)
    poller = Poller(
        settings, broker.node, protocols=("amqp",), version=lambda: version, wake=lambda: None, interval=1.0
    )
    deadline = time.monotonic() + PATIENCE
    try:
        while (facts := poller.poll(client)).load is None:
            assert time.monotonic() < deadline, facts
            time.sleep(0.2)
        return facts
    finally:
        client.close()


@pytest.mark.rabbitmq
def test_a_real_broker_survives_its_agent_and_ends_hung(broker: Local, tmp_path: Path) -> None:
    """Boots a broker of its own beside the shared one, in the shared one's Erlang surroundings."""
    shared = broker.settings("node1")
    port = broker.reserve_port()
    environment = {**shared.environment, "RABBITMQ_DIST_PORT": str(broker.reserve_port())}
    its = BrokerConfig(
        driver="process",
        node="other@localhost",
        amqp=AmqpConfig(port=port, username="keeper", password=SecretStr("s3cret")),
        process=ProcessConfig(
            server=lean_server(installed.rabbitmq_server(), tmp_path / "rabbitmq", ["rabbitmq_management"]),
            directory=tmp_path,
            environment=environment,
            config=shared.config,
        ),
        management=ManagementConfig(port=broker.reserve_port()),
    )
    driver = ProcessDriver(its)
    try:
        driver.start()
        pid = driver.observe().pid
        parameters = pika.ConnectionParameters(
            port=port, credentials=pika.PlainCredentials("keeper", "s3cret")
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                pika.BlockingConnection(parameters).close()
                break
            except pika.exceptions.AMQPConnectionError:
                assert driver.observe().running, driver.observe().log_tail
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert Path(f"/proc/{pid}/comm").read_text().strip() == "beam.smp"
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"s3cret" not in arguments
        successor = ProcessDriver(its)
        assert successor.observe().pid == pid
        assert successor.ctl.cluster_status().running == {"other@localhost"}
        version, found = successor.ctl.parameters(recommended.parameters())
        known = version_of(version)
        assert known is not None
        assert set(found) == set(recommended.parameters())
        assert recommended.deviations(known, found) == (), "it runs with what is recommended"
        assert successor.ctl.node_state() is NodeState.SERVING
        with_load = polled(its, version)
        assert with_load == ManagementFacts(load=Load(connections=0, classic_queues=0))
        os.kill(pid or 0, signal.SIGSTOP)
        successor.kill()
        assert not successor.observe().running
        deadline = time.monotonic() + PATIENCE
        while driver.observe().running:  # its own wait for the child may come a moment later
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        driver.kill()
