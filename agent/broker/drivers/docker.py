"""The driver ``docker``: the broker in a container of its own, the agent beside it.

A paused container counts as running: its broker hangs, as the probe will say, and can be killed. The tools
are run inside the container, where the Erlang cookie is.
"""

import contextlib
import datetime
import signal
import threading
import time
from collections.abc import Callable

from rabbitkeeper.agent.broker.drivers.base import BrokerProcess, BrokerStartFailed, BrokerStopFailed
from rabbitkeeper.agent.broker.drivers.container import (
    Container,
    ContainerState,
    DockerUnavailable,
    NotRunning,
)
from rabbitkeeper.agent.broker.drivers.ending import TAIL, how_it_ended
from rabbitkeeper.agent.broker.drivers.watcher import Watcher
from rabbitkeeper.agent.config import BrokerConfig
from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtl
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.coordinator.model.errors import ConfigurationError

_LOOK_EVERY = 1.0  # seconds: what ends is noticed by the broken connection before that
_GONE_WITHIN = 10.0  # seconds from SIGKILL to the end


class DockerDriver:
    """Starts, watches and ends the one container that a broker runs in. It never creates or removes any.

    Args:
        config: of the broker, with driver ``docker``.

    Raises:
        ConfigurationError: the docker SDK is missing.
    """

    name = "docker"
    can_start = True
    can_stop = True
    can_kill = True

    def __init__(self, config: BrokerConfig) -> None:
        docker = config.docker
        if docker is None:
            raise ConfigurationError("broker.docker is missing, and driver docker needs it")
        self._container = Container(
            docker.container, url=docker.url, timeout=docker.timeout, user=docker.user
        )
        self.ctl = RabbitmqCtl(config.rabbitmqctl or "rabbitmqctl", config.node, self._container)
        self._changing = threading.Lock()  # one start, stop or kill at a time
        self._watcher = Watcher("docker", self._look, _LOOK_EVERY)
        # Of the watcher's last look; it looks once at a time.
        self._last: tuple[tuple[str, str | None], BrokerProcess] | None = None

    def observe(self) -> BrokerProcess:
        return self._watcher.seen()

    def start(self, reason: str = "") -> None:
        with self._changing:
            try:
                self._container.start()
            except DockerUnavailable as error:
                raise BrokerStartFailed(f"the broker's container is not started: {error}") from None
            finally:
                self._watcher.look()

    def stop(self, timeout: float) -> None:
        with self._changing:
            self._end(lambda: self._container.stop(timeout))

    def kill(self, reason: str = "") -> None:
        with self._changing:
            self._end(self._container.kill)

    # -- inside

    def _end(self, how: Callable[[], None]) -> None:
        try:
            with contextlib.suppress(NotRunning):
                how()
            deadline = time.monotonic() + _GONE_WITHIN
            while self._container.inspect().running:
                if time.monotonic() > deadline:
                    raise BrokerStopFailed(
                        f"container {self._container.name} is still there {_GONE_WITHIN:g} s after SIGKILL; "
                        "see whether its disk hangs"
                    )
                time.sleep(0.05)
        except DockerUnavailable as error:
            raise BrokerStopFailed(f"the broker's container is not ended: {error}") from None
        finally:
            self._watcher.look()

    def _look(self) -> BrokerProcess:
        state = self._container.inspect()
        identity = f"{state.id[:12]}-{state.started}"
        how = None if state.running else self._how(state)
        if self._last is None or self._last[0] != (identity, how):
            self._last = (identity, how), self._process(state, identity, how)
        return self._last[1]

    def _process(self, state: ContainerState, identity: str, how: str | None) -> BrokerProcess:
        if state.running:
            return BrokerProcess(True, state.pid, _monotonic(state.started), identity=identity)
        tail: tuple[str, ...] = ()
        with contextlib.suppress(DockerUnavailable):  # some of Docker's log drivers cannot be read
            tail = self._container.log_tail(TAIL)
        return BrokerProcess(False, exited=how, log_tail=tail)

    def _how(self, state: ContainerState) -> str | None:
        if state.error:
            return f"container {self._container.name} could not be started: {state.error}"
        if state.started.startswith("0001"):
            return None
        # A signal is told by a shell's convention here: 128 and its number.
        code = 128 - state.exit_code if 128 < state.exit_code <= 128 + signal.SIGRTMAX else state.exit_code
        memory = ", out of memory" if state.out_of_memory else ""
        next_ = "; Docker is starting it again" if state.restarting else ""
        return f"container {self._container.name} {how_it_ended(code)}{memory}{next_}"


def _monotonic(moment: str) -> float | None:
    """When a moment (ISO 8601, UTC) was, by this host's monotonic clock; None if it cannot be told."""
    try:
        # Nanoseconds are more than Python reads.
        then = datetime.datetime.fromisoformat(moment.partition(".")[0].rstrip("Z") + "+00:00")
    except ValueError:
        return None
    return monotonic() - (time.time() - then.timestamp())
