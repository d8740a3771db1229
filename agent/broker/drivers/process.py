"""The driver ``process``: the agent runs the broker as a child of its own, in the foreground.

The server's own script is started, not the wrapper that packages put into ``/usr/sbin``: with
``RUNNING_UNDER_SYSTEMD`` set it becomes the Erlang machine itself, so that the child's pid is the broker's
and a signal reaches it. The child is in a session of its own and outlives an agent that is killed; the next
agent finds it by ``run/broker`` and adopts it instead of starting a second one on the same data.
"""

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rabbitkeeper.agent.broker.drivers import node_files, output
from rabbitkeeper.agent.broker.drivers.base import BrokerProcess, BrokerStartFailed, BrokerStopFailed
from rabbitkeeper.agent.broker.drivers.ending import TAIL, how_it_ended
from rabbitkeeper.agent.broker.drivers.node_files import NodeSettings
from rabbitkeeper.agent.broker.drivers.process_id import RECORDING_SHELL, ProcessId
from rabbitkeeper.agent.config import BrokerConfig, ProcessConfig
from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtl
from rabbitkeeper.agent.rabbitmq.recommended import version_at
from rabbitkeeper.agent.rabbitmq.runner import LocalRunner
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.coordinator.model.errors import ConfigurationError

LOG = logging.getLogger("rabbitkeeper.agent")

_GONE_WITHIN = 10.0  # seconds from SIGKILL to the end; milliseconds unless the disk hangs
_TRIM_EVERY = 10.0  # seconds between looks at the size of its output
_STARTED_WITHIN = 5.0  # seconds from a child's first instruction to the record of who it is


