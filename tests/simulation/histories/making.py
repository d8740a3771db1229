"""All steps of a history by their names, and how one is made."""

from collections.abc import Callable

from simulation.histories.faults import FAULTS
from simulation.histories.readers import STREAM
from simulation.histories.signals import interrupt_answering, interrupt_publishing, interrupt_taking
from simulation.histories.steps import Player, Step

_BY_PLAYERS: dict[str, Callable[[Player, int], None]] = {
    "interrupt_publishing": interrupt_publishing,
    "interrupt_taking": interrupt_taking,
    "interrupt_answering": interrupt_answering,
}
_BY_PLAYERS |= {
    name: getattr(Player, name)
    for name in (
        "publish",
        "publish_everywhere",
        "cancel",
        "declare",
        "declare_wrongly",
        "subscribe",
        "read",
        "stop",
        "drop",
        "take",
        "refuse_for_a_moment",
        "forget_queue",
        "slow_network",
        "lead",
        "cut_a_move",
        "resign",
        "tell_the_truth",
        "tell_something",
        "vanish",
        "show_the_past",
    )
}
STEPS = frozenset(_BY_PLAYERS) | frozenset(FAULTS)
OFTEN = (
    "publish",
    "publish_everywhere",
    "lead",
    "kill",
    "tell_the_truth",
    "take",
    "subscribe",
    "cancel_consumers",
    "cut_a_move",
    "refuse_for_a_moment",
    "stale_record",
    "forget_queue",
    "read",
    "interrupt_publishing",
    "interrupt_taking",
    "interrupt_answering",
)
"""Steps that a history has more of."""


def make(player: Player, step: Step) -> None:
    """Make one step, then let its time pass."""
    if step.what in FAULTS:
        FAULTS[step.what](player.simulation.cluster, step.choice)
    else:
        _BY_PLAYERS[step.what](player, step.choice)
    player.simulation.run(step.seconds)
    for reader in player.readers:
        reader.look(player.simulation.journal.stored[STREAM])
