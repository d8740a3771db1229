"""What was seen of the alerts in the course of one fault. Pure: times are given."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

FIRING = "firing"


@dataclass(slots=True)
class AlertLog:
    """Alerts that fired, from a fault on. Times are seconds, of one clock."""

    fired: dict[str, float] = field(default_factory=dict)  # when each was first seen to fire
    cleared: dict[str, float] = field(default_factory=dict)  # when each was last seen to fire no more
    states: Mapping[str, str] = field(default_factory=dict)  # as they are now

    def note(self, states: Mapping[str, str], at: float) -> None:
        """Take down what Prometheus says at a moment.

        Args:
            states: ``pending`` or ``firing`` by alert.
        """
        now = {name for name, state in states.items() if state == FIRING}
        for name in now:
            self.fired.setdefault(name, at)
            self.cleared.pop(name, None)
        for name in self.fired.keys() - now:
            self.cleared.setdefault(name, at)
        self.states = states

    @property
    def firing(self) -> frozenset[str]:
        return frozenset(self.fired.keys() - self.cleared.keys())

    @property
    def quiet(self) -> bool:
        """Nothing fires, and nothing is about to."""
        return not self.states


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fault against the alerts. Times are seconds.

    Attributes:
        fault: its name.
        expected: what is to fire.
        fired: seconds from the fault to each alert that fired.
        cleared: seconds from the fault to the end of each that cleared.
        repaired: seconds from the fault to its repair; None: the group mends it by itself.
        tolerated: what may fire as well.
    """

    fault: str
    expected: frozenset[str]
    fired: Mapping[str, float]
    cleared: Mapping[str, float]
    repaired: float | None = None
    tolerated: frozenset[str] = frozenset()

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not as it is to be; empty if all is."""
        fired = self.fired.keys()
        return (
            *_said("has not fired", self.expected - fired),
            *_said("fired as well", fired - self.expected - self.tolerated),
            *_said("has not cleared", fired - self.cleared.keys()),
        )

    def row(self) -> str:
        """A row of a table in Markdown."""
        told = "; ".join(
            f"{name} {self.fired[name]:.0f} s to "
            + (f"{self.cleared[name]:.0f} s" if name in self.cleared else "the end")
            for name in sorted(self.fired, key=self.fired.__getitem__)
        )
        until = "by itself" if self.repaired is None else f"after {self.repaired:.0f} s"
        return f"| {self.fault} | {until} | {told or 'none'} | {'; '.join(self.problems) or 'as expected'} |"


HEAD = "| fault | repaired | alerts, from and to | |\n| --- | --- | --- | --- |"


def outcome(
    fault: str,
    log: AlertLog,
    *,
    struck: float,
    repaired: float | None,
    expected: Iterable[str],
    tolerated: Iterable[str] = (),
) -> Outcome:
    """What a log says of a fault.

    Args:
        struck: when it was made.
        repaired: when it was undone; None: the group mends it.
    """
    return Outcome(
        fault,
        frozenset(expected),
        {name: at - struck for name, at in log.fired.items()},
        {name: at - struck for name, at in log.cleared.items()},
        None if repaired is None else repaired - struck,
        frozenset(tolerated),
    )


def _said(what: str, names: Collection[str]) -> list[str]:
    return [f"{name} {what}" for name in sorted(names)]
