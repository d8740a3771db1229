"""The loop of ``consume``: messages as they come, each acked when it is written."""

from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty
from typing import Protocol

from rabbitkeeper.client.cli.interrupts import CommandInterrupted, Interrupts
from rabbitkeeper.client.cli.pace import Pace
from rabbitkeeper.client.cli.progress import Progress
from rabbitkeeper.client.cli.waiting import Waiting
from rabbitkeeper.client.consume.message import Message


class Taking(Protocol):
    """What gives messages, as a consumer does."""

    def get(self, timeout: float | None = None) -> Message | None: ...


@dataclass(slots=True)
class Consumed:
    """What became of it."""

    messages: int = 0
    redelivered: int = 0  # of them, that had been delivered before
    interrupted: bool = False
    idle: bool = False  # it ended because none came

    def sentence(self, seconds: float) -> str:
        """For people: ``2 consumed, in 0.3 s (7 a second)``."""
        again = f", {self.redelivered} of them delivered before" if self.redelivered else ""
        rate = f" ({self.messages / seconds:.0f} a second)" if seconds > 0 else ""
        return f"{self.messages} consumed{again}, in {seconds:.1f} s{rate}"


def consume(
    total: Consumed,
    consumer: Taking,
    write: Callable[[Message], object],
    waiting: Waiting,
    interrupts: Interrupts,
    progress: Progress,
    *,
    pace: Pace,
    count: int | None,
    idle: float | None,
) -> None:
    """Write and ack messages, until there are ``count``, none comes for ``idle`` seconds, or an interrupt.

    Args:
        total: is counted up meanwhile.
        write: returns when the message is where it goes; when it raises, the message is not acked.

    Raises:
        RabbitKeeperError: the consumer ended with it.
        OSError: a message cannot be written.
    """
    try:
        while count is None or total.messages < count:
            with interrupts.may_come():
                if (pause := pace.pause(waiting.now())) > 0:
                    waiting.pause(pause)
                message = consumer.get(idle)
            if message is None:
                break
            write(message)
            message.ack()
            total.messages += 1
            total.redelivered += message.redelivered
            progress.show(total.messages)
    except Empty:
        total.idle = True
    except CommandInterrupted:
        total.interrupted = True
