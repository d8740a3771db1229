"""Routes: at which member a place was last seen to lead to a queue. Pure.

A confirmed mandatory message was routed (RabbitMQ returns it otherwise), so its place leads somewhere at the
member that has confirmed it. A member that says later that it leads nowhere may be the one that is wrong: it
has come up apart from the others, or does not know yet what was declared elsewhere.

This is called for each burst of confirms, so it notes a template once and marks it: a message that is not the
first costs one comparison.
"""

from collections.abc import Sequence

from rabbitkeeper.client.publish.entry import Entry, Place

REMEMBERED = 4096  # places at the present member, and as many at others; routing keys are unboundedly many


class Routes:
    """Those of a client.

    Attributes:
        member: where the client is; empty before it has been anywhere.
    """

    def __init__(self) -> None:
        self.member = ""
        self._here: set[Place] = set()
        self._elsewhere: dict[Place, str] = {}  # the longest known first
        self._mark = object()  # of the templates whose places are noted

    def confirmed(self, entries: Sequence[Entry]) -> None:
        """They were confirmed at the present member, and had not come back."""
        mark = self._mark
        for entry in entries:
            template = entry.template
            if template.mark is not mark:
                template.mark = mark
                if template.mandatory:
                    self._here.add((template.exchange, template.routing_key))
        if len(self._here) > REMEMBERED:
            self._forget_here()

    def moved_to(self, member: str) -> None:
        """The client is at ``member`` from now on."""
        if member == self.member:
            return
        for place in self._here:
            self._elsewhere.pop(place, None)
            self._elsewhere[place] = self.member
        for place in list(self._elsewhere)[: max(0, len(self._elsewhere) - REMEMBERED)]:
            del self._elsewhere[place]
        self._forget_here()
        self.member = member

    def elsewhere(self, place: Place) -> str | None:
        """The other member at which ``place`` was seen last, unless it was seen at the present one, too."""
        member = None if place in self._here else self._elsewhere.get(place)
        return None if member == self.member else member

    def forget(self, place: Place) -> None:
        """It leads nowhere any more at the other member."""
        self._elsewhere.pop(place, None)

    def forget_member(self, member: str) -> None:
        """It cannot be asked."""
        self._elsewhere = {place: known for place, known in self._elsewhere.items() if known != member}

    def _forget_here(self) -> None:
        self._here.clear()
        self._mark = object()
