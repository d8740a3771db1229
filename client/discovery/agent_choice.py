"""Which agent a client asks next, when, and how: by its stream or again and again. Pure.

Agents are asked in an order by chance, so that many clients spread over them. One that fails is asked again
after a pause that grows; meanwhile the others are. Where the stream does not work, as behind a proxy that
holds it back, the agent is polled, and the stream is tried again now and then.
"""

from dataclasses import dataclass, field
from random import Random

from rabbitkeeper.client.model.retry import doubled

PAUSE = 0.25  # seconds: half of the longest pause after the first failure of an agent
LONGEST_PAUSE = 5.0  # seconds
BRIEF = 5.0  # seconds: a stream that ends by itself sooner does not work
STREAM_AGAIN = 30.0  # seconds until a stream that did not work is tried again; doubled each time
STREAM_AGAIN_AT_LAST = 600.0  # seconds


@dataclass(slots=True)
class _Agent:
    number: int
    failures: int = 0  # in a row
    due: float = 0.0  # not asked before; seconds, monotonic
    trouble: str | None = None  # how it failed last; None: it did not, or has not been asked
    broken_streams: int = 0  # in a row
    stream_due: float = 0.0  # polled until then


@dataclass(slots=True)
class AgentChoice:
    """One client's.

    Args:
        count: of the agents.
        random: for the order and the jitter.
    """

    count: int
    random: Random
    _order: list[_Agent] = field(init=False)
    _turn: int = 0  # in ``_order``: whose it is

    def __post_init__(self) -> None:
        self._order = [_Agent(number) for number in range(self.count)]
        self.random.shuffle(self._order)

    def next(self, now: float) -> tuple[int, float]:
        """The agent whose turn it is, and when it may be asked.

        Args:
            now: seconds, monotonic.
        """
        ahead = self._ahead()
        for agent in ahead:
            if agent.due <= now:
                return agent.number, now
        soonest = min(ahead, key=lambda agent: agent.due)
        return soonest.number, soonest.due

    def failed(self, number: int, why: str, now: float) -> None:
        """It is of no use at the moment; the next one's turn comes."""
        agent = self._agent(number)
        agent.failures += 1
        agent.trouble = why
        ceiling = doubled(PAUSE, agent.failures, LONGEST_PAUSE)
        agent.due = now + ceiling * self.random.uniform(0.5, 1.0)
        self._turn = (self._order.index(agent) + 1) % self.count

    def answered(self, number: int) -> None:
        """It has said how the group is; its turn goes on."""
        self._turn = self._order.index(self._agent(number))

    def worked(self, number: int) -> None:
        """It has said so in the way in which it will be asked from now on: its failures are over."""
        agent = self._agent(number)
        agent.failures, agent.trouble = 0, None

    @property
    def all_failed(self) -> bool:
        """Whether each has failed since it last worked, so that nothing is known of how it is now."""
        return all(agent.failures for agent in self._order)

    @property
    def troubles(self) -> dict[int, str]:
        """How those failed that did."""
        failed = {agent.number: agent.trouble for agent in self._order if agent.trouble is not None}
        return dict(sorted(failed.items()))

    def streams(self, number: int, now: float) -> bool:
        """Whether its stream is to be listened to; else it is polled."""
        return self._agent(number).stream_due <= now

    def stream_broke(self, number: int, now: float) -> None:
        """The stream does not work there, though the agent answers. The next one's turn comes whose stream
        may work; when there is none, it is this one's still, which is polled."""
        agent = self._agent(number)
        pause = doubled(STREAM_AGAIN, agent.broken_streams, STREAM_AGAIN_AT_LAST)
        agent.broken_streams += 1
        agent.stream_due = now + pause * self.random.uniform(0.5, 1.0)
        self._turn = self._order.index(agent)
        for other in self._ahead():
            if other.due <= now and other.stream_due <= now:
                self._turn = self._order.index(other)
                return

    def stream_works(self, number: int) -> None:
        """The stream has told how the group is."""
        self._agent(number).broken_streams = 0

    def _ahead(self) -> list[_Agent]:
        """All of them, in the order in which their turns come."""
        return self._order[self._turn :] + self._order[: self._turn]

    def _agent(self, number: int) -> _Agent:
        return next(agent for agent in self._order if agent.number == number)
