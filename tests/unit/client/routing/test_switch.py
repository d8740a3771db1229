"""The switch: which broker, when to move, when to wait. Virtual time, no sockets."""

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.effort import examples

from rabbitkeeper.client.model.retry import MAXIMUM
from rabbitkeeper.client.routing.failures import DOUBT
from rabbitkeeper.client.routing.placement import Placement, Target, Targets
from rabbitkeeper.client.routing.switch import (
    AFTER_LOSS,
    CONNECT_TIMEOUT,
    LEADERLESS_GRACE,
    SETTLED,
    Abort,
    Migrate,
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
    switch.ready(order.number, 0.1)
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


def test_a_client_of_a_site_that_moves_to_one_member_of_it_is_not_sent_to_another_by_chance() -> None:
    home, one, other = (Target(name, "1", f"{name}:5672", MemberStatus.RUNNING, "home") for name in "hij")
    for seed in range(20):
        random = Random(seed)
        switch = Switch(0.0, random, Placement("site", "home", random, 0.0))
        (order,) = switch.view(group("a", 1, A), 0.0)
        assert isinstance(order, Open)
        switch.ready(order.number, 0.1)
        (order,) = switch.view(group("a", 1, A, home, one, other), 1.0)
        assert isinstance(order, Open)
        (move,) = switch.ready(order.number, 1.1)
        assert isinstance(move, Migrate)
        for epoch in range(2, 6):
            assert switch.view(group("a", epoch, A, home, one, other), 1.2) == []


def test_when_its_broker_dies_a_client_goes_to_another_at_once_without_an_election() -> None:
    switch = live_on_a()
    (order,) = switch.failed(1, 1.0)
    assert isinstance(order, Open)
    assert order.target in (B, C)
    assert switch.phase is Phase.SWITCHING


def test_members_that_do_not_answer_one_after_the_other_are_given_more_time() -> None:
    switch = live_on_a()
    now, timeouts = 1.0, []
    orders = switch.failed(1, now)
    for _ in range(4):
        (order,) = orders or switch.tick(now := switch.wake_at(now))
        assert isinstance(order, Open)
        timeouts.append(order.timeout)
        now += order.timeout
        orders = switch.failed(order.number, now)
    first = CONNECT_TIMEOUT * AFTER_LOSS
    assert timeouts == [first, 2 * first, 4 * first, 8 * first]


def test_when_the_new_leader_is_elsewhere_the_client_opens_it_first_and_leaves_the_old_one_after() -> None:
    switch = live_on_a()
    (order,) = switch.view(group("b", 2, A, B, C), 1.0)
    assert isinstance(order, Open)
    assert order.target == B
    assert switch.phase is Phase.LIVE
    (migrate,) = switch.ready(order.number, 1.1)
    assert migrate == Migrate(order.number, B, old=1)
    assert switch.current == (1, A), "everything goes over the old one still"
    (promote,) = switch.moved(order.number, 1.2)
    assert promote == Promote(order.number, B, retire=1, prepared=True)
    assert switch.current == (order.number, B)


def test_a_move_away_from_a_member_that_is_gone_is_urgent() -> None:
    switch = live_on_a()
    (order,) = switch.view(group("b", 2, B, C), 1.0)
    assert isinstance(order, Open)
    (promote,) = switch.ready(order.number, 1.1)
    assert promote == Promote(order.number, B, retire=1)


def moving_to_b() -> Switch:
    switch = live_on_a()
    (order,) = switch.view(group("b", 2, A, B, C), 1.0)
    switch.ready(order.number, 1.1)
    assert switch.is_moving
    return switch


def test_one_move_at_a_time() -> None:
    switch = moving_to_b()
    assert switch.view(group("b", 2, A, B, C), 1.2) == []
    assert switch.tick(5.0) == []
    abort, order = switch.view(group("c", 3, A, B, C), 5.0)
    assert isinstance(abort, Abort)
    assert (abort.number, abort.was_current) == (2, False)
    assert isinstance(order, Open)
    assert order.target == C
    assert switch.current == (1, A)
    assert switch.moved(2, 5.1) == [], "it was called off"


def test_when_the_old_connection_is_lost_on_the_move_the_new_one_takes_over_at_once() -> None:
    switch = moving_to_b()
    assert switch.failed(1, 1.2) == [Promote(2, B, retire=None)]
    assert (switch.phase, switch.lost_at) == (Phase.LIVE, 1.2)
    assert switch.moved(2, 1.3) == [], "it has happened already"


def test_when_the_new_connection_is_lost_on_the_move_the_client_stays_and_tries_again_later() -> None:
    switch = moving_to_b()
    assert switch.failed(2, 1.2) == []
    assert (switch.phase, switch.current, switch.is_moving) == (Phase.LIVE, (1, A), False)
    (again,) = switch.tick(switch.wake_at(1.2))
    assert isinstance(again, Open)
    assert again.target == B


def test_a_broker_that_is_called_hung_on_the_move_is_left_at_once() -> None:
    switch = moving_to_b()
    abort, promote = switch.view(group("b", 2, member("a", MemberStatus.HUNG), B, C), 1.2)
    assert isinstance(abort, Abort)
    assert (abort.number, abort.was_current) == (1, True)
    assert promote == Promote(2, B, retire=None)


def test_a_member_that_vanishes_on_the_move_is_not_waited_for() -> None:
    switch = moving_to_b()
    assert switch.view(group("b", 2, B, C), 1.2) == [Promote(2, B, retire=1)]


def test_a_move_to_a_broker_that_is_called_hung_is_given_up() -> None:
    switch = moving_to_b()
    (abort,) = switch.view(group(None, 2, A, member("b", MemberStatus.HUNG), C), 1.2)
    assert isinstance(abort, Abort)
    assert (abort.number, abort.was_current) == (2, False)
    assert switch.current == (1, A)
    assert switch.moved(2, 1.3) == []


def test_when_both_are_called_hung_on_the_move_another_is_opened() -> None:
    switch = moving_to_b()
    hung = [member(name, MemberStatus.HUNG) for name in "ab"]
    one, other, order = switch.view(group(None, 2, *hung, C), 1.2)
    assert isinstance(one, Abort)
    assert isinstance(other, Abort)
    assert {one.number, other.number} == {1, 2}
    assert isinstance(order, Open)
    assert order.target == C


def test_a_broker_that_its_agent_calls_hung_is_dropped_at_once() -> None:
    switch = live_on_a()
    abort, order = switch.view(group(None, 1, member("a", MemberStatus.HUNG), B, C), 1.0)
    assert isinstance(abort, Abort)
    assert abort.number == 1
    assert isinstance(order, Open)
    assert order.target in (B, C)


def test_an_older_epoch_moves_nobody() -> None:
    switch = Switch(0.0, Random(1))
    switch.view(group("b", 7, A, B), 0.0)
    assert switch.view(group("a", 6, A, B), 0.1) == []
    assert switch.targets.epoch == 7


def test_a_failed_move_leaves_the_working_connection_alone_and_is_tried_again_later() -> None:
    switch = live_on_a()
    (order,) = switch.view(group("b", 2, A, B), 1.0)
    assert isinstance(order, Open)
    assert switch.failed(order.number, 1.5) == []
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
            orders = switch.failed(order.number, now)
            break
        else:
            due = switch.wake_at(now)
            assert due - now <= MAXIMUM
            now = max(due, now + 0.001)
            orders = switch.tick(now)
    assert {name for _, name in tried if _ > 15.0} == {"a", "b", "c"}


def test_a_broker_that_ends_each_connection_at_once_is_not_tried_all_the_time() -> None:
    switch, now, losses = live_on_a(), 1.2, 0
    switch.view(group("a", 1, A), now)
    orders = switch.failed(1, now)
    while now < 20.0:
        for order in orders:
            assert isinstance(order, Open)
            switch.ready(order.number, now)
            orders = switch.failed(order.number, now + 0.01)
            losses += 1
            break
        else:
            now = max(now + 0.01, switch.wake_at(now))
            orders = switch.tick(now)
    assert losses < 100, "pauses grow to a second"
    (order,) = orders or switch.tick(now + MAXIMUM)
    assert isinstance(order, Open)
    switch.ready(order.number, 30.0)
    assert switch.failed(order.number, 30.0 + SETTLED), "a connection that has lasted is replaced at once"


def test_a_member_that_is_well_again_is_tried_without_waiting_out_the_pause() -> None:
    switch = Switch(0.0, Random(1))
    orders = switch.view(group("a", 1, A), 0.0)
    for attempt in range(8):
        for order in orders:
            assert isinstance(order, Open)
            switch.failed(order.number, float(attempt))
        orders = switch.tick(float(attempt) + 0.9999) or switch.tick(attempt + 1.0)
    if switch.next:
        switch.failed(switch.next[0], 9.0)
    (order, *_) = switch.view(group("a", 2, member("a", instance="2")), 9.0) or switch.tick(9.0)
    assert isinstance(order, Open)


def test_after_close_nothing_is_ordered() -> None:
    switch = live_on_a()
    assert [order.number for order in switch.close() if isinstance(order, Abort)] == [1]
    assert switch.view(group("b", 9, B), 2.0) == []
    assert switch.tick(3.0) == []
    assert switch.wake_at(3.0) == float("inf")


def test_a_member_that_does_not_answer_is_left_as_soon_as_another_is_not_doubted_any_more() -> None:
    switch = live_on_a()
    switch.view(group("a", 2, A, B), 10.0)
    (opened,) = switch.doubt(10.0)
    assert isinstance(opened, Open)
    switch.ready(opened.number, 10.1)
    assert switch.doubt(12.0) == [], "nobody is left"
    assert switch.wake_at(12.0) == 10.0 + DOUBT
    (again,) = switch.tick(10.0 + DOUBT)
    assert isinstance(again, Open)
    assert again.target == A


class SwitchMachine(RuleBasedStateMachine):
    """Any group, any failures: at most two connections, none dropped without a cause, no dead end."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.switch = Switch(0.0, Random(3))
        self.epoch = 0
        self.open: dict[int, Target] = {}  # open or being opened
        self.current: int | None = None
        self.moving_to: int | None = None

    def ended(self, number: int) -> None:
        del self.open[number]
        if self.current == number:
            self.current = None
        if self.moving_to == number:
            self.moving_to = None

    def obey(self, orders: list[Order]) -> None:
        for order in orders:
            match order:
                case Open(number=number, target=target):
                    assert number not in self.open
                    self.open[number] = target
                case Migrate(number=number, old=old):
                    assert number in self.open
                    assert old == self.current
                    assert self.moving_to is None
                    self.moving_to = number
                case Promote(number=number, retire=retire, prepared=prepared):
                    assert number in self.open
                    assert retire == self.current
                    assert not prepared or number == self.moving_to
                    self.current, self.moving_to = number, None
                    if retire is not None:
                        del self.open[retire]
                case Abort(number=number, was_current=was_current):
                    assert was_current == (number == self.current)
                    self.ended(number)

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
        if not self.open:
            return
        number = data.draw(st.sampled_from(sorted(self.open)))
        if not well:
            self.ended(number)
            self.obey(self.switch.failed(number, self.now))
        elif number == self.moving_to:
            self.obey(self.switch.moved(number, self.now))
        elif number != self.current:
            self.obey(self.switch.ready(number, self.now))

    @rule(seconds=st.floats(0.0, 3.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.obey(self.switch.tick(self.now))

    @invariant()
    def both_know_the_same(self) -> None:
        known = {number for number, _ in filter(None, (self.switch.current, self.switch.next))}
        assert known == set(self.open)
        assert self.switch.is_moving == (self.moving_to is not None)
        assert (None if self.switch.current is None else self.switch.current.number) == self.current
        assert (self.switch.phase is Phase.LIVE) == (self.current is not None)

    @invariant()
    def there_is_always_a_next_step(self) -> None:
        """Without a connection, one is being opened, or a time is known, or nobody can be connected to."""
        if self.open:
            return
        usable = self.switch._placement.candidates(self.switch.targets)
        if usable:
            assert self.switch.wake_at(self.now) < float("inf")


SwitchMachine.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40, deadline=None)
TestSwitch = SwitchMachine.TestCase
