"""Why a broker that runs refuses connections: asked of its Erlang machine, beside the loop and not often.

Three quite different things look alike from outside. An operator has drained the node: its listeners are
suspended and it waits to be revived. RabbitMQ itself has paused it, because it sees no majority of its
cluster (``pause_minority``): it comes back by itself, as a rule. Or the broker is stopped inside a living
Erlang machine, by ``stop_app`` or by a start that failed: it does not come back by itself.

In any of them the Erlang machine itself may come to stand still. Nobody can tell that from outside but its
tools, which find no answer; what is made of that is not decided here (``broker/policy.py``).
"""

import logging
from collections.abc import Callable

from rabbitkeeper.agent.model.observation import RESUMES, NodeFacts, NodeState
from rabbitkeeper.agent.rabbitmq.ctl import NodeNotRunning, RabbitmqCtlTimeout
from rabbitkeeper.agent.runtime.job import Job, Launch, ThreadJob

LOG = logging.getLogger("rabbitkeeper.agent")

FIRST = 1.0  # seconds of refusal before the first look: a process that has just died is seen by then
PAUSE = 5.0  # seconds between looks, each of which starts an Erlang machine; doubled each time but in a boot
LONGEST_PAUSE = 30.0  # seconds
PAUSED_PAUSE = 10.0  # the same of a paused node: nobody but it knows when it sees a majority again
_ON_ITS_WAY = RESUMES | {NodeState.BOOTING}


class Inspection:
    """One node's, looked at while that is wanted. Belongs to the loop's thread.

    Args:
        look: asks the node; takes a second or so.
        wake: called when a look has ended.
        answered: whether the node has ever answered these tools. If not, it may be the tools that are wrong:
            with another Erlang cookie, or on a network that they do not reach.
        launch: begins it beside the loop.
    """

    def __init__(
        self,
        look: Callable[[], NodeState],
        *,
        wake: Callable[[], None],
        answered: Callable[[], bool] = lambda: True,
        launch: Launch = ThreadJob,
    ) -> None:
        self._look = look
        self._answered = answered
        self._wake = wake
        self._launch = launch
        self._job: Job | None = None
        self._found: NodeState | None = None
        self._due: float | None = None
        self._pause = PAUSE
        self._of: tuple[str | None, int] | None = None  # the process and the spell of the job under way
        self._current: tuple[str | None, int] = (None, 0)  # the process and the spell there are now
        self._spell = 0  # numbers the times that a look was wanted
        self._facts: NodeFacts | None = None

    def look(self, now: float, process: str | None, *, wanted: bool) -> NodeFacts | None:
        """Take note of what was seen. Begins nothing.

        Args:
            now: seconds, monotonic.
            process: tells the broker's process from any other.
            wanted: it runs and refuses connections, and nothing is being done to it.

        Returns:
            What the node says of itself, or since when it says nothing; None if that is not known, or of no
            interest.
        """
        self._current = (process, self._spell)
        if self._job is not None and self._job.done:
            self._collect(now)
        if wanted:
            self._due = now + FIRST if self._due is None else self._due
        else:
            if self._due is not None:
                self._spell += 1
            self._due, self._pause, self._facts = None, PAUSE, None
        return self._facts

    def ask(self, now: float) -> None:
        """Ask the node if it is time to, beside the loop; after :meth:`look` in the same turn."""
        if self._job is None and self._due is not None and now >= self._due:
            self._found, self._of = None, self._current
            self._job = self._launch("inspection", self._ask, self._wake)

    def _ask(self) -> None:
        try:
            self._found = self._look()
        except (NodeNotRunning, RabbitmqCtlTimeout) as error:
            if not self._answered():
                raise
            LOG.debug("the node refuses connections and does not answer its tools: %s", error)
            self._found = NodeState.SILENT

    def _collect(self, now: float) -> None:
        job, self._job = self._job, None
        failure = job.failure if job is not None else None
        if self._current != self._of:
            return  # it says nothing of what is there now
        self._due = now + self._pause
        # One that boots or resumes is on its way: how it goes on is of interest soon.
        longest = PAUSED_PAUSE if self._found is NodeState.PAUSED else LONGEST_PAUSE
        self._pause = PAUSE if self._found in _ON_ITS_WAY else min(longest, 2 * self._pause)
        if failure is not None:
            LOG.debug("the node cannot be asked why it refuses connections: %s", failure)
            self._facts = None
        elif self._found is not None and (self._facts is None or self._facts.state is not self._found):
            self._facts = NodeFacts(self._found, now)
