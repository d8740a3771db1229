"""The switch: which broker, when to move, when to wait. Virtual time, no sockets."""

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rabbitkeeper.client.model.retry import MAXIMUM
from rabbitkeeper.client.routing.placement import Target, Targets
from rabbitkeeper.client.routing.switch import (
    LEADERLESS_GRACE,
    SETTLED,
    Abort,
    Open,
    Order,
    Phase,
    Promote,
    Switch,
)
from rabbitkeeper.coordinator.model.records import MemberStatus


def member(name: str, status: MemberStatus = MemberStatus.RUNNING, instance: str = "1") -> Target:
    return Target(name, instance, f"{name}:5672", status)


def group(leader: str | None, epoch: int, *members: Target) -> Targets:
    known = {one.member: one for one in members}
    leads = None if leader is None else known.get(leader, member(leader))
    return Targets(epoch, leads, known)


A, B, C = member("a"), member("b"), member("c")


def live_on_a() -> Switch:
    switch = Switch(0.0, Random(1))
    (order,) = switch.view(group("a", 1, A, B, C), 0.0)
    assert isinstance(order, Open)
    assert order.target == A
    switch.ready(order.link, 0.1)
    return switch


def test_a_starting_client_connects_to_the_leader() -> None:
    switch = live_on_a()
    assert switch.phase is Phase.LIVE
    assert switch.wake_at(1.0) == float("inf")


def test_a_starting_client_waits_for_a_leader_but_not_for_ever() -> None:
    switch = Switch(0.0, Random(1))
    assert switch.view(group(None, 0, B), 0.0) == []
    assert switch.wake_at(0.0) == LEADERLESS_GRACE
    (order,) = switch.tick(LEADERLESS_GRACE)
    assert isinstance(order, Open)
    assert order.target == B


def test_when_its_broker_dies_a_client_goes_to_another_at_once_without_an_election() -> None:
    switch = live_on_a()
    (order,) = switch.failed(1, 1.0)
    assert isinstance(order, Open)
    assert order.target in (B, C)
    assert switch.phase is Phase.SWITCHING


def test_when_the_new_leader_is_elsewhere_the_client_opens_it_first_and_leaves_the_old_one_after() -> None:
    switch = live_on_a()
    (order,) = switch.view(group("b", 2, A, B, C), 1.0)
    assert isinstance(order, Open)
    assert order.target == B
    assert switch.phase is Phase.LIVE
    (promote,) = switch.ready(order.link, 1.1)
    assert promote == Promote(order.link, B, retire=1, urgent=False)


def test_a_move_away_from_a_member_that_is_gone_is_urgent() -> None:
    switch = live_on_a()
    (order,) = switch.view(group("b", 2, B, C), 1.0)
    assert isinstance(order, Open)
    (promote,) = switch.ready(order.link, 1.1)
    assert promote == Promote(order.link, B, retire=1, urgent=True)


def test_a_broker_that_its_agent_calls_hung_is_dropped_at_once() -> None:
    switch = live_on_a()
    abort, order = switch.view(group(None, 1, member("a", MemberStatus.HUNG), B, C), 1.0)
    assert isinstance(abort, Abort)
    assert abort.link == 1
    assert isinstance(order, Open)
    assert order.target in (B, C)


def test_an_older_epoch_moves_nobody() -> None:
    switch = Switch(0.0, Random(1))
    switch.view(group("b", 7, A, B), 0.0)
    assert switch.view(group("a", 6, A, B), 0.1) == []
    assert switch.targets.epoch == 7


def test_a_failed_move_leaves_the_working_link_alone_and_is_tried_again_later() -> None:
    switch = live_on_a()
    (order,) = switch.view(group("b", 2, A, B), 1.0)
    assert isinstance(order, Open)
    assert switch.failed(order.link, 1.5) == []
    assert switch.phase is Phase.LIVE
    assert switch.current == (1, A)
    due = switch.wake_at(1.5)
    assert 1.5 <= due <= 2.5
    (again,) = switch.tick(due)
    assert isinstance(again, Open)
    assert again.target == B


def test_when_all_are_away_each_is_tried_again_within_the_longest_pause() -> None:
    switch = live_on_a()
    orders: list[Order] = switch.failed(1, 1.0)
    now, tried = 1.0, []
    while now < 20.0:
        for order in orders:
            assert isinstance(order, Open)
            tried.append((now, order.target.member))
            orders = switch.failed(order.link, now)
            break
        else:
            due = switch.wake_at(now)
            assert due - now <= MAXIMUM
            now = max(due, now + 0.001)
            orders = switch.tick(now)
    assert {name for _, name in tried if _ > 15.0} == {"a", "b", "c"}


