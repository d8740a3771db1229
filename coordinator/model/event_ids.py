"""What a change of the lead is called, by whoever tells of it. Pure.

Agents, the history and clients each see the same change by themselves. Its id is made of the epoch alone, so
that all of them say the same without having to ask one another.
"""


def lead_taken(epoch: int) -> str:
    """The lead with this epoch has begun."""
    return f"lead-{epoch}"


def lead_lost(epoch: int) -> str:
    """It has ended."""
    return f"lead-{epoch}-lost"
