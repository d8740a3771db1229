"""Where clients go: one by one, and a thousand of them in virtual time."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabbitkeeper.client.routing.placement import (
    CALM,
    LEAVING,
    PROMPT,
    ROUND,
    Placement,
    Spread,
    Target,
    Targets,
)
from rabbitkeeper.coordinator.model.records import MemberStatus

CLIENTS = 1000


def member(
    name: str, status: MemberStatus = MemberStatus.RUNNING, instance: str = "1", site: str | None = None
) -> Target:
    return Target(name, instance, f"{name}:5672", status, site)


def group(*members: Target, leader: str | None = None, **loads: int) -> Targets:
    known = {one.member: one for one in members}
    return Targets(1, known.get(leader or ""), known, loads)


A, B, C = member("a"), member("b"), member("c")


def placement(spread: Spread, site: str | None = None) -> Placement:
    return Placement(spread, site, Random(1), 0.0)


# -- one client


def test_by_default_a_client_goes_to_the_leader_and_follows_it() -> None:
    place, targets = placement("leader"), group(A, B, C, leader="b")
    assert place.candidates(targets)[0] == B
    assert place.wish(targets, A, 0.0) == B
    assert place.wish(targets, B, 0.0) is None


def test_members_that_are_not_well_come_last_and_dead_ones_not_at_all() -> None:
    targets = group(
        member("a", MemberStatus.ALARMED),
        member("b", MemberStatus.HUNG),
        member("d", MemberStatus.STARTING),
        C,
    )
    spreads: tuple[Spread, ...] = ("leader", "members")
    for spread in spreads:
        assert [one.member for one in placement(spread).candidates(targets)] == ["c", "a"]


def test_a_client_of_a_site_stays_there_whoever_leads_and_leaves_it_only_for_want() -> None:
    near, far = member("near", site="x"), member("far", site="y")
    place = placement("site", "x")
    assert place.candidates(group(near, far, leader="far"))[0] == near
    assert place.wish(group(near, far, leader="far"), near, 0.0) is None
    assert place.candidates(group(member("near", MemberStatus.STOPPED, site="x"), far))[0] == far
    assert place.wish(group(near, far, leader="far"), far, 0.0) == near, "it is back"


def test_spread_over_members_follows_no_leader() -> None:
    place, targets = placement("members"), group(A, B, C, leader="b")
    assert place.wish(targets, A, 0.0) is None
    assert not place.awaits_leader


def test_a_client_on_a_member_that_carries_its_share_stays() -> None:
    place = placement("members")
    for turn in range(100):
        assert place.wish(group(A, B, C, a=105, b=95, c=100), A, ROUND * 2 * turn) is None


def test_a_refused_wish_is_dropped_until_the_next_round() -> None:
    place, targets, now = placement("members"), group(A, B, a=1000, b=0), 0.0
    while (wish := place.wish(targets, A, now)) is None:
        now = place.compare_at
    assert wish == B
    place.refused()
    assert place.wish(targets, A, now) is None


# -- many clients and a new leader


@pytest.mark.parametrize(("connections", "seconds"), [(20, 0.8), (250, 10.0), (1000, 40.0), (100_000, 300.0)])
def test_clients_go_to_a_new_leader_one_after_the_other(connections: int, seconds: float) -> None:
    moments: list[float] = []
    for seed in range(200):
        place = Placement("leader", None, Random(seed), 0.0)
        before = group(A, B, C, leader="a", a=connections)
        place.view(Targets(), before, 0.0)
        after = group(A, B, C, leader="b", a=0)  # as others say it: the old leader carries none any more
        place.view(before, after, 1.0)
        now = 1.0
        while place.wish(after, A, now) is None:
            now = place.compare_at
        moments.append(now - 1.0)
    assert max(moments) <= seconds
    assert max(moments) > 0.8 * seconds
    assert sum(moments) / len(moments) == pytest.approx(seconds / 2, rel=0.2)


def test_a_client_whose_connection_was_slow_to_open_is_in_no_hurry_to_be_elsewhere() -> None:
    targets = group(A, B, C, leader="b")
    prompt, slow = placement("leader"), placement("leader")
    prompt.opened(PROMPT, 0.0)
    assert prompt.wish(targets, A, 0.0) == B
    slow.opened(PROMPT + 2.0, 0.0)
    assert slow.wish(targets, A, 0.0) is None
    assert 0.0 < slow.compare_at <= CALM * 2.0
    assert slow.wish(targets, A, slow.compare_at) == B
    assert slow.wish(group(A, B, C, leader="a"), A, 0.0) is None


def test_a_client_does_not_wait_longer_because_the_lead_moves_again() -> None:
    place, before = placement("leader"), group(A, B, C, leader="a", a=1000)
    place.view(Targets(), before, 0.0)
    second, third = group(A, B, C, leader="b"), group(A, B, C, leader="c")
    place.view(before, second, 0.0)
    assert place.wish(second, A, 0.0) is None
    moment = place.compare_at
    place.view(second, third, moment / 2)
    assert place.wish(third, A, moment / 2) is None
    assert place.wish(third, A, moment) == C


def test_a_leader_that_drains_is_left_in_time_for_the_next() -> None:
    place, before = placement("leader"), group(A, B, C, leader="a", a=100_000)
    place.view(Targets(), before, 0.0)
    after = group(A, B, C, leader="b")
    place.view(before, after, 0.0)
    assert place.wish(after, A, 0.0) is None
    draining = group(member("a", MemberStatus.DRAINING), B, C, leader="b")
    place.view(after, draining, 0.0)
    assert place.wish(draining, A, 0.0) is None
    assert place.compare_at <= LEAVING
    assert place.wish(draining, A, LEAVING) == B


# -- a member that drains


def leaves(place: Placement, targets: Targets, current: Target) -> Target | None:
    """Where the client goes in the time that a draining member leaves it."""
    place.wish(targets, current, 0.0)
    return place.wish(targets, current, place.compare_at)


@pytest.mark.parametrize("seed", range(20))
def test_a_client_that_spreads_leaves_a_draining_member_for_a_running_one(seed: int) -> None:
    place = Placement("members", None, Random(seed), 0.0)
    targets = group(member("a", MemberStatus.DRAINING), member("b", MemberStatus.ALARMED), C)
    assert place.wish(targets, A, 0.0) is None, "at a time of its own"
    assert 0 < place.compare_at <= LEAVING
    assert place.wish(targets, A, place.compare_at) == C
    place.refused()
    assert place.wish(targets, A, LEAVING) == C, "it does not wait for the next round"
    place.fulfilled()
    assert place.wish(targets, C, LEAVING) is None


def test_a_client_stays_on_a_draining_member_when_there_is_no_better_one() -> None:
    place = placement("members")
    targets = group(member("a", MemberStatus.DRAINING), member("b", MemberStatus.ALARMED))
    for _ in range(5):
        now = place.compare_at
        assert place.wish(targets, A, now) is None
        assert place.compare_at > now, "it looks again later, not all the time"


def test_a_member_that_drains_no_longer_is_not_left() -> None:
    place = placement("members")
    assert leaves(place, group(member("a", MemberStatus.DRAINING), B), A) == B
    assert place.wish(group(A, B), A, 1.0) is None


def test_a_client_of_a_site_leaves_its_draining_member_and_does_not_come_back_to_it() -> None:
    near, far = member("near", site="x"), member("far", site="y")
    draining = member("near", MemberStatus.DRAINING, site="x")
    second = member("second", site="x")
    assert leaves(placement("site", "x"), group(draining, second, far, leader="far"), near) == second
    place, targets = placement("site", "x"), group(draining, far, leader="near")
    assert leaves(place, targets, near) == far
    place.fulfilled()
    assert place.wish(targets, far, 2.0) is None
    assert place.candidates(targets)[0] == far
    assert place.wish(group(near, far), far, 3.0) == near, "it is back"


def test_by_default_clients_leave_a_draining_member_with_the_lead() -> None:
    place, draining = placement("leader"), member("a", MemberStatus.DRAINING)
    assert leaves(place, group(draining, B, leader="a"), A) is None
    assert place.wish(group(draining, B, leader="b"), A, 0.0) == B


# -- a thousand clients


class Crowd:
    """Clients with a placement each. ``period`` seconds old at the most are the figures that they see."""

    def __init__(self, members: str, *, loads: bool, seed: int, period: float = 5.0) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.members = {name: member(name) for name in members}
        self.with_loads = loads
        self.period = period
        self.places = [Placement("members", None, Random(self.random.random()), 0.0) for _ in range(CLIENTS)]
        self.at: list[str] = []
        self.moves: list[float] = []
        self.targets = self.seen()
        self.at = [self.first(place) for place in self.places]
        self.look()

    def first(self, place: Placement) -> str:
        return place.candidates(self.targets)[0].member

    def seen(self) -> Targets:
        loads = Counter(dict.fromkeys(self.members, 0)) + Counter(self.at)
        known = {name: loads[name] for name in self.members} if self.with_loads else {}
        return group(*self.members.values(), leader=None, **known)

    def look(self) -> None:
        before, self.targets = self.targets, self.seen()
        for place in self.places:
            place.view(before, self.targets, self.now)

    def lose(self, name: str) -> None:
        """Its clients see it at once, and choose by the figures that they have."""
        gone = [number for number, at in enumerate(self.at) if at == name]
        self.members[name] = member(name, MemberStatus.UNREACHABLE)
        self.look()
        for number in gone:
            self.at[number] = self.first(self.places[number])

    def drain(self, name: str) -> None:
        self.members[name] = member(name, MemberStatus.DRAINING)
        self.look()

    def come(self, name: str) -> None:
        self.members[name] = member(name, instance="2")
        self.look()

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 0.5
            if self.now % self.period == 0:
                self.look()
            for number, place in enumerate(self.places):
                wish = place.wish(self.targets, self.members[self.at[number]], self.now)
                if wish is not None:
                    self.at[number] = wish.member
                    self.moves.append(self.now)
                    place.fulfilled()

    @property
    def share(self) -> dict[str, float]:
        count = Counter(self.at)
        return {name: count[name] / CLIENTS for name in self.members}


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from(["abc", "abcde"]))
def test_a_thousand_clients_never_land_on_one_node(seed: int, loads: bool, names: str) -> None:
    crowd = Crowd(names, loads=loads, seed=seed)
    even = 1 / len(names)
    assert max(crowd.share.values()) < 2 * even
    crowd.lose("a")
    assert crowd.share["a"] == 0
    assert max(crowd.share.values()) < 2 / (len(names) - 1)
    crowd.run(60)
    crowd.moves.clear()
    crowd.come("a")
    came = crowd.now
    crowd.run(8 * ROUND)
    share = crowd.share
    assert 0.5 * even < share["a"] < 1.7 * even, "the returned node has its share"
    assert max(share.values()) < 1.7 * even
    in_five_seconds = max(
        sum(start <= moved < start + 5 for moved in crowd.moves) for start in range(int(came), int(crowd.now))
    )
    assert in_five_seconds < CLIENTS * 0.15, "a few at a time"
    assert len(crowd.moves) < CLIENTS * 0.8, "hardly anybody moves twice"


@pytest.mark.parametrize("loads", [False, True])
def test_all_clients_at_once_do_not_fall_upon_the_one_empty_node(loads: bool) -> None:
    crowd = Crowd("abc", loads=loads, seed=5)
    crowd.at = ["a"] * 500 + ["b"] * 500
    crowd.look()
    crowd.lose("a")
    assert crowd.share["c"] < 0.5, (
        "half of all are those that have lost their node, and not all of them go there"
    )


@pytest.mark.parametrize("loads", [False, True])
def test_a_draining_node_is_left_in_time_and_has_its_share_again_when_it_is_back(loads: bool) -> None:
    crowd = Crowd("abc", loads=loads, seed=7)
    crowd.drain("a")
    crowd.run(1.0)
    assert crowd.share["a"] == 0
    assert max(crowd.share.values()) < 0.65
    crowd.come("a")
    crowd.run(8 * ROUND)
    assert 0.5 / 3 < crowd.share["a"] < 1.7 / 3
