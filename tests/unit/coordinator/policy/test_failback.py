"""Whether a better member asks for the lead back."""

from dataclasses import replace

import pytest
from support.group_views import ME, OTHER, PAUSE, THIRD, asked, leader, member, view

from rabbitkeeper.coordinator.model.records import (
    GroupConfig,
    MaintenanceRecord,
    MemberStatus,
    OperationKind,
    Tags,
)
from rabbitkeeper.coordinator.model.view import ConfigView, GroupView, MaintenanceView
from rabbitkeeper.coordinator.policy.failback import reason_to_ask

AFTER = 60.0
RESTART = MaintenanceRecord(id="op", kind=OperationKind.RESTART, members=("c",), by="ann", requested="")
NORTH = Tags(site="north")
PREFERS_NORTH = ConfigView(GroupConfig(preferred_site="north"), 1)


def led_by_b(
    *, a: Tags = NORTH, c: Tags | None = None, cause: str = "broker hung", **more: object
) -> GroupView:
    """b of site south leads, for ``cause``; a is the one that asks."""
    lead = leader("b", OTHER)
    lead = replace(lead, record=lead.record.model_copy(update={"cause": cause}))
    others = [member("b", OTHER, site="south")]
    if c is not None:
        others.append(member("c", THIRD, **c.model_dump()))
    fields = {"config": PREFERS_NORTH, "leader": lead, **more}
    return view(member("a", 1, **a.model_dump()), *others, **fields)


def asks(group: GroupView, running_for: float = AFTER, tags: Tags = NORTH, **changes: object) -> str | None:
    me = replace(ME, tags=tags, **changes)  # type: ignore[arg-type]
    return reason_to_ask(group, me, running_for, AFTER)


def test_a_member_of_the_preferred_site_asks_when_it_has_run_for_long_enough() -> None:
    assert asks(led_by_b(), AFTER - 0.1) is None
    assert asks(led_by_b()) == "site north is preferred, and b is not of it"


def test_so_does_one_of_higher_priority_when_no_site_decides() -> None:
    tags = Tags(priority=101)
    group = led_by_b(a=tags, config=None)
    assert asks(group, tags=tags) == "priority 101, b has 100"
    equal = Tags(priority=100)
    assert asks(led_by_b(a=equal, config=None), tags=equal) is None


def test_a_site_goes_before_any_priority() -> None:
    south = Tags(site="south", priority=999)
    assert asks(led_by_b(a=NORTH, c=None), tags=NORTH) is not None
    assert asks(led_by_b(a=south, c=Tags(site="north")), tags=south) is None, "c is better"


def test_of_two_that_are_better_only_the_best_asks() -> None:
    assert asks(led_by_b(c=Tags(site="north", priority=200))) is None
    assert asks(led_by_b(c=Tags(site="north"))) is not None, "the same merit: by name"


@pytest.mark.parametrize("cause", ["switchover", "failover"])
def test_what_an_operator_has_asked_for_stays(cause: str) -> None:
    assert asks(led_by_b(cause=cause)) is None


def test_a_lead_that_another_failback_has_moved_is_an_agents_doing() -> None:
    assert asks(led_by_b(cause="failback")) is not None


@pytest.mark.parametrize(
    "going_on",
    [
        {"pause": PAUSE},
        {"switchover": asked()},
        {
            "maintenance": MaintenanceView(
                MaintenanceRecord(
                    id="op", kind=OperationKind.RESTART, members=("c",), by="ann", requested=""
                ),
                0,
            )
        },
        {"leader": None},
        {"leader": leader("b", THIRD)},
    ],
)
def test_nothing_is_asked_while_something_is_going_on(going_on: dict[str, object]) -> None:
    assert asks(led_by_b(**going_on)) is None  # type: ignore[arg-type]


def test_one_that_may_not_lead_does_not_ask() -> None:
    assert asks(led_by_b(), status=MemberStatus.MINORITY) is None
    assert asks(led_by_b(), tags=Tags(site="north", no_failover=True)) is None
