"""What a switch remembers of members that failed: when each is tried again, how long, and which is doubted.

Pure. Members are known by their addresses; times are seconds, monotonic.
"""

from dataclasses import dataclass
from random import Random

from rabbitkeeper.client.model.retry import MAXIMUM, Retry, doubled

MOST_PAUSE = 10.0  # seconds between attempts at a broker that ends each connection
MOST_PATIENCE = 16  # times the first: how long an attempt to connect may take, after some without an answer
DOUBT = 10.0  # seconds for which a member that did not answer is not moved to; doubled each time …
MOST_DOUBT = 160.0  # … up to this


@dataclass(slots=True)
class _Failed:
    retry: Retry
    silent: int = 0  # of those, in a row: attempts for which there was not enough time
    retry_at: float = 0.0


@dataclass(slots=True)
class _Doubted:
    seconds: float = DOUBT  # that the next doubt lasts
    until: float = 0.0


class Failures:
    """Of all members.

    Args:
        random: for the jitter of retries.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failed: dict[str, _Failed] = {}
        self._doubted: dict[str, _Doubted] = {}
        self._silent = 0  # attempts in a row, at whatever members, that had no answer

    def __contains__(self, address: str) -> bool:
        """Whether it has failed, and not worked since."""
        return address in self._failed

    def failed(self, address: str, now: float, *, silent: bool = False, ended: bool = False) -> None:
        """It could not be connected to, or a connection was lost.

        Args:
            silent: the attempt had no answer in its time.
            ended: the broker is well, and ends this client's connections or does not let it in: the pauses
                grow beyond those for one that will be back in a moment.
        """
        failed = self._failed.setdefault(address, _Failed(Retry(self._random)))
        failed.retry.maximum = MOST_PAUSE if ended else MAXIMUM
        failed.retry_at = now + failed.retry.failed()
        failed.silent += silent
        self._silent = self._silent + 1 if silent else 0

    def opened(self) -> None:
        """A member has answered."""
        self._silent = 0

    def worked(self, address: str) -> None:
        """The next failure is the first again."""
        self._failed.pop(address, None)

    def is_well(self, address: str) -> None:
        """Its agent, or its lead, says so."""
        self._failed.pop(address, None)
        self._doubted.pop(address, None)

    def retry_at(self, address: str) -> float:
        """When it may be tried; minus infinity if it has not failed."""
        failed = self._failed.get(address)
        return float("-inf") if failed is None else failed.retry_at

    def patience(self, address: str) -> float:
        """How long the next attempt may take, as a multiple of the first: brokers that are slow under many
        clients are not asked again and again for nothing. Where one member after the other has not answered
        in its time, the next one will need longer, too."""
        failed = self._failed.get(address)
        silent = self._silent if failed is None else max(self._silent, failed.silent)
        return doubled(1.0, silent, MOST_PATIENCE)

    def doubt(self, address: str, now: float) -> bool:
        """Its connection works and does not answer.

        Returns:
            Whether this is news: it was not doubted before, or that is some time ago.
        """
        doubted = self._doubted.setdefault(address, _Doubted())
        if now < doubted.until:
            return False
        doubted.until, doubted.seconds = now + doubted.seconds, min(MOST_DOUBT, 2 * doubted.seconds)
        return True

    def doubted_until(self, address: str) -> float:
        """Until when it is not moved to; minus infinity if it was never doubted."""
        doubted = self._doubted.get(address)
        return float("-inf") if doubted is None else doubted.until
