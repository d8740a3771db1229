"""One container, over Docker's API: all the calls to Docker that there are, each with a deadline.

They are few, so that an agent can be given a filtered socket (``docs/operations.md`` lists them). The SDK's
low-level client is used because each of its methods is one call; it is imported when the first is made, since
only agents with the driver ``docker`` need it.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol, TypeVar

from rabbitkeeper.agent.broker.drivers.exec_stream import Response, exchange
from rabbitkeeper.agent.rabbitmq.runner import CommandNotRunnable, CommandTimedOut, Finished, NowhereToRun
from rabbitkeeper.coordinator.model.errors import ConfigurationError, RabbitKeeperError

Result = TypeVar("Result")

_KILLED = 137  # exit code: 128 + SIGKILL
_NOT_FOUND = (126, 127)  # exit codes of a program that cannot be run
_GRACE = 2.0  # seconds beyond a command's time until its end is not waited for any more
# The deadline goes with the command, because Docker cannot end one that it has begun: coreutils' and busybox'
# timeout kill its whole process group.
_WITH_DEADLINE = ("timeout", "-s", "KILL")
# Takes exactly as many bytes as there are: the end of a stream does not come through TLS and some proxies.
# Others may read it for the reason that ``runner.py`` gives.
_FED = ("sh", "-c", 'n=$1; shift; head -c "$n" | { chmod a+r /dev/stdin; exec "$@"; }', "sh")


class DockerUnavailable(RabbitKeeperError):
    """Docker does not answer, or refuses. Names where, and what it said."""


class NoContainer(DockerUnavailable):
    """There is no such container."""


class NotRunning(DockerUnavailable):
    """The container does not run, or is paused, and that is needed for what was asked."""


@dataclass(frozen=True, slots=True)
class ContainerState:
    """A container as ``inspect`` tells it.

    Attributes:
        id: of the container, not just its name.
        running: its first process is there; also while it is paused.
        restarting: Docker itself is about to start it again.
        pid: of its first process, as the engine's host counts; None while there is none.
        started: when it was last started, ISO 8601; a year 1 if never.
        exit_code: of its last end.
        error: why Docker could not start it, or "".
        out_of_memory: the kernel ended it for that.
    """

    id: str
    running: bool
    restarting: bool
    pid: int | None
    started: str
    exit_code: int
    error: str
    out_of_memory: bool


class StartedExec(Response, Protocol):
    """The response to the start of a command."""

    def raise_for_status(self) -> None: ...


class Engine(Protocol):
    """What is needed of the SDK's client; each method is one call. What comes back is Docker's JSON."""

    @property
    def base_url(self) -> str: ...

    @property
    def api_version(self) -> str: ...

    def inspect_container(self, container: str) -> Mapping[str, Any]: ...

    def start(self, container: str) -> object: ...

    def stop(self, container: str, *, timeout: int) -> object: ...

    def kill(self, container: str, *, signal: str) -> object: ...

    def logs(self, container: str, *, stream: bool, follow: bool, tail: int) -> bytes: ...

    def exec_create(
        self, container: str, cmd: Sequence[str], *, stdin: bool, user: str
    ) -> Mapping[str, str]: ...

    def exec_inspect(self, exec_id: str) -> Mapping[str, Any]: ...

    def post(
        self,
        url: str,
        *,
        json: Mapping[str, object],
        headers: Mapping[str, str],
        stream: bool,
        timeout: float,
    ) -> StartedExec: ...


class Container:
    """One container by its name.

    Args:
        name: or id.
        url: of the engine, as in ``unix:///run/docker.sock``; None: by the environment (``DOCKER_HOST`` and
            the like), else the usual socket.
        timeout: seconds for one call.
        user: as whom commands are run inside; None: the container's own.
    """

    def __init__(self, name: str, *, url: str | None, timeout: float, user: str | None = None) -> None:
        self.name = name
        self._url = url
        self._timeout = timeout
        self._user = user or ""
        self._sdk = sdk()
        self._client: Engine | None = None

    def inspect(self) -> ContainerState:
        """How it is.

        Raises:
            NoContainer, DockerUnavailable: see there.
        """
        found = self._call(lambda client: client.inspect_container(self.name))
        state = found["State"]
        return ContainerState(
            id=str(found["Id"]),
            running=bool(state["Running"]) and not state.get("Restarting"),
            restarting=bool(state.get("Restarting")),
            pid=int(state.get("Pid") or 0) or None,
            started=str(state.get("StartedAt", "")),
            exit_code=int(state.get("ExitCode", 0)),
            error=str(state.get("Error") or ""),
            out_of_memory=bool(state.get("OOMKilled")),
        )

    def start(self) -> None:
        """Start it; nothing happens if it runs.

        Raises:
            NoContainer, DockerUnavailable: see there.
        """
        self._call(lambda client: client.start(self.name))

    def stop(self, timeout: float) -> None:
        """Send it its stop signal, and SIGKILL after ``timeout`` seconds; returns when it is gone.

        Raises:
            NoContainer, DockerUnavailable: see there.
        """
        self._call(lambda client: client.stop(self.name, timeout=math.ceil(timeout)))

    def kill(self) -> None:
        """SIGKILL it, paused or not.

        Raises:
            NotRunning: there is nothing to kill.
            NoContainer, DockerUnavailable: see there.
        """
        self._call(lambda client: client.kill(self.name, signal="SIGKILL"))

    def log_tail(self, lines: int) -> tuple[str, ...]:
        """The last lines that it wrote.

        Raises:
            NoContainer, DockerUnavailable: see there.
        """
        written = self._call(lambda client: client.logs(self.name, stream=False, follow=False, tail=lines))
        return tuple(bytes(written).decode(errors="replace").splitlines()[-lines:])

    def run(self, command: Sequence[str], *, stdin: str = "", timeout: float) -> Finished:
        """Run a command inside; see :class:`~rabbitkeeper.agent.rabbitmq.runner.Runner`."""
        began = time.monotonic()
        fed = stdin.encode()
        feeding = [*_FED, str(len(fed))] if fed else []
        wrapped = [*_WITH_DEADLINE, str(math.ceil(timeout)), *feeding, *command]
        try:
            started = self._call(
                lambda client: client.exec_create(self.name, wrapped, stdin=bool(fed), user=self._user)
            )
            output, errors = self._exchange(started["Id"], fed, began + timeout + _GRACE)
            code = self._exit_code(started["Id"], began + timeout + _GRACE)
        except DockerUnavailable as error:
            raise NowhereToRun(str(error)) from None
        if code == _KILLED and time.monotonic() >= began + timeout:
            raise CommandTimedOut
        finished = Finished(code, output, errors)
        if code in _NOT_FOUND:
            raise CommandNotRunnable(f"in container {self.name}: {finished.said}")
        return finished

    # -- inside

    def _exchange(self, exec_id: str, stdin: bytes, deadline: float) -> tuple[str, str]:
        """Begin an exec, write ``stdin`` and read both streams to their end."""
        response = self._call(lambda client: self._begin(client, exec_id))
        try:
            output, errors = exchange(response, stdin, deadline)
        except TimeoutError:
            raise CommandTimedOut from None
        except OSError as error:
            raise DockerUnavailable(f"the connection to a command in {self.name} broke: {error}") from None
        finally:
            response.close()
        return output.decode(errors="replace"), errors.decode(errors="replace")

    def _begin(self, client: Engine, exec_id: str) -> StartedExec:
        """Start an exec; its streams are the connection of the response."""
        # As the SDK does it in methods of its own, with the headers that a user has configured for Docker.
        configured = self._sdk.utils.config.load_general_config().get("HttpHeaders") or {}
        response = client.post(
            f"{client.base_url}/v{client.api_version}/exec/{exec_id}/start",
            json={"Tty": False, "Detach": False},
            headers={**configured, "Connection": "Upgrade", "Upgrade": "tcp"},
            stream=True,
            timeout=self._timeout,
        )
        try:
            response.raise_for_status()
        except OSError as error:  # requests' HTTPError is one
            raise self._sdk.errors.create_api_error_from_http_exception(error) from None
        return response

    def _exit_code(self, exec_id: str, deadline: float) -> int:
        while True:
            state = self._call(lambda client: client.exec_inspect(exec_id))
            if not state["Running"] and state["ExitCode"] is not None:
                return int(state["ExitCode"])
            if time.monotonic() > deadline:
                raise CommandTimedOut
            time.sleep(0.02)  # its streams have ended: it is all but gone

    def _call(self, method: Callable[[Engine], Result]) -> Result:
        sdk = self._sdk
        try:
            return method(self._connected())
        except sdk.errors.NotFound as error:
            raise NoContainer(
                f"Docker has no container {self.name!r} ({error.explanation}); create it, or correct "
                "broker.docker.container"
            ) from None
        except sdk.errors.APIError as error:
            kind = NotRunning if error.status_code == 409 else DockerUnavailable
            raise kind(f"Docker refused for container {self.name}: {error.explanation}") from None
        except (sdk.errors.DockerException, OSError) as error:  # what requests raises is an OSError
            self._client = None
            said = " ".join(str(error).split())[:200]
            raise DockerUnavailable(f"Docker does not answer at {self._where()}: {said}") from None

    def _connected(self) -> Engine:
        # Two threads may both make one here; either will do.
        client = self._client
        if client is None:
            given = {} if self._url is not None else self._sdk.utils.kwargs_from_env()
            if self._url is not None:
                given["base_url"] = self._url
            client = self._client = self._sdk.APIClient(version="auto", timeout=self._timeout, **given)
        return client

    def _where(self) -> str:
        given = self._url or self._sdk.utils.kwargs_from_env().get("base_url")
        return str(given or "its usual socket")


def sdk() -> ModuleType:
    """The docker SDK.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        for part in ("docker.errors", "docker.utils.config"):
            import_module(part)
        return import_module("docker")
    except ImportError:
        raise ConfigurationError(
            "broker.driver is 'docker', which needs the docker SDK, and it is not installed; "
            "pip install 'rabbitkeeper[docker]'"
        ) from None
