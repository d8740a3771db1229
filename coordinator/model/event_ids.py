"""What a change of the lead is called, by whoever tells of it. Pure.

Agents, the history and clients each see the same change by themselves. Its id is made of the epoch, and of
the incarnation in which that counts, so that all of them say the same without having to ask one another.
"""


def lead_taken(epoch: int, incarnation: int) -> str:
    """The lead with this epoch has begun. An id without an incarnation is of incarnation 0."""
    return f"lead-{incarnation}-{epoch}" if incarnation else f"lead-{epoch}"


def lead_lost(epoch: int, incarnation: int) -> str:
    """It has ended."""
    return f"{lead_taken(epoch, incarnation)}-lost"