def test_a_broker_that_ends_each_link_at_once_is_not_tried_all_the_time() -> None:
    switch, now, losses = live_on_a(), 1.2, 0
    switch.view(group("a", 1, A), now)
    orders = switch.failed(1, now)
    while now < 20.0:
        for order in orders:
            assert isinstance(order, Open)
            switch.ready(order.link, now)
            orders = switch.failed(order.link, now + 0.01)
            losses += 1
            break
        else:
            now = max(now + 0.01, switch.wake_at(now))
            orders = switch.tick(now)
    assert losses < 100, "pauses grow to a second"
    (order,) = orders or switch.tick(now + MAXIMUM)
    assert isinstance(order, Open)
    switch.ready(order.link, 30.0)
    assert switch.failed(order.link, 30.0 + SETTLED), "a link that has lasted is replaced at once"


def test_a_member_that_is_well_again_is_tried_without_waiting_out_the_pause() -> None:
    switch = Switch(0.0, Random(1))
    orders = switch.view(group("a", 1, A), 0.0)
    for attempt in range(8):
        for order in orders:
            assert isinstance(order, Open)
            switch.failed(order.link, float(attempt))
        orders = switch.tick(float(attempt) + 0.9999) or switch.tick(attempt + 1.0)
    if switch.next:
        switch.failed(switch.next[0], 9.0)
    (order, *_) = switch.view(group("a", 2, member("a", instance="2")), 9.0) or switch.tick(9.0)
    assert isinstance(order, Open)


def test_after_close_nothing_is_ordered() -> None:
    switch = live_on_a()
    assert [order.link for order in switch.close() if isinstance(order, Abort)] == [1]
    assert switch.view(group("b", 9, B), 2.0) == []
    assert switch.tick(3.0) == []
    assert switch.wake_at(3.0) == float("inf")


class SwitchMachine(RuleBasedStateMachine):
    """Any group, any failures: at most two links, none dropped without a cause, no dead end."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.switch = Switch(0.0, Random(3))
        self.epoch = 0
        self.links: dict[int, Target] = {}  # open or opening
        self.current: int | None = None

    def obey(self, orders: list[Order]) -> None:
        for order in orders:
            match order:
                case Open(link=link, target=target):
                    assert link not in self.links
                    self.links[link] = target
                case Promote(link=link, retire=retire):
                    assert link in self.links
                    self.current = link
                    if retire is not None:
                        del self.links[retire]
                case Abort(link=link):
                    del self.links[link]
                    if self.current == link:
                        self.current = None

    @rule(
        leader=st.sampled_from([None, "a", "b", "c"]),
        statuses=st.dictionaries(st.sampled_from("abc"), st.sampled_from(list(MemberStatus))),
        newer=st.booleans(),
    )
    def view(self, leader: str | None, statuses: dict[str, MemberStatus], newer: bool) -> None:
        self.epoch += newer
        members = [member(name, status) for name, status in statuses.items()]
        self.obey(self.switch.view(group(leader, self.epoch, *members), self.now))

    @rule(data=st.data(), well=st.booleans())
    def report(self, data: st.DataObject, well: bool) -> None:
        if not self.links:
            return
        link = data.draw(st.sampled_from(sorted(self.links)))
        if well and link != self.current:
            self.obey(self.switch.ready(link, self.now))
        elif not well:
            del self.links[link]
            if self.current == link:
                self.current = None
            self.obey(self.switch.failed(link, self.now))

    @rule(seconds=st.floats(0.0, 3.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.obey(self.switch.tick(self.now))

    @invariant()
    def links_agree(self) -> None:
        known = {link for link, _ in filter(None, (self.switch.current, self.switch.next))}
        assert known == set(self.links)
        assert (self.switch.phase is Phase.LIVE) == (self.current is not None)

    @invariant()
    def there_is_always_a_next_step(self) -> None:
        """Without a link, either one is being opened, or a time is known, or nobody can be connected to."""
        if self.links:
            return
        usable = self.switch._placement.candidates(self.switch.targets)
        if usable:
            assert self.switch.wake_at(self.now) < float("inf")


SwitchMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSwitch = SwitchMachine.TestCase
