"""Asks the management API now and then, in a thread of its own: whatever it does, nobody waits for it.

What it finds adds reasons and warnings to a verdict, and the load to a member's record. It never makes a
broker ill or well: the API is a plugin that can be broken, slow or switched off while the broker works.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence

from rabbitkeeper.agent.model.observation import ManagementFacts
from rabbitkeeper.agent.rabbitmq.management.checks import alarms, checks, failure, load
from rabbitkeeper.agent.rabbitmq.management.client import (
    ManagementClient,
    ManagementFailed,
    ManagementSettings,
)

LOG = logging.getLogger("rabbitkeeper.agent.management")

FAILURES = 3  # polls in a row without an answer until that is worth a warning: a boot takes one or two
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
    ) -> None:
        self._settings = settings
        self._node = node
        self._protocols = protocols
        self._version = version
        self._wake = wake
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rabbitkeeper-management", daemon=True)
        self._failures = 0
        self._polls = 0
        self.facts = ManagementFacts()

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
        return ManagementFacts(tuple(failed), found, carried)
