"""The driver ``systemd``: the broker is a unit, started and ended through ``systemctl``.

Each question is a command, so one is asked only every few seconds while the unit's main process is seen to
be there: that process is looked at directly. The unit's own ``Restart=`` does no harm: a unit that waits for
it counts as not running, and a start of ours comes first or finds it started (``docs/operations.md`` says why
it is better switched off).
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rabbitkeeper.agent.broker.drivers.base import BrokerProcess, BrokerStartFailed, BrokerStopFailed
from rabbitkeeper.agent.broker.drivers.ending import TAIL, how_it_ended
from rabbitkeeper.agent.broker.drivers.process_id import ProcessId
from rabbitkeeper.agent.broker.drivers.watcher import Watcher
from rabbitkeeper.agent.config import BrokerConfig, SystemdConfig
from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtl
from rabbitkeeper.agent.rabbitmq.runner import CommandNotRunnable, CommandTimedOut, Finished, LocalRunner
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.coordinator.model.errors import ConfigurationError, RabbitKeeperError

LOG = logging.getLogger("rabbitkeeper.agent")

_LOOK_EVERY = 0.5  # seconds
_ASK_EVERY = 5.0  # seconds, while the main process is there
_SPAWNED_WITHIN = 10.0  # seconds from a start to the unit's main process
_GONE_WITHIN = 10.0  # seconds from SIGKILL to the end
_SHOWN = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Job",
    "MainPID",
    "ExecMainPID",
    "ExecMainStartTimestampMonotonic",
    "ExecMainCode",
    "ExecMainStatus",
    "Result",
)
_TELLING = _SHOWN[4:]  # what differs from process to process
_NO_SIGNAL = "1"  # ExecMainCode: CLD_EXITED; the others are ends by a signal


class SystemctlFailed(RabbitKeeperError):
    """A call of ``systemctl`` failed or did not end. Says which, and what it said."""


class SystemdDriver:
    """Starts, watches and ends the broker's unit.

    Args:
        config: of the broker, with driver ``systemd``.

    Raises:
        ConfigurationError: there is no ``systemctl`` where it should be.
    """

    name = "systemd"
    can_start = True
    can_stop = True
    can_kill = True

    def __init__(self, config: BrokerConfig) -> None:
        systemd = config.systemd or SystemdConfig()
        if not os.access(systemd.systemctl, os.X_OK):
            raise ConfigurationError(
                f"broker.systemd.systemctl is {str(systemd.systemctl)!r}, and there is no such program; "
                "give systemctl's path"
            )
        self._systemctl = str(systemd.systemctl)
        self._unit = systemd.unit
        self._timeout = systemd.timeout
        self._sudo = ("sudo", "--non-interactive") if systemd.sudo else ()
        # What systemctl prints is read: no colours, no pager, no other language.
        self._runner = LocalRunner({**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""})
        self.ctl = RabbitmqCtl(config.rabbitmqctl or "rabbitmqctl", config.node, LocalRunner(os.environ))
        self._changing = threading.Lock()  # one start, stop or kill at a time
        self._watcher = Watcher("systemd", self._look, _LOOK_EVERY)
        # Of the watcher's last look; it looks once at a time.
        self._asked_at = float("-inf")
        self._main: ProcessId | None = None
        self._last: tuple[tuple[str, ...], BrokerProcess] | None = None

    def observe(self) -> BrokerProcess:
        return self._watcher.seen()

    def start(self, reason: str = "") -> None:
        with self._changing:
            try:
                if self._show()["Result"] == "start-limit-hit":
                    self._do("reset-failed")
                # A start of the type notify ends when the broker serves; that is not waited for.
                self._do("start", "--no-block")
                self._wait(self._spawned, _SPAWNED_WITHIN)
            except SystemctlFailed as error:
                raise BrokerStartFailed(f"{self._unit} is not started: {error}") from None
            finally:
                self._ask_now()

    def stop(self, timeout: float) -> None:
        with self._changing:
            try:
                self._do("stop", "--no-block")
                if not self._wait(self._gone, timeout):
                    LOG.warning("%s did not end in %g s: killing it", self._unit, timeout)
                    self._kill()
            except SystemctlFailed as error:
                raise BrokerStopFailed(f"{self._unit} is not stopped: {error}") from None
            finally:
                self._ask_now()

    def kill(self, reason: str = "") -> None:
        with self._changing:
            try:
                if not self._gone():
                    self._kill()
            except SystemctlFailed as error:
                raise BrokerStopFailed(f"{self._unit} is not killed: {error}") from None
            finally:
                self._ask_now()

    # -- inside

    def _kill(self) -> None:
        """SIGKILL everything in the unit. One that its supervisor has started again since counts as gone."""
        victim = self._show()["ExecMainStartTimestampMonotonic"]
        self._do("kill", "--signal=SIGKILL")

        def gone() -> bool:
            return self._gone() or self._show()["ExecMainStartTimestampMonotonic"] != victim

        if not self._wait(gone, _GONE_WITHIN):
            raise BrokerStopFailed(
                f"{self._unit} is still there {_GONE_WITHIN:g} s after SIGKILL; see whether its disk hangs"
            )

    def _spawned(self) -> bool:
        shown = self._show()
        return _pid(shown) is not None or (shown["Job"] in ("", "0") and shown["ActiveState"] == "failed")

    def _gone(self) -> bool:
        return _pid(self._show()) is None

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
        return True

    def _ask_now(self) -> None:
        self._asked_at = float("-inf")
        self._watcher.look()

    def _look(self) -> BrokerProcess:
        now = time.monotonic()
        if self._last is not None and now < self._asked_at + _ASK_EVERY and self._main_alive():
            return self._last[1]
        shown = self._show()
        self._asked_at = now
        pid = _pid(shown)
        self._main = ProcessId.of(pid) if pid is not None else None
        key = tuple(shown[name] for name in _TELLING)
        if self._last is None or self._last[0] != key:
            self._last = key, self._process(shown, pid)
        return self._last[1]

    def _main_alive(self) -> bool:
        return self._main is not None and self._main.alive

    def _process(self, shown: Mapping[str, str], pid: int | None) -> BrokerProcess:
        started = int(shown["ExecMainStartTimestampMonotonic"] or 0)
        if pid is None:
            return BrokerProcess(False, exited=_ended(self._unit, shown), log_tail=self._tail())
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        since = monotonic() - (time.monotonic() - started / 1e6)
        return BrokerProcess(True, pid, since, identity=f"{pid}-{started}-{boot[:8]}")

    def _tail(self) -> tuple[str, ...]:
        """The unit's last lines in the journal, as far as this user may read it."""
        try:
            done = self._ctl("status", "--full", f"--lines={TAIL}", "--output=cat")
        except SystemctlFailed:
            return ()
        return tuple(done.output.partition("\n\n")[2].splitlines()[-TAIL:])

    def _show(self) -> dict[str, str]:
        done = self._ctl("show", f"--property={','.join(_SHOWN)}")
        if done.code != 0:
            raise SystemctlFailed(
                f"systemctl show {self._unit} failed with exit code {done.code}: {done.said}"
            )
        shown = dict.fromkeys(_SHOWN, "")
        for line in done.output.splitlines():
            name, _, value = line.partition("=")
            shown[name] = value
        if shown["LoadState"] == "not-found":
            raise SystemctlFailed(
                f"systemd has no unit {self._unit!r}; install it, or correct broker.systemd.unit"
            )
        return shown

    def _do(self, verb: str, *options: str) -> None:
        done = self._ctl(verb, *options, sudo=self._sudo)
        if done.code != 0:
            raise SystemctlFailed(f"systemctl {verb} failed with exit code {done.code}: {done.said}")

    def _ctl(self, verb: str, *options: str, sudo: tuple[str, ...] = ()) -> Finished:
        command = [*sudo, self._systemctl, "--no-ask-password", verb, *options, self._unit]
        try:
            return self._runner.run(command, timeout=self._timeout)
        except CommandTimedOut:
            raise SystemctlFailed(f"systemctl {verb} did not end within {self._timeout:g} s") from None
        except CommandNotRunnable as error:
            raise SystemctlFailed(f"{command[0]} cannot be run: {error}") from None


def _pid(shown: Mapping[str, str]) -> int | None:
    """The unit's main process; None while there is none."""
    pid = int(shown["MainPID"] or 0)
    return pid if pid and ProcessId.of(pid) is not None else None


def _ended(unit: str, shown: Mapping[str, str]) -> str | None:
    """How it ended, a sentence; None if it was not started since the machine was."""
    if int(shown["ExecMainPID"] or 0) == 0 and shown["Result"] == "success":
        return None
    again = "; systemd is starting it again" if shown["SubState"] == "auto-restart" else ""
    if int(shown["ExecMainPID"] or 0) == 0:
        return f"{unit} could not be started: {shown['Result']}{again}"
    status = int(shown["ExecMainStatus"] or 0)
    how = how_it_ended(status if shown["ExecMainCode"] == _NO_SIGNAL else -status)
    result = "" if shown["Result"] in ("success", "exit-code", "signal") else f" ({shown['Result']})"
    return f"{unit} (process {shown['ExecMainPID']}) {how}{result}{again}"
