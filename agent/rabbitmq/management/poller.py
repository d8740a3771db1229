"""Asks the management API now and then, in a thread of its own: whatever it does, nobody waits for it.

What it finds adds reasons and warnings to a verdict, and the load to a member's record. It never makes a
broker ill or well: the API is a plugin that can be broken, slow or switched off while the broker works.
"""

import contextlib
import logging
import random
import threading
from collections.abc import Callable, Sequence

from rabbitkeeper.agent.model.observation import ManagementFacts, Traffic
from rabbitkeeper.agent.rabbitmq.management.checks import alarms, checks, failure, load, traffic
from rabbitkeeper.agent.rabbitmq.management.client import (
    ManagementClient,
    ManagementFailed,
    ManagementSettings,
)
from rabbitkeeper.agent.runtime.clocks import monotonic

LOG = logging.getLogger("rabbitkeeper.agent.management")

FAILURES = 3  # polls in a row without an answer until that is worth a warning: a boot takes one or two
SAMPLES = 120  # of the traffic that are kept
_LOAD_EVERY = 3  # polls: the lists of connections and queues are the dearest
_CONNECTIONS = "connections?columns=node"
_QUEUES = "queues?columns=node,type,exclusive&disable_stats=true"
_NODES = "nodes?columns=name,mem_alarm,disk_free_alarm"


class Poller:
    """Polls from :meth:`start` to :meth:`stop`.

    Args:
        settings: where the API is.
        node: the broker's Erlang node.
        protocols: that should be listened for: ``amqp``, ``amqps``.
        version: RabbitMQ's, as far as it is known; None while there is no connection: then nothing is asked.
        wake: called from the poller's thread when the facts have changed.
        interval: seconds between polls.
        clock: monotonic seconds.

    Attributes:
        facts: what is known now.
        samples: what the cluster has carried, the newest last, each with when it was asked for. Nobody is
            woken for them.
    """

    def __init__(
        self,
        settings: ManagementSettings,
        node: str,
        *,
        protocols: Sequence[str],
        version: Callable[[], str | None],
        wake: Callable[[], None],
        interval: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._node = node
        self._protocols = protocols
        self._version = version
        self._wake = wake
        self._interval = interval
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rabbitkeeper-management", daemon=True)
        self._failures = 0
        self._polls = 0
        self.facts = ManagementFacts()
        self.samples: tuple[tuple[float, Traffic], ...] = ()

    def start(self) -> None:
        self._thread.start()

    def adapt(self, settings: ManagementSettings) -> None:
        """Ask from the next poll on as ``settings`` say. From any thread; returns at once."""
        self._settings = settings

    def stop(self) -> None:
        """Poll no more; does not wait for an answer that is due. Idempotent."""
        self._stopping.set()

    def _run(self) -> None:
        settings = self._settings
        client = ManagementClient(settings)
        while not self._stopping.wait(self._interval * (0.8 + 0.4 * random.random())):
            if self._settings is not settings:
                settings = self._settings
                client.close()
                client = ManagementClient(settings)
            try:
                facts = self.poll(client)
            except Exception:  # the top of this thread
                LOG.exception("a poll of the management API has failed")
                continue
            before, self.facts = self.facts, facts
            if facts != before:
                self._wake()
        client.close()

    def poll(self, client: ManagementClient) -> ManagementFacts:
        """Ask once; what is known now."""
        version = self._version()
        if version is None:
            self._failures = 0
            return ManagementFacts()
        try:
            failed = []
            for check in checks(version, self._protocols):
                answer = client.check(check.path)
                if answer is not None:
                    failed.append(failure(check, answer))
            found = alarms(client.list(_NODES))
            carried = self.facts.load
            if carried is None or self._polls % _LOAD_EVERY == 0:
                carried = load(self._node, client.list(_CONNECTIONS), client.list(_QUEUES))
            self._polls += 1
        except ManagementFailed as error:
            self._failures += 1
            problem = str(error) if self._failures >= FAILURES else None
            return ManagementFacts(load=self.facts.load, problem=problem)
        self._failures = 0
        self._sample(client)
        return ManagementFacts(tuple(failed), found, carried)

    def _sample(self, client: ManagementClient) -> None:
        """What the cluster carries is for people: a poll without it is as good."""
        asked_at = self._clock()
        with contextlib.suppress(ManagementFailed):
            self.samples = (*self.samples[1 - SAMPLES :], (asked_at, traffic(client.overview())))