class ProcessDriver:
    """Runs one broker as a child process.

    Args:
        config: of the broker, with driver ``process``.

    Raises:
        ConfigurationError: the server's script is missing or is the wrapper, or the cookie cannot be read.
    """

    name = "process"
    can_start = True
    can_stop = True
    can_kill = True

    def __init__(self, config: BrokerConfig) -> None:
        if config.process is None:
            raise ConfigurationError("broker.process is missing, and driver process needs it")
        self._server = _server(config.process)
        self._settings = settings_of(config, config.process)
        command = config.rabbitmqctl or self._server.with_name("rabbitmqctl")
        self.ctl = RabbitmqCtl(command, config.node, LocalRunner(node_files.environment(self._settings)))
        self._changing = threading.Lock()  # one start, stop or kill at a time
        self._state = threading.Lock()  # guards what is below; held for no longer than a look takes
        self._child: subprocess.Popen[bytes] | None = None
        self._process: ProcessId | None = None
        self._exited: str | None = None
        self._tail: tuple[str, ...] = ()
        self._trimmed_at = float("-inf")
        self._older: dict[Path, int] = {}  # bytes of its logs that are not of the child of ours

    def observe(self) -> BrokerProcess:
        with self._state:
            self._look()
            self._trim()
            if self._process is None:
                return BrokerProcess(running=False, exited=self._exited, log_tail=self._tail)
            since = monotonic() - self._process.age
            process = self._process
            return BrokerProcess(running=True, pid=process.pid, since=since, identity=process.identity)

    def start(self, reason: str = "") -> None:
        with self._changing:
            with self._state:
                self._look()
                if self._process is not None:
                    return
            node_files.write(self._settings)
            with self._starting() as lock:
                if self._running() is not None:  # an agent that was killed had begun to start it
                    return
                child = self._spawn(lock)
            with self._state:
                self._child, self._process = child, ProcessId.of(child.pid)
                if self._process is None:  # ended at once
                    self._ended()

    def stop(self, timeout: float) -> None:
        with self._changing:
            process = self._running()
            if process is None:
                return
            process.signal(signal.SIGTERM)
            process.signal(signal.SIGCONT)  # a stopped process takes no other signal
            if not self._gone(process, timeout):
                LOG.warning("the broker (process %d) did not end in %g s: killing it", process.pid, timeout)
                self._kill(process)

    def kill(self, reason: str = "") -> None:
        with self._changing:
            process = self._running()
            if process is not None:
                self._kill(process)

    # -- inside

    def _running(self) -> ProcessId | None:
        with self._state:
            self._look()
            return self._process

    def _look(self) -> None:
        """See whether it has ended, or whether there is one from an earlier run of the agent."""
        if self._process is None:
            found = ProcessId.read(self._settings.pid_file)
            if found is not None and found.alive:
                self._process, self._exited, self._tail = found, None, ()
        elif self._child is not None and self._child.pid == self._process.pid:
            if self._child.poll() is not None:
                self._ended()
        elif not self._process.alive:
            self._ended()

    def _trim(self) -> None:
        now = time.monotonic()
        if now >= self._trimmed_at + _TRIM_EVERY:
            self._trimmed_at = now
            with contextlib.suppress(OSError):  # a full disk: the broker has said so itself by then
                output.trim(self._settings.output)

    def _ended(self) -> None:
        child, process = self._child, self._process
        self._child = self._process = None
        if child is None:
            number = process.pid if process is not None else "?"
            self._exited = f"process {number} has ended; how is not known, since it was adopted"
        else:
            self._exited = f"process {child.pid} {how_it_ended(child.wait())}"
        self._tail = _tail(_logs(self._settings), self._older)

    @contextlib.contextmanager
    def _starting(self) -> Iterator[int]:
        """Hold the lock of whoever starts a broker here: the agent, and then its child until it has recorded
        who it is. So no agent can be killed at a moment at which the next one would miss the child."""
        try:
            descriptor = os.open(self._settings.pid_file.with_name("starting"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise node_files.unwritable(self._settings.directory, error) from None
        try:
            deadline = time.monotonic() + _STARTED_WITHIN
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise BrokerStartFailed(
                            f"another agent has been starting a broker in {self._settings.directory} for "
                            f"{_STARTED_WITHIN:g} s; give each a broker.process.directory of its own"
                        ) from None
                    time.sleep(0.02)  # the holder needs milliseconds
            yield descriptor
        finally:
            os.close(descriptor)

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        self._older = {log: log.stat().st_size for log in _logs(self._settings) if log.exists()}
        try:
            with open(self._settings.output, "ab", opener=_privately) as file:
                return subprocess.Popen(
                    ["/bin/sh", "-c", RECORDING_SHELL, "sh", self._settings.pid_file, self._server],
                    env=node_files.environment(self._settings),
                    cwd=self._settings.directory,
                    stdin=lock,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                    umask=0o077,  # its logs are not for everybody
                )
        except OSError as error:
            raise BrokerStartFailed(f"{self._server} cannot be started: {error.strerror}") from None

    def _kill(self, process: ProcessId) -> None:
        # The group first: it has the leader's number for as long as the leader has not been reaped.
        with contextlib.suppress(ProcessLookupError):
            if process.alive and os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
        process.signal(signal.SIGKILL)
        if not self._gone(process, _GONE_WITHIN):
            raise BrokerStopFailed(
                f"the broker (process {process.pid}) is still there {_GONE_WITHIN:g} s after SIGKILL; "
                "see whether its disk hangs"
            )

    def _gone(self, process: ProcessId, timeout: float) -> bool:
        if not process.wait(timeout):
            return False
        with self._state:
            self._look()
        return True


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def settings_of(config: BrokerConfig, process: ProcessConfig) -> NodeSettings:
    """What the node's files depend on, from the agent's configuration.

    Raises:
        ConfigurationError: the cookie cannot be read.
    """
    host = config.amqp.host
    advertised = [config.advertised_amqp, config.advertised_amqps]
    if any(address.rpartition(":")[0].strip("[]") != host for address in advertised if address is not None):
        host = "*"  # clients come by another address than the agent does
    return NodeSettings(
        node=config.node,
        directory=process.directory.absolute(),
        listen=(host, config.amqp.port),
        user=(config.amqp.username, config.amqp.password.get_secret_value()),
        cookie=_cookie(process.cookie_file),
        version=version_at(process.server),
        config=process.config,
        environment=process.environment,
        management_port=config.management.port if config.management is not None else None,
    )


def _server(process: ProcessConfig) -> Path:
    server = process.server
    if not os.access(server, os.X_OK):
        raise ConfigurationError(
            f"broker.process.server is {str(server)!r}, and there is no such program; install "
            "rabbitmq-server, or give the path of its own script, as in /usr/lib/rabbitmq/bin/rabbitmq-server"
        )
    if server.resolve().name == "rabbitmq-script-wrapper":
        raise ConfigurationError(
            f"broker.process.server is {str(server)!r}, a wrapper that starts the server as another user and "
            "keeps signals from it; give /usr/lib/rabbitmq/bin/rabbitmq-server"
        )
    return server


def _cookie(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        cookie = file.read_text().strip()
    except OSError as error:
        raise ConfigurationError(
            f"broker.process.cookie_file is {str(file)!r}, and it cannot be read: {error.strerror}; "
            "give a file that holds the Erlang cookie of the cluster"
        ) from None
    if not cookie:
        raise ConfigurationError(f"broker.process.cookie_file is {str(file)!r}, and it is empty")
    return cookie


def _logs(settings: NodeSettings) -> tuple[Path, Path]:
    return settings.output, settings.logs / f"{settings.node}.log"


def _tail(logs: Sequence[Path], older: Mapping[Path, int]) -> tuple[str, ...]:
    """The last lines of whichever the server wrote to last: its log, or its output when it had no log yet.

    Args:
        logs: both.
        older: bytes at the beginning of each that an earlier server wrote.
    """
    written = [(log.stat().st_mtime, log) for log in logs if log.exists()]
    if not written:
        return ()
    last = max(written)[1]
    with last.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        begin = older.get(last, 0)
        file.seek(max(begin if begin <= size else 0, size - 32768))  # smaller than it was: emptied since
        return tuple(file.read().decode(errors="replace").splitlines()[-TAIL:])
