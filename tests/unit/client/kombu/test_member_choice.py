"""Where kombu's connections go, and when they are left."""

from random import Random

import pytest

from rabbitkeeper.client.kombu.member_choice import GRACE, SHORTEST_MOVE, MemberChoice
from rabbitkeeper.client.routing.placement import LEAVING, Spread, Target, Targets
from rabbitkeeper.coordinator.model.records import MemberStatus

RUNNING = MemberStatus.RUNNING
DOWN = [status for status in MemberStatus if status.down]


def member(name: str, status: MemberStatus = RUNNING, site: str | None = None) -> Target:
    return Target(name, f"instance of {name}", f"{name}:5672", status, site)


def group(leader: str | None, *members: Target, epoch: int = 1, connections: int = 0) -> Targets:
    known = {one.member: one for one in members}
    loads = dict.fromkeys(known, connections)
    return Targets(epoch, None if leader is None else known[leader], known, loads)


ALL = (member("mq1"), member("mq2"), member("mq3"))


def choice(*, spread: Spread = "leader", site: str | None = None, seed: int = 1) -> MemberChoice:
    return MemberChoice(spread, site, Random(seed), 0.0)


def name_of(target: Target | None) -> str | None:
    return None if target is None else target.member


# -- where to go


def test_nobody_is_gone_to_before_a_group_was_seen() -> None:
    assert choice().next(0.0) is None


def test_the_leader_is_the_first_and_then_all_others_before_one_twice() -> None:
    one = choice()
    one.view(group("mq2", *ALL), 0.0)
    order = []
    for _ in range(3):
        target = one.next(0.0)
        assert target is not None
        order.append(target.member)
        one.failed(target.address, 0.0)
    assert order[0] == "mq2"
    assert set(order) == {"mq1", "mq2", "mq3"}
    assert name_of(one.next(0.0)) == "mq2"  # the first failure of each is tried again at once


def test_those_that_fail_again_and_again_have_their_pauses() -> None:
    one = choice()
    one.view(group("mq1", member("mq1")), 0.0)
    for _ in range(20):
        one.failed("mq1:5672", 10.0)
    assert one.next(10.0) is None
    assert 10.0 < one.retry_at() <= 11.0
    assert name_of(one.next(one.retry_at())) == "mq1"


@pytest.mark.parametrize("status", [*DOWN, MemberStatus.STARTING])
def test_a_member_that_takes_nothing_is_never_tried(status: MemberStatus) -> None:
    one = choice()
    one.view(group("mq2", member("mq1", status), member("mq2"), member("mq3", status)), 0.0)
    one.failed("mq2:5672", 0.0)
    assert name_of(one.next(5.0)) == "mq2"


def test_one_whose_connection_was_lost_is_the_last_until_its_agent_says_that_it_is_well() -> None:
    one = choice()
    one.view(group("mq1", *ALL), 0.0)
    one.opened(ALL[0], 0.0)
    one.failed("mq1:5672", 1.0)
    assert name_of(one.next(1.0)) in ("mq2", "mq3")
    one.view(group(None, member("mq1", MemberStatus.STOPPED), *ALL[1:]), 2.0)
    one.view(group("mq1", *ALL, epoch=2), 3.0)
    assert name_of(one.next(3.0)) == "mq1"


def test_one_that_opens_is_as_good_as_before() -> None:
    one = choice()
    one.view(group("mq1", *ALL), 0.0)
    one.failed("mq1:5672", 0.0)
    one.opened(ALL[0], 0.1)
    assert name_of(one.next(0.1)) == "mq1"


def test_one_that_did_not_answer_is_given_longer_the_next_time() -> None:
    one = choice()
    one.view(group("mq1", *ALL), 0.0)
    assert one.patience("mq1:5672") == 1
    one.failed("mq1:5672", 0.0, silent=True)
    assert one.patience("mq1:5672") == 2


def test_members_of_the_site_come_first() -> None:
    one = choice(spread="site", site="south")
    one.view(group("mq1", member("mq1"), member("mq2", site="south")), 0.0)
    assert name_of(one.next(0.0)) == "mq2"


def test_an_older_picture_is_passed_over() -> None:
    one = choice()
    one.view(group("mq2", *ALL, epoch=7), 0.0)
    one.view(group("mq1", *ALL, epoch=6), 1.0)
    assert name_of(one.next(1.0)) == "mq2"


# -- when to leave


@pytest.mark.parametrize("status", DOWN)
def test_a_member_that_its_agent_calls_down_is_left_at_once(status: MemberStatus) -> None:
    one = choice()
    one.view(group("mq1", *ALL), 0.0)
    here, there = one.opened(ALL[0], 0.0), one.opened(ALL[1], 0.0)
    assert one.leaves(100.0) == []
    one.view(group(None, member("mq1", status), *ALL[1:]), 100.0)
    (leave,) = one.leaves(100.0)
    assert (leave.number, leave.member) == (here, "mq1")
    assert str(status) in leave.why
    assert one.leaves(1e6) == []
    one.ended(there)


