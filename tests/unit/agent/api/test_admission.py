"""Who gets a place at the HTTP API and who loses it, over arrivals made by hand and by chance."""

from random import Random

import pytest

from rabbitkeeper.agent.api.admission import (
    HEAD_TIMEOUT,
    IDLE_TIMEOUT,
    STUCK,
    Admission,
    Limits,
    Place,
    Stage,
    counted_as,
    limits_for,
)

LIMITS = Limits(connections=8, per_address=4, others=3, others_per_address=2)


@pytest.fixture
def admission() -> Admission:
    return Admission(LIMITS)


def arrive(admission: Admission, host: str, now: float, stage: Stage = Stage.WAITING) -> Place:
    place, _ = admission.arrive(host, now)
    assert place is not None
    admission.move(place, stage, now)
    return place


def test_a_newcomer_gets_the_place_of_who_has_waited_longest_at_its_own_address(admission: Admission) -> None:
    first, second, *_ = [arrive(admission, "10.0.0.1", now) for now in range(4)]
    other = arrive(admission, "10.0.0.2", 0)
    assert admission.arrive("10.0.0.1", 5.0)[1] is first
    assert admission.arrive("10.0.0.1", 6.0)[1] is second
    assert admission.count == 5
    admission.leave(other)
    assert admission.count == 4


def test_when_all_is_full_the_address_with_most_gives_way(admission: Admission) -> None:
    most = [arrive(admission, "10.0.0.1", now) for now in range(3)]
    for host in range(2, 7):
        arrive(admission, f"10.0.0.{host}", 0)
    place, victim = admission.arrive("10.0.0.9", 9.0)
    assert place is not None
    assert victim is most[0]
    assert admission.count == 8


def test_who_waits_goes_before_who_is_idle_and_nobody_who_is_served(admission: Admission) -> None:
    idle = arrive(admission, "10.0.0.1", 0, Stage.IDLE)
    served = arrive(admission, "10.0.0.1", 1, Stage.OTHER)
    checked = arrive(admission, "10.0.0.1", 2, Stage.CHECK)
    waiting = arrive(admission, "10.0.0.1", 3)
    newcomer, victim = admission.arrive("10.0.0.1", 4)
    assert victim is waiting
    assert newcomer is not None
    admission.move(newcomer, Stage.CHECK, 4)
    newcomer, victim = admission.arrive("10.0.0.1", 4)
    assert victim is idle
    assert newcomer is not None
    admission.move(newcomer, Stage.CHECK, 4)
    assert admission.arrive("10.0.0.1", 4) == (None, None)  # all of them are served
    newcomer, victim = admission.arrive("10.0.0.1", 2 + STUCK)
    assert victim is checked  # it does not read its answer
    assert served.stage is Stage.OTHER


def test_requests_that_are_no_checks_leave_places_for_checks(admission: Admission) -> None:
    served = [arrive(admission, host, 0) for host in ("10.0.0.1", "10.0.0.1", "10.0.0.2")]
    assert all(admission.move(place, Stage.OTHER, 0) for place in served)
    refused = arrive(admission, "10.0.0.3", 0)
    assert not admission.move(refused, Stage.OTHER, 0)
    admission.move(refused, Stage.IDLE, 1)
    admission.leave(served[2])
    assert admission.move(refused, Stage.OTHER, 2)
    of_the_first = arrive(admission, "10.0.0.1", 2)
    assert not admission.move(of_the_first, Stage.OTHER, 2)  # it has two already


def test_the_head_of_a_request_has_a_deadline_and_so_has_idleness(admission: Admission) -> None:
    waiting = arrive(admission, "10.0.0.1", 0)
    idle = arrive(admission, "10.0.0.1", 0, Stage.IDLE)
    arrive(admission, "10.0.0.1", 0, Stage.OTHER)
    assert admission.overdue(HEAD_TIMEOUT - 0.1) == []
    assert admission.overdue(HEAD_TIMEOUT) == [waiting]
    admission.leave(waiting)
    assert admission.overdue(IDLE_TIMEOUT) == [idle]


def test_a_stage_begins_once_so_that_a_trickle_gains_no_time(admission: Admission) -> None:
    place = arrive(admission, "10.0.0.1", 0)
    for now in range(1, 5):
        admission.move(place, Stage.WAITING, now)
    assert admission.overdue(HEAD_TIMEOUT) == [place]


def test_who_has_left_is_not_counted_twice(admission: Admission) -> None:
    place = arrive(admission, "10.0.0.1", 0, Stage.OTHER)
    admission.leave(place)
    admission.leave(place)
    assert admission.move(place, Stage.OTHER, 1)
    assert admission.count == 0


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("something else", "something else"),
    ],
)
def test_a_network_that_one_customer_has_counts_as_one(host: str, address: str) -> None:
    assert counted_as(host) == address


def test_half_of_the_descriptors_are_left_for_the_agent() -> None:
    assert limits_for(1_000_000).connections == 512
    assert limits_for(1024).connections == 512
    assert limits_for(256).connections == 128
    assert limits_for(0).connections == 8


@pytest.mark.parametrize("descriptors", [0, 64, 256, 1024, 1_000_000])
def test_one_address_leaves_places_for_its_own_checks_and_for_others(descriptors: int) -> None:
    limits = limits_for(descriptors)
    assert limits.others_per_address < limits.per_address < limits.connections
    assert limits.others_per_address < limits.others < limits.connections


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_the_limits_hold_and_a_check_always_has_a_place(seed: int) -> None:
    random, now = Random(seed), 0.0
    admission = Admission(LIMITS)
    there: list[Place] = []
    for _ in range(2000):
        now += random.random()
        action = random.random()
        if action < 0.5 or not there:
            place, victim = admission.arrive(f"10.0.0.{random.randrange(4)}", now)
            there = [one for one in there if one is not victim]
            there += [] if place is None else [place]
        elif action < 0.6:
            gone = there.pop(random.randrange(len(there)))
            admission.leave(gone)
        else:
            admission.move(random.choice(there), random.choice([Stage.WAITING, Stage.IDLE, Stage.OTHER]), now)
        others = [one for one in there if one.stage is Stage.OTHER]
        assert admission.count == len(there) <= LIMITS.connections
        assert len(others) <= LIMITS.others
        for host in {one.address for one in there}:
            assert sum(one.address == host for one in there) <= LIMITS.per_address
            assert sum(one.address == host for one in others) <= LIMITS.others_per_address
    place, _ = admission.arrive("10.9.9.9", now + STUCK)
    assert place is not None
