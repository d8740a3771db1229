"""The Compose project: built and brought up with Compose, looked at and taken down through Docker's API.

Taking down needs no Compose file and no settings, only the label that Compose puts on everything it makes, so
it works also for what an interrupted or killed demo has left.
"""

import os
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker.errors

from rabbitkeeper.compose.containers import preflight
from rabbitkeeper.compose.containers.errors import DemoError
from rabbitkeeper.compose.containers.settings import Settings

FOLDER = Path(__file__).parents[1]
NAME = "rabbitkeeper"

_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_ENDPOINTS = 403  # the engine's answer about a network on which there is still a container
_DETACHED = 10.0  # seconds for it to take them off
_TAIL = 8  # lines of what Compose said when it failed


class Project:
    """The demo's containers, networks and volumes.

    Args:
        name: of the Compose project.
        client: of Docker's SDK; None: connect as the environment says.

    Raises:
        DemoError: no engine answers.
    """

    def __init__(self, name: str = NAME, client: Any = None) -> None:
        self.name = name
        self.client = preflight.connect() if client is None else client
        self._own: frozenset[str] = frozenset()  # ids of the containers that `up` has started

    def check(self, settings: Settings) -> None:
        """Everything that can be known to go wrong, before anything is started.

        Raises:
            DemoError: a sentence that says what to do.
        """
        if not (FOLDER.parent / "pyproject.toml").exists():
            raise DemoError(
                "the images are built from the project's source; clone the repository and run "
                "./dev demo --docker there"
            )
        preflight.check_compose()
        preflight.check_memory(int(self.client.info()["MemTotal"]))
        if self.exists():
            raise DemoError(
                "the demo is running already, or was left behind; rabbitkeeper demo --docker --down ends it"
            )
        preflight.check_ports(settings)

    def exists(self) -> bool:
        """Whether there is anything of it; a network alone is nothing."""
        containers, _, volumes = self._everything()
        return bool(containers or volumes)

    def build(self, settings: Settings, say: Callable[[str], None] = lambda _: None) -> None:
        """Build the images, or what is missing or out of date of them.

        Raises:
            DemoError: it failed, with what was said last.
        """
        self._compose(
            settings,
            "build",
            remedy="run it again (what was built is kept); if it fails in the same place, see that this "
            "machine reaches Debian's and Python's package servers",
            say=say,
        )

    def up(self, settings: Settings) -> None:
        """Start everything; returns when it is started, before it is ready.

        Raises:
            DemoError: it failed, with what was said last.
        """
        self._compose(settings, "up", "--detach", "--no-build", remedy="nothing of it is left running")
        self._own = frozenset(one.id for one in self.containers().values())

    def is_ours(self) -> bool:
        """Whether what ``up`` has started is there, not taken down, nor another of the same name."""
        return bool(self._own) and self._own == {one.id for one in self.containers().values()}

    def down(self) -> None:
        """Remove containers, networks and volumes, whatever state they are in. Images stay. Idempotent.

        If ``up`` was called and somebody has meanwhile taken down what it started and begun another demo of
        the same name, that one is left alone.
        """
        containers, networks, volumes = self._everything()
        if self._own and containers and self._own.isdisjoint(one.id for one in containers):
            return
        with ThreadPoolExecutor(max_workers=16) as pool:
            list(pool.map(lambda one: _gone(lambda: one.remove(force=True, v=True)), containers))
            list(pool.map(_network_gone, networks))
            list(pool.map(lambda one: _gone(one.remove), volumes))

    def containers(self) -> dict[str, Any]:
        """All containers by the service's name."""
        found = self.client.containers.list(all=True, ignore_removed=True, filters=self._filter())
        return {one.labels[_SERVICE]: one for one in found}

    def save_logs(self) -> Path:
        """Write what each container has said to a new folder, since it goes with the container."""
        folder = Path(tempfile.mkdtemp(prefix="rabbitkeeper.logs-"))
        for service, container in self.containers().items():
            (folder / f"{service}.log").write_bytes(container.logs())
        return folder

    def container(self, service: str) -> Any:
        """One container.

        Raises:
            DemoError: there is none.
        """
        found = self.containers().get(service)
        if found is None:
            raise DemoError(f"the container of {service} is gone; --down, and begin again")
        return found

    def network(self, name: str) -> Any:
        return self.client.networks.get(f"{self.name}_{name}")

    # -- inside

    def _filter(self) -> dict[str, str]:
        return {"label": f"{_PROJECT}={self.name}"}

    def _everything(self) -> tuple[list[Any], list[Any], list[Any]]:
        return (
            self.client.containers.list(all=True, ignore_removed=True, filters=self._filter()),
            self.client.networks.list(filters=self._filter()),
            self.client.volumes.list(filters=self._filter()),
        )

    def _compose(
        self, settings: Settings, *arguments: str, remedy: str, say: Callable[[str], None] = lambda _: None
    ) -> None:
        command = [
            *("docker", "compose", "--ansi", "never", "--progress", "plain"),
            *("--project-name", self.name, "--file", str(FOLDER / "compose.yaml"), *arguments),
        ]
        tail: deque[str] = deque(maxlen=_TAIL)
        with subprocess.Popen(
            command,
            env={**os.environ, **settings.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            if process.stdout is not None:
                for line in process.stdout:
                    tail.append(line.rstrip())
                    say(line.rstrip())
        if process.returncode != 0:
            said = "\n".join(line for line in tail if line)
            raise DemoError(f"docker compose {arguments[0]} failed; {remedy}:\n{said}")


def _network_gone(network: Any) -> None:
    """Remove it, when the engine has taken the last removed container off it.

    That can be a moment later. Engines of 20.10 can count one for ever that is gone, until they are started
    again: such a network is left, and Compose takes it for the next demo.
    """
    deadline = time.monotonic() + _DETACHED
    while True:
        try:
            return _gone(network.remove)
        except docker.errors.APIError as error:
            if error.status_code != _ENDPOINTS:
                raise
            if time.monotonic() >= deadline:
                network.reload()
                if network.attrs["Containers"]:
                    raise
                return None
        time.sleep(0.2)


def _gone(remove: Callable[[], None]) -> None:
    try:
        remove()
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if error.status_code != 409:  # somebody else is removing it at this moment
            raise
