"""The dashboard in a browser, over an agent's API whose group the tests make."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.agent.dashboard_stage import TOKEN, Stage, ago, change, event, group, member
from support.browser.chromium import Chromium, obstacles, says, width_beyond
from support.waiting import wait_for

from rabbitkeeper.agent.notify.events import EventKind
from rabbitkeeper.coordinator.model.records import (
    ClusterNode,
    ClusterRecord,
    MaintenanceRecord,
    MaintenanceStep,
    MemberStatus,
    OperationEntry,
    OperationKind,
    OperationState,
    PauseRecord,
)
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView, MaintenanceView

pytestmark = pytest.mark.timeout(300)

HOSTILE = "<img src=x onerror=alert(1)>\"'\u202e&amp;"
NAMES = ("node1", "node2", "node3")


def well() -> GroupView:
    sites = {"node1": "south", "node2": "south", "node3": "north"}
    return group("node2", *(member(name, site=site) for name, site in sites.items()))


def ill() -> GroupView:
    """Everything that can be wrong, at once."""
    nodes = {f"rabbit@{name}": ClusterNode(member=name, joined=ago(9000)) for name in NAMES}
    work = MaintenanceRecord(
        id="9",
        kind=OperationKind.ROLLING_RESTART,
        members=("node3", "node2"),
        done=("node1",),
        step=MaintenanceStep.RESTART,
        by="ann",
        requested=ago(30),
    )
    return group(
        "node3",
        member("node1", MemberStatus.HUNG, "no canary for 4 s"),
        member("node3", MemberStatus.ALARMED, "memory alarm", site="south", warnings=("two nodes",)),
        cluster=ClusterView(ClusterRecord(founder="rabbit@node1", formed=ago(9000), nodes=nodes), version=1),
        pause=PauseRecord(by="ann", since=ago(300), reason="a new switch"),
        maintenance=MaintenanceView(work, version=1),
        problems=("config cannot be read",),
    )


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    stage.history = [
        change(1, None, "node1", ago(9000), "first leader"),
        change(2, "node1", "node3", ago(8000), "switchover", operation="x", by="ann", reason="new disks"),
        change(3, "node3", "node2", ago(7300), "broker died", timings={"vacant": 0.42}),
    ]
    stage.operations = [
        OperationEntry(
            id="x",
            kind=OperationKind.SWITCHOVER,
            state=OperationState.DONE,
            target="node3",
            by="ann",
            requested=ago(8001),
            ended=ago(8000),
            outcome="node3 leads",
        )
    ]
    stage.show(well())
    stage.start()
    yield stage
    stage.stop()


def test_it_says_who_leads_since_when_and_why_and_what_happened_before(
    stage: Stage, browser: Chromium
) -> None:
    page = browser.open(stage.url)
    assert page.inner_text("#lead h2") == "node2 leads"
    assert "broker died" in page.inner_text("#lead")
    assert "all is well" in page.inner_text("#lead")
    assert page.locator(".member").count() == 3
    assert page.locator(".member[data-leads] h4").inner_text() == "node2"
    assert page.locator(".server").all_inner_texts() == ["zk1:2181", "zk2:2181", "zk3:2181"]
    says(page, "#timeline", "gap 0.42 s")
    says(page, "#timeline", "asked for by ann")
    says(page, "#operations", "node3 leads")
    says(page, "#freshness", "live")


def test_what_is_wrong_is_said_and_what_is_done_is_shown_step_by_step(
    stage: Stage, browser: Chromium
) -> None:
    stage.show(ill(), connected=False)
    page = browser.open(stage.url)
    wrong = page.inner_text("#lead")
    for said in (
        "node1 is hung: no canary",
        "node2 is gone",
        "node3 is alarmed",
        "ZooKeeper does not answer",
    ):
        assert said in wrong
    says(page, "#banners", "Paused by ann")
    says(page, "#freshness", "no ZooKeeper")
    steps = page.locator(".steps li").all_inner_texts()
    assert [" ".join(step.split()) for step in steps] == [
        "node1 done",
        "node3 restarts its broker",
        "node2 to come",
    ]


def test_an_event_is_on_the_page_at_once_and_the_past_is_there(stage: Stage, browser: Chromium) -> None:
    stage.show(well(), event(EventKind.MEMBER, "node1", state="starting"))
    page = browser.open(stage.url)
    says(page, "#events", "node1 starting")
    stage.show(group("node1", *(member(name) for name in NAMES)), event(EventKind.LEADER, "node1"))
    says(page, "#lead h2", "node1 leads")
    says(page, "#told", "node1 leads now")


@pytest.mark.parametrize(
    ("width", "scheme"), [(360, "light"), (360, "dark"), (1440, "dark"), (3840, "light")]
)
def test_nothing_keeps_anybody_from_using_it(
    stage: Stage, browser: Chromium, width: int, scheme: str
) -> None:
    page = browser.open(stage.url, width=width, color_scheme=scheme, reduced_motion="reduce")
    for view, connected in ((well(), True), (ill(), False)):
        stage.show(view, event(EventKind.ZOOKEEPER, "node1", state="x"), connected=connected)
        says(page, "#lead", "all is well" if connected else "node1 is hung")
        says(page, "#operations", "Nothing is under way" if connected else "rolling-restart")
        assert width_beyond(page) == 0
        assert obstacles(page) == []
    assert page.evaluate("document.getAnimations().length") == 0, "who wants no motion has none"


def test_names_and_reasons_are_text(stage: Stage, browser: Chromium) -> None:
    stage.history = [
        change(1, HOSTILE, HOSTILE, ago(100), HOSTILE, reason=HOSTILE, by=HOSTILE, operation=HOSTILE)
    ]
    stage.operations = [
        OperationEntry(
            id=HOSTILE,
            kind=OperationKind.RESTART,
            state=OperationState.FAILED,
            target=HOSTILE,
            by=HOSTILE,
            reason=HOSTILE,
            requested=ago(9),
            outcome=HOSTILE,
        )
    ]
    there = member(
        HOSTILE, MemberStatus.HUNG, HOSTILE, site=HOSTILE, warnings=(HOSTILE,), api="javascript:alert(1)"
    )
    view = group(HOSTILE, there, cause=HOSTILE, pause=PauseRecord(by=HOSTILE, since=HOSTILE, reason=HOSTILE))
    stage.show(view, event(EventKind.MEMBER, HOSTILE, state=HOSTILE, reason=HOSTILE, cause=HOSTILE))
    page = browser.open(f"{stage.url}/#from={HOSTILE}&because={HOSTILE}")
    for part in ("#lead", "#picture", "#timeline", "#operations", "#events", "#banners"):
        says(page, part, HOSTILE)
    assert "\u202e" not in page.title(), "it would turn round what stands behind it"
    page.click("[data-key=resume]")
    assert page.locator("img").count() == 1, "the page's own mark"
    assert page.locator("script").count() == 1
    assert page.locator("a[href^='javascript']").count() == 0


def test_groups_of_every_size_and_reasons_of_every_length(stage: Stage, browser: Chromium) -> None:
    page = browser.open(stage.url, width=360)
    many = [member(f"node{number}", site=f"site{number % 3}") for number in range(1, 10)]
    stage.show(group("node1", *many), event(EventKind.MEMBER, "node9"))
    page.wait_for_function("() => document.querySelectorAll('.member').length === 9")
    assert width_beyond(page) == 0
    long = "x" * 10_000
    alone = member("node1", MemberStatus.STOPPED, long)
    stage.show(group(None, alone), event(EventKind.MEMBER, "node1", reason=long))
    says(page, "#lead h2", "Nobody leads")
    assert width_beyond(page) == 0
    page.locator("#picture details summary").click()
    says(page, "#picture details p", long)
    assert width_beyond(page) == 0
    assert obstacles(page) == []


def test_clocks_that_differ_make_no_nonsense(stage: Stage, browser: Chromium) -> None:
    stage.wall_offset = 3600.0
    ahead = member("node1", since=ago(-7200))
    stage.show(group("node2", ahead, member("node2", since=ago(-3000))))
    page = browser.open(stage.url)
    says(page, "#picture", "its clock is ahead")
    says(page, ".member[data-leads]", "for 10 min")
    assert "NaN" not in page.inner_text("main")
    assert "-" not in page.locator("time").first.inner_text()


def test_an_operation_is_tried_before_the_token_is_asked_for(stage: Stage, browser: Chromium) -> None:
    page = browser.open(stage.url)
    sent: list[tuple[object, bool]] = []

    def posted(request: Any) -> None:
        if request.method == "POST":
            sent.append((json.loads(request.post_data), "authorization" in request.headers))

    page.on("request", posted)
    page.keyboard.press("Tab")
    page.locator("[data-key=switchover]").focus()
    page.keyboard.press("Enter")
    page.select_option("#ask-target", "node3")
    page.fill("#ask-reason", "new disks")
    assert page.locator("#ask-token").is_hidden()
    page.keyboard.press("Enter")
    says(page, "#ask .outcome", "the lead moves from node2 to node3")
    assert sent == [({"to": "node3", "reason": "new disks", "dry_run": True}, False)]
    assert obstacles(page) == []
    page.fill("#ask-token", "of another agent")
    page.keyboard.press("Enter")
    says(page, "#ask .outcome", "not the token of this agent")
    assert page.input_value("#ask-token") == ""
    assert sent[1:] == [({"to": "node3", "reason": "new disks"}, True)]
    page.select_option("#ask-target", "node1")
    assert page.locator("#ask-token").is_hidden(), "what was tried is another operation"
    page.keyboard.press("Escape")
    assert page.locator("#ask").is_hidden()
    assert page.evaluate("document.activeElement.dataset.key") == "switchover"


def test_what_is_refused_is_shown_with_its_reason_and_nothing_is_done(
    stage: Stage, browser: Chromium
) -> None:
    page = browser.open(stage.url)
    stage.show(group("node2", member("node1"), member("node2"), pause=PauseRecord(by="ann", since=ago(9))))
    page.click("[data-key=switchover]")
    page.click("#ask .main")
    says(page, "#ask .outcome", "Refused: the group is paused by ann")
    assert page.locator("#ask-token").is_hidden()
    stage.zookeeper_away = True
    page.click("#ask .main")
    says(page, "#ask .outcome", "ZooKeeper does not answer")


def test_a_page_goes_over_to_another_agent_when_its_own_is_gone_or_hangs(
    stage: Stage, browser: Chromium
) -> None:
    other = Stage("node2")
    there = [member("node1", api=stage.url), member("node2", api=other.url), member("node3", api=None)]
    view = group("node2", *there)
    stage.show(view)
    other.show(view)
    other.start()
    try:
        page = browser.open(stage.url)
        assert page.locator("#agents a").all_inner_texts() == ["node2"]
        stage.stop()
        page.wait_for_url(f"{other.url}/**")
        says(page, "#banners", "node1’s agent was left: it does not answer")
        says(page, "#freshness", "node2 answered")
        again = Stage("node1", port=stage.port)
        again.show(view)
        again.start()
        other.silent = 99.0
        page.wait_for_url(f"{again.url}/**")
        says(page, "#banners", "the loop has not come round")
        again.stop()
    finally:
        other.stop()


def test_a_page_left_open_lives_through_a_restart_of_the_only_agent(stage: Stage, browser: Chromium) -> None:
    page = browser.open(stage.url)
    stage.stop()
    says(page, "#freshness", "does not answer")
    assert page.inner_text("#lead h2") == "node2 leads", "what was known stays"
    again = Stage(port=stage.port)
    again.show(group("node3", *(member(name) for name in NAMES)))
    again.start()
    try:
        says(page, "#lead h2", "node3 leads")
        says(page, "#freshness", "live")
    finally:
        again.stop()


# The history is asked for, and comes when the test says so: as of a ZooKeeper that hangs.
HISTORY_LATER = """
const now = window.fetch;
const told = new Promise((release) => { window.release = release; });
window.fetch = (path, options) =>
  String(path).startsWith("history") ? told.then(() => now(path, { cache: "no-store" })) : now(path, options);
