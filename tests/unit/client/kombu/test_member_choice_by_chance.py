"""Whatever becomes of a group and of connections: nobody goes to a member that is down, or stays at one."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.client.kombu.member_choice import MemberChoice
from rabbitkeeper.client.routing.placement import Spread, Target, Targets
from rabbitkeeper.coordinator.model.records import MemberStatus

NAMES = ("mq1", "mq2", "mq3", "mq4")
FITTING = [status for status in MemberStatus if not status.down and status is not MemberStatus.STARTING]

groups = st.builds(
    lambda statuses, leader: ({name: status for name, status in statuses.items() if status}, leader),
    st.fixed_dictionaries({name: st.none() | st.sampled_from(MemberStatus) for name in NAMES}),
    st.none() | st.sampled_from(NAMES),
)
steps = st.tuples(
    st.sampled_from(["view", "connect", "fail", "lose", "wait"]),
    groups,
    st.floats(0.0, 3.0),
    st.integers(0, 5),
)


def targets_of(statuses: dict[str, MemberStatus], leader: str | None, epoch: int) -> Targets:
    members = {name: Target(name, "1", f"{name}:5672", status) for name, status in statuses.items()}
    lead = (
        None if leader is None else members.get(leader) or Target(leader, "1", f"{leader}:5672", FITTING[0])
    )
    return Targets(epoch, lead, members)


@given(st.sampled_from(["leader", "members"]), st.integers(0, 1000), st.lists(steps, max_size=40))
def test_it_goes_where_it_may_and_leaves_what_is_down(
    spread: Spread,
    seed: int,
    script: list[tuple[str, tuple[dict[str, MemberStatus], str | None], float, int]],
) -> None:
    choice = MemberChoice(spread, None, Random(seed), 0.0)
    now, held = 0.0, dict[int, Target]()
    for epoch, (what, group, seconds, which) in enumerate(script, 1):
        if what == "view":
            choice.view(targets_of(*group, epoch), now)
        elif what == "connect":
            target = choice.next(now)
            if target is None:
                continue
            leader = choice.targets.leader
            leads = leader is not None and leader.member == target.member  # the lead counts, if it boots too
            assert leads or target.status in FITTING
            assert not choice.targets.declares_dead(target)
            held[choice.opened(target, now)] = target
        elif what == "fail" and (target := choice.next(now)) is not None:
            choice.failed(target.address, now, silent=which % 2 == 0)
            fresh = [
                one
                for one in choice.targets.members.values()
                if one.status in FITTING and choice._failures.retry_at(one.address) < 0
            ]
            following = choice.next(now)
            assert not fresh or (following is not None and following.address != target.address)
        elif what == "lose" and held:
            choice.ended(held_number := sorted(held)[which % len(held)])
            del held[held_number]
        now += seconds if what == "wait" else 0.0
        for leave in choice.leaves(now):
            assert held.pop(leave.number).member == leave.member  # each once
            assert leave.why
        down = [one for one in held.values() if choice.targets.declares_dead(one)]
        assert not down, "its agent says that it takes nothing"
        assert choice.leave_at() > now