def test_it_is_left_at_once_where_there_is_no_other() -> None:
    """Who waits there is told."""
    one = choice()
    one.view(group("mq1", member("mq1")), 0.0)
    one.opened(member("mq1"), 0.0)
    one.view(group("mq1", member("mq1", MemberStatus.HUNG)), 1.0)
    assert len(one.leaves(1.0)) == 1


def test_one_that_is_opened_to_a_member_that_hangs_meanwhile_is_left() -> None:
    one = choice()
    one.view(group("mq2", member("mq1", MemberStatus.HUNG), *ALL[1:]), 0.0)
    one.opened(ALL[0], 0.0)
    assert len(one.leaves(0.0)) == 1


def test_when_another_leads_those_at_the_old_leader_leave_at_moments_by_chance() -> None:
    moments = set()
    for seed in range(50):
        one = choice(seed=seed)
        one.view(group("mq1", *ALL), 0.0)
        one.opened(ALL[0], 0.0)
        one.view(group("mq2", *ALL, epoch=2), 10.0)
        at = one.leave_at()
        assert 10.0 <= at <= 10.0 + SHORTEST_MOVE
        assert one.leaves(at - 0.001) == []
        (leave,) = one.leaves(at)
        assert "mq2 leads now" in leave.why
        moments.add(at)
    assert len(moments) == 50
    assert min(moments) < 10.25 < 10.75 < max(moments)


def test_the_more_connections_the_longer_they_take_to_leave() -> None:
    latest = 0.0
    for seed in range(50):
        one = choice(seed=seed)
        one.view(group("mq1", *ALL), 0.0)
        one.opened(ALL[0], 0.0)
        one.view(group("mq2", *ALL, epoch=2, connections=1000), 10.0)
        latest = max(latest, one.leave_at())
    assert 100.0 < latest <= 130.0  # 3000 connections, 25 a second


def test_one_that_was_opened_while_nobody_led_stays_where_it_is() -> None:
    one = choice()
    one.view(group(None, *ALL), 0.0)
    one.opened(ALL[1], 0.0)
    one.view(group("mq3", *ALL), 1.0)
    assert one.leaves(1e6) == []


def test_one_whose_member_took_the_lead_meanwhile_follows_it() -> None:
    one = choice()
    one.view(group(None, *ALL), 0.0)
    one.opened(ALL[1], 0.0)
    one.view(group("mq2", *ALL), 1.0)
    one.view(group("mq3", *ALL, epoch=2), 2.0)
    assert len(one.leaves(2.0 + SHORTEST_MOVE)) == 1


def test_while_nobody_leads_all_stay() -> None:
    one = choice()
    one.view(group("mq1", *ALL), 0.0)
    one.opened(ALL[0], 0.0)
    one.view(group(None, *ALL), 1.0)
    assert one.leaves(1e6) == []


def test_a_leader_that_is_down_is_not_gone_to() -> None:
    one = choice()
    one.view(group("mq1", *ALL), 0.0)
    one.opened(ALL[0], 0.0)
    one.view(group("mq2", member("mq1"), member("mq2", MemberStatus.HUNG), member("mq3"), epoch=2), 1.0)
    assert one.leaves(1e6) == []


@pytest.mark.parametrize("spread", ["members", "site"])
def test_where_the_lead_does_not_matter_it_is_not_followed(spread: Spread) -> None:
    one = choice(spread=spread, site="south" if spread == "site" else None)
    one.view(group("mq1", *ALL), 0.0)
    one.opened(ALL[0], 0.0)
    one.view(group("mq2", *ALL, epoch=2), 1.0)
    assert one.leaves(1e6) == []


def test_a_member_that_is_drained_is_left_before_its_broker_closes() -> None:
    one = choice()
    one.view(group("mq1", *ALL), 0.0)
    one.opened(ALL[0], 0.0)
    one.view(group("mq2", member("mq1", MemberStatus.DRAINING), *ALL[1:], epoch=2), 10.0)
    assert len(one.leaves(10.0 + LEAVING)) == 1


def test_a_member_that_is_gone_is_left_after_a_while_and_not_when_it_is_back() -> None:
    one = choice()
    one.view(group("mq1", *ALL), 0.0)
    first, second = one.opened(ALL[1], 0.0), one.opened(ALL[2], 0.0)
    one.view(group("mq1", ALL[0]), 10.0)
    assert one.leaves(10.0 + GRACE - 0.01) == []
    one.view(group("mq1", ALL[0], ALL[2]), 11.0)
    assert [leave.number for leave in one.leaves(10.0 + GRACE)] == [first]
    assert one.leaves(1e6) == []
    one.ended(second)


def test_nobody_leaves_when_all_members_are_gone() -> None:
    """Their agents are, or ZooKeeper has forgotten them."""
    one = choice()
    one.view(group("mq1", *ALL), 0.0)
    one.opened(ALL[0], 0.0)
    one.view(Targets(epoch=1), 10.0)
    assert one.leaves(1e6) == []


def test_what_has_ended_is_not_left() -> None:
    one = choice()
    one.view(group("mq1", *ALL), 0.0)
    one.ended(one.opened(ALL[0], 0.0))
    one.view(group(None, member("mq1", MemberStatus.HUNG), *ALL[1:]), 1.0)
    assert one.leaves(1e6) == []
    assert one.leave_at() == float("inf")
