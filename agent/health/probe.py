"""The probe: one thread with the agent's own connection to its broker, and the canaries on it.

It looks and reports; what its facts mean is ``judge.py``'s to say. A connection that breaks is replaced
at once, and if that fails again and again. Majority canaries are published on demand, on the same connection.

The agent's loop reads :attr:`Probe.facts`, an immutable snapshot, and is woken when they change in a way
that can change the verdict; it never waits for this thread.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from pika.adapters.select_connection import IOLoop

from rabbitkeeper.agent.health.alarm_probe import AlarmProbe
from rabbitkeeper.agent.health.channel import Connection
from rabbitkeeper.agent.health.connection import BrokerConnection, ProbeSettings
from rabbitkeeper.agent.health.feed_canary import FeedCanary
from rabbitkeeper.agent.health.majority_canary import CanaryChannel, MajorityCanary
from rabbitkeeper.agent.health.majority_request import MajorityRequest, MajorityResult
from rabbitkeeper.agent.health.response_timer import STEP, ResponseTimer
from rabbitkeeper.agent.model.observation import ANSWERED, ConnectFailure, ConnectionFacts
from rabbitkeeper.agent.runtime.clocks import monotonic

LOG = logging.getLogger("rabbitkeeper.agent.probe")

_PAUSE = 0.1  # seconds between attempts to connect, times their number
_LONGEST_PAUSE = 0.5  # seconds
_CLOSE_TIMEOUT = 0.5  # seconds for the broker to say goodbye when the probe stops
_STOP_TIMEOUT = 2.0  # seconds for the thread to end


class Probe:
    """Looks at one broker from a thread of its own, from :meth:`start` to :meth:`stop`.

    Args:
        settings: whom to ask, and how often.
        wake: called from the probe's thread when the loop should look at the facts; must only set a flag.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: ProbeSettings,
        *,
        wake: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._wake = wake
        self._clock = clock
        self._facts = ConnectionFacts()
        self._timer = ResponseTimer()
        self._loop = IOLoop()
        self._connection: BrokerConnection | None = None
        self._alarm_probe: AlarmProbe | None = None  # while the connection is blocked by an alarm
        self._reconnecting: object = None  # the timer of the next attempt
        self._majority: tuple[MajorityRequest, MajorityCanary] | None = None
        self._majority_channel: CanaryChannel | None = None  # on the present connection, for the next canary
        self._feed: FeedCanary | None = None  # of the present connection
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="rabbitkeeper-probe", daemon=True)

    @property
    def facts(self) -> ConnectionFacts:
        """What is known of the connection now."""
        return self._facts

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and the connection; waits two seconds at the most. Idempotent."""
        if self._thread.is_alive():
            self._loop.add_callback_threadsafe(self._begin_stop)
            self._thread.join(_STOP_TIMEOUT)

    def adapt(self, settings: ProbeSettings) -> None:
        """Ask from now on as ``settings`` say; the connection stays. Returns at once."""

        def adapt() -> None:
            self._settings = settings
            if self._connection is not None:
                self._connection.settings = settings

        self._loop.add_callback_threadsafe(adapt)

    def connect_now(self) -> None:
        """Do not wait for the next attempt: something has changed. Returns at once."""
        self._loop.add_callback_threadsafe(self._connect_if_down)

    def confirm_majority(self, timeout: float) -> MajorityRequest:
        """Have a message confirmed by a majority of the cluster.

        Args:
            timeout: seconds to try for.

        Returns:
            At once, a request whose ``result`` is set later; the loop is woken then. A newer request takes
            the place of one that is under way.
        """
        request = MajorityRequest(self._cancel_majority)
        self._loop.add_callback_threadsafe(lambda: self._begin_majority(request, timeout))
        return request

    # From here on: the probe's own thread.

    def _run(self) -> None:
        self._connect()
        while not self._stopping:
            try:
                self._loop.start()
            except Exception:  # the top of this thread: without it nobody would look at the broker any more
                LOG.exception("the probe failed and starts again")
                self._drop("the probe failed")
                self._connect_later(_LONGEST_PAUSE)
        self._loop.close()

    def _begin_stop(self) -> None:
        self._stopping = True
        self._close_alarm_probe()
        connection, self._connection = self._connection, None
        if connection is not None and connection.amqp is not None:
            self._loop.call_later(_CLOSE_TIMEOUT, self._loop.stop)
            connection.close(self._loop.stop)
        else:
            self._loop.stop()

    def _drop(self, error: str) -> None:
        self._close_alarm_probe()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._answered()
        self._report(
            ConnectionFacts(
                heard_at=self._facts.heard_at, failures=1, failure=ConnectFailure.BROKEN, error=error
            )
        )
        self._move_majority(None)

    def _connect_if_down(self) -> None:
        if self._connection is None and not self._stopping:
            self._connect()

    def _connect(self) -> None:
        if self._reconnecting is not None:
            self._loop.remove_timeout(self._reconnecting)
            self._reconnecting = None
        self._ask()
        self._connection = BrokerConnection(self._settings, self._loop, self, clock=self._clock)

    def _report(self, facts: ConnectionFacts) -> None:
        before, self._facts = self._facts, facts
        if self._key(before) != self._key(facts):
            self._wake()

    def _key(self, facts: ConnectionFacts) -> tuple[object, ...]:
        """What of the facts can change a verdict."""
        return (
            facts.up_since,
            facts.failures >= self._settings.fall,
            facts.failure,
            facts.silent >= self._settings.hung_after,
            facts.confirmed >= self._settings.rise,
            facts.blocked,
        )

    # The broker's silence: counted while the broker owes an answer.

    def _ask(self) -> None:
        owed = self._timer.counted is not None
        self._timer = self._timer.asked(self._clock())
        if not owed:
            self._loop.call_later(STEP, self._count_silence)

    def _count_silence(self) -> None:
        if self._timer.counted is None:
            return
        self._timer = self._timer.count(self._clock())
        self._report(replace(self._facts, silent=self._timer.lasted))
        self._loop.call_later(STEP, self._count_silence)

    def _answered(self) -> None:
        """The broker, or its kernel, has answered."""
        self._timer = self._timer.answered()

    # The connection's life, as it tells it itself.

    def connection_up(self, connection: BrokerConnection) -> None:
        if connection is not self._connection:
            return
        self._answered()
        now = self._clock()
        self._feed = None if connection.amqp is None else FeedCanary(connection.amqp, clock=self._clock)
        self._report(ConnectionFacts(up_since=now, answered_at=now, heard_at=now, version=connection.version))
        self._move_majority(connection.amqp)

    def connection_failed(self, connection: BrokerConnection, failure: ConnectFailure, error: str) -> None:
        """An attempt to connect has failed."""
        if connection is not self._connection:
            return
        self._connection = None
        if failure is not ConnectFailure.SILENT:
            self._answered()
        failures = self._facts.failures + 1
        self._report(
            ConnectionFacts(
                answered_at=self._clock() if failure in ANSWERED else None,
                heard_at=self._facts.heard_at,
                failures=failures,
                failure=failure,
                error=error,
                silent=self._timer.lasted,
                version=self._facts.version,
            )
        )
        self._connect_later(min(_LONGEST_PAUSE, _PAUSE * failures))

    def connection_broken(self, connection: BrokerConnection, error: str) -> None:
        """A connection that was open is not any more: one attempt at once."""
        if connection is not self._connection:
            return
        self._connection = None
        self._close_alarm_probe()
        self._answered()
        facts = self._facts
        self._report(ConnectionFacts(error=error, heard_at=facts.heard_at, version=facts.version))
        self._move_majority(None)
        self._connect()

    def _connect_later(self, pause: float) -> None:
        if not self._stopping:
            self._reconnecting = self._loop.call_later(pause, self._connect_if_down)

    def canary_sent(self, connection: BrokerConnection) -> None:
        if connection is self._connection:
            self._ask()

    def canary_answered(self, connection: BrokerConnection, confirmed: bool, latency: float) -> None:
        if connection is not self._connection:
            return
        self._answered()
        count = self._facts.confirmed + 1 if confirmed else 0
        feed = self._feed
        self._report(
            replace(
                self._facts,
                silent=0.0,
                heard_at=self._clock(),
                confirmed=count,
                latency=latency,
                unfed=0 if feed is None else feed.unfed,
                unfed_since=None if feed is None else feed.since,
            )
        )

    def connection_blocked(self, connection: BrokerConnection, reason: str | None) -> None:
        if connection is not self._connection:
            return
        self._answered()
        if self._feed is not None:
            self._feed.blocked()
        self._report(replace(self._facts, silent=0.0, blocked=reason, unfed=0, unfed_since=None))
        if reason is None:
            self._close_alarm_probe()
        elif self._alarm_probe is None:
            settings = self._settings
            self._alarm_probe = AlarmProbe(
                settings.parameters(), self._loop, self, interval=settings.interval
            )

    # While an alarm blocks the connection.

    def alarm_probe_asked(self) -> None:
        self._ask()

    def alarm_probe_answered(self) -> None:
        self._answered()
        if self._facts.silent:
            self._report(replace(self._facts, silent=0.0))

    def _close_alarm_probe(self) -> None:
        alarm_probe, self._alarm_probe = self._alarm_probe, None
        if alarm_probe is not None:
            alarm_probe.close()

    # The majority canary.

    def _begin_majority(self, request: MajorityRequest, timeout: float) -> None:
        self._end_majority(None)
        started = self._clock()

        def confirmed(attempts: int) -> None:
            finish(MajorityResult(True, self._clock() - started, attempts))

        def expired() -> None:
            finish(MajorityResult(False, self._clock() - started, canary.attempts, canary.last_answer))

        def finish(result: MajorityResult) -> None:
            if self._majority is not None and self._majority[0] is request:
                self._end_majority(result)

        amqp = self._connection.amqp if self._connection is not None else None
        kept, self._majority_channel = self._majority_channel, None
        canary = MajorityCanary(amqp, call_later=self._loop.call_later, on_confirmed=confirmed, kept=kept)
        self._majority = (request, canary)
        self._loop.call_later(timeout, expired)

    def _end_majority(self, result: MajorityResult | None) -> None:
        if self._majority is None:
            return
        (request, canary), self._majority = self._majority, None
        canary.end()
        self._majority_channel = canary.kept
        if result is not None:
            if result.confirmed and self._feed is not None and self._facts.blocked is None:
                self._feed.confirmed()
            request.result = result
            self._wake()

    def _move_majority(self, amqp: Connection | None) -> None:
        self._majority_channel = None
        if self._majority is not None:
            self._majority[1].moved(amqp)

    def _cancel_majority(self, request: MajorityRequest) -> None:
        def cancel() -> None:
            if self._majority is not None and self._majority[0] is request:
                self._end_majority(None)

        self._loop.add_callback_threadsafe(cancel)
