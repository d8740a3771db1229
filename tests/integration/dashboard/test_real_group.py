"""A switchover made, a failover and an agent's restart seen, on the page of a real group."""

from collections.abc import Callable, Iterator

import pytest
from support.browser.chromium import Chromium, says
from support.group_watch import Watch, leader_of

from rabbitkeeper.compose.local import Local

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(400)]

MEMBERS = ("node1", "node2", "node3")


@pytest.fixture(scope="module")
def local(one_browser: Chromium) -> Iterator[Local]:
    # The browser comes first: without one there is nothing to start servers for.
    with Local(zookeepers=1, members=3, group="dashboard", api=True) as local:
        local.wait_ready(240)
        yield local


@pytest.fixture
def watch(local: Local) -> Iterator[Watch]:
    watch = Watch(local.zookeeper_hosts, local.group)
    yield watch
    watch.close()


@pytest.fixture
def led(watch: Watch) -> Callable[[], str]:
    """Who leads, once everybody runs."""
    return lambda: leader_of(watch.leader(120)) or ""


def test_a_switchover_is_made_on_the_page(local: Local, browser: Chromium, led: Callable[[], str]) -> None:
    leader = led()
    target = next(name for name in MEMBERS if name != leader)
    page = browser.open(local.api(target))
    says(page, "#lead h2", f"{leader} leads")
    page.click(f'[data-key="switchover-{target}"]')
    page.fill("#ask-by", "ann")
    page.fill("#ask-reason", "<b>new disks</b>")
    page.click("#ask .main")
    says(page, "#ask .outcome", f"the lead moves from {leader} to {target}")
    page.fill("#ask-token", local.api_token(target))
    page.click("#ask .main")
    says(page, "#banners", "switchover is done")  # first: a banner is there for some seconds only
    says(page, "#lead h2", f"{target} leads")
    says(page, "#operations .log", "done")
    says(page, "#timeline .changes", "<b>new disks</b>")
    says(page, "#timeline .changes", "asked for by ann")
    assert led() == target


def test_a_failover_is_seen_on_the_page(local: Local, browser: Chromium, led: Callable[[], str]) -> None:
    leader = led()
    other = next(name for name in MEMBERS if name != leader)
    page = browser.open(local.api(other))
    says(page, "#lead h2", f"{leader} leads")
    local.kill_broker(leader)
    page.wait_for_function(
        "(old) => !['Nobody leads', `${old} leads`].includes(document.querySelector('#lead h2').textContent)",
        arg=leader,
    )
    says(page, "#events", "leader")
    says(page, "#timeline .changes", f"{leader} → ")
    says(page, "#lead", "all is well")
    assert page.inner_text("#lead h2") == f"{led()} leads"


def test_a_page_left_open_recovers_from_its_agents_restart(
    local: Local, browser: Chromium, led: Callable[[], str]
) -> None:
    name = next(name for name in MEMBERS if name != led())
    page = browser.open(local.api(name))
    local.kill_agent(name)
    page.wait_for_function("(old) => location.origin !== old", arg=local.api(name))
    says(page, "#banners", f"{name}’s agent was left")
    local.start_agent(name)
    led()
    says(page, "#lead", "all is well")
    page.wait_for_function("() => document.querySelectorAll('.member').length === 3")