"""


def test_who_leads_is_shown_before_what_waits_for_zookeeper(stage: Stage, browser: Chromium) -> None:
    page = browser.open(stage.url, script=HISTORY_LATER)
    assert page.inner_text("#lead h2") == "node2 leads"
    assert page.locator("#timeline").is_hidden()
    stage.show(group("node3", *map(member, NAMES)))
    says(page, "#lead h2", "node3 leads")
    page.evaluate("window.release()")
    says(page, "#timeline .changes", "node3 → node2")


def test_the_first_view_waits_for_no_answer(stage: Stage, browser: Chromium) -> None:
    page = browser.open(stage.url, script="window.fetch = () => new Promise(() => {});")
    assert page.inner_text("#lead h2") == "node2 leads"
    assert "all is well" in page.inner_text("#lead")
    assert page.locator("#timeline").is_hidden()


def test_a_page_keeps_two_connections(stage: Stage, browser: Chromium) -> None:
    page = browser.open(stage.url)
    says(page, "#timeline", "gap 0.42 s")
    says(page, "#operations", "node3 leads")
    says(page, "#events", "Nothing since this agent was started")
    # Those that its files have come over are closed when nothing has been asked over them for five seconds.
    wait_for(lambda: stage.connections <= 2, "two are left")
    for leads in ("node1", "node2", "node3"):
        stage.show(group(leads, *map(member, NAMES)), event(EventKind.LEADER, leads))
        says(page, "#lead h2", f"{leads} leads")
    wait_for(lambda: stage.connections <= 2, "no more than two stay")


def test_without_javascript_it_is_a_table(stage: Stage, browser: Chromium) -> None:
    page = browser.open(stage.url, java_script_enabled=False)
    assert page.locator("tbody tr").count() == 3
    assert "node2 leads" in page.inner_text("main")
    assert page.locator("#lead").is_hidden()


def test_the_first_view_is_small(stage: Stage, browser: Chromium) -> None:
    page = browser.open(stage.url)
    sizes = page.evaluate(
        "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".map((one) => one.transferSize)"
    )
    assert 0 < sum(sizes) < 150_000
    assert TOKEN not in page.content()
