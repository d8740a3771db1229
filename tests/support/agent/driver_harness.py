"""Where a broker's driver is tested: a place for one broker, with what freezes it and what it has written."""

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from pydantic import SecretStr

from rabbitkeeper.agent.broker.drivers import BrokerDriver, BrokerProcess, driver_for
from rabbitkeeper.agent.config import AmqpConfig, BrokerConfig, DockerConfig, ProcessConfig, SystemdConfig

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


class Harness(Protocol):
    """A place where one kind of driver has a broker."""

    def driver(self, does: str) -> BrokerDriver:
        """A driver of the broker; ``does`` is the server's script, the same for all drivers of a test."""

    def freeze(self, driver: BrokerDriver) -> None:
        """Have the broker hang."""

    def log(self) -> str:
        """What it has written."""

    def clear(self) -> None: ...


class ProcessHarness:
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


class SystemdHarness(ProcessHarness):
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


class DockerHarness:
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


# By the name of the driver; a new one is tested by what it adds here.
HARNESSES: dict[str, Callable[[Path], Harness]] = {
    "process": ProcessHarness,
    "systemd": SystemdHarness,
    "docker": lambda folder: DockerHarness(),
}


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def no_engine() -> str | None:
    """Why there is nothing to test the driver ``docker`` with; None if there is."""
    if shutil.which("docker") is None:
        return "no docker command here"
    asked = ["docker", "image", "inspect", IMAGE]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    return None if done.returncode == 0 else f"no engine with the image {IMAGE}: {done.stderr.strip()}"


def seen(driver: BrokerDriver) -> BrokerProcess:
    """What is seen, once anything is: some drivers look from a thread of their own."""
    until(lambda: driver.observe().running is not None, "something is seen")
    return driver.observe()


def started(harness: Harness, does: str = SERVES) -> BrokerDriver:
    driver = harness.driver(does)
    driver.start()
    until(lambda: "ready" in harness.log(), "the server has come up")
    return driver
