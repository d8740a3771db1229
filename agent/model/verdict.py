"""How a broker is: what the health judge says, for everybody who acts on it."""

from dataclasses import dataclass

from rabbitkeeper.coordinator.model.records import MemberStatus


@dataclass(frozen=True, slots=True)
class Verdict:
    status: MemberStatus
    reasons: tuple[str, ...]
    since: float  # of this status, seconds monotonic
    warnings: tuple[str, ...] = ()  # what a person should see to, whatever the status

    @property
    def well(self) -> bool:
        """Whether the broker serves clients: running, or alarmed or without a majority through no fault of
        its own."""
        return self.status.serves
