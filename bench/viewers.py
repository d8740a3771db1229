"""What open dashboards cost an agent, how soon a page is there, and how soon it shows a failover.

    ./dev bench viewers [--viewers 50] [--seconds 20] [--rounds 3] [--views 10] [--failovers 5]
                        [--proxied] [--clients] [--json FILE]

A group of three. By rounds nobody looks at the leader's agent, and so many dashboards are open on it: each
listens to the events, asks for the group and the agent's health every 2 s and for the logs every 15 s, as the
page does; with ``--proxied`` all from one address. Of each round: the loop's own histogram of its turns, the
lease's margin as ``/metrics`` has it, asked five times a second, the agent's CPU, and how long answers took.

With ``--clients`` they are clients that find the group through that agent alone, from one address: as many
as may listen to its events do, the others ask every half to whole second. Nothing else is looked at then.

Then the page is opened in Chromium, each time with nothing kept of the time before: bytes, and milliseconds
until the group is drawn. At last the leader's broker is killed again and again. From the moment that the new
leader writes into its znode (``since``): when the event is heard from each agent, and when the page says it.
Without Chromium there is no page. What is looked for: a first view within 200 ms and 150 KB; a failover
visible within 0.5 s.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from common import wait
from prometheus_client.parser import text_string_to_metric_families
from support.browser.chromium import Chromium, Page, chromium, why_none
from viewing.agent_clients import AgentClients
from viewing.dashboards import Dashboards, Heard, Listener

from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local import Local

PATIENCE = 180.0  # seconds for any one wait
SETTLE = 5.0  # seconds before a round, for what was before it to end
MARGIN_EVERY = 0.2  # seconds
BARS = {"kilobytes": 150.0, "milliseconds": 200.0, "visible": 0.5}

# Says when the group was drawn first, and writes down what the page says of who leads, and when.
WATCH = """
window.heads = [];
new MutationObserver(() => {
  if (document.querySelector('#picture .member')) window.drawn ??= performance.now();
  const head = document.querySelector('#lead h2')?.textContent;
  if (head && window.heads.at(-1)?.[0] !== head) window.heads.push([head, Date.now()]);
}).observe(document, { childList: true, subtree: true, characterData: true });
"""
# When the page said so first after that moment.
SHOWN = "([head, since]) => window.heads.find(([said, at]) => said === head && at >= since)?.[1]"
SIZES = """
[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .map((one) => one.transferSize)
"""


def samples(url: str) -> dict[str, float]:
    """The agent's own metrics, by name, those of a histogram by name and bound."""
    text = httpx.get(f"{url}/metrics", timeout=30).text
    return {
        f"{sample.name}{sample.labels.get('le', '')}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(("rabbitkeeper_l", "process_cpu"))
    }


def round_of(url: str, dashboards: Dashboards | AgentClients, viewers: int, seconds: float) -> dict[str, Any]:
    """One round with so many viewers; times in milliseconds but for the lease's margin."""
    dashboards.start()
    wait(lambda: dashboards.listening >= viewers, "all listen", PATIENCE)
    time.sleep(SETTLE)
    if isinstance(dashboards, Dashboards):
        dashboards.answers.clear()
    began, before = time.monotonic(), samples(url)
    margins = [before["rabbitkeeper_lease_margin_seconds"]]
    while time.monotonic() < began + seconds:
        time.sleep(MARGIN_EVERY)
        margins.append(samples(url)["rabbitkeeper_lease_margin_seconds"])
    took, after = time.monotonic() - began, samples(url)
    dashboards.stop()
    if dashboards.failures:
        print(f"{len(dashboards.failures)} failures, the first: {dashboards.failures[0]}")
    turn = "rabbitkeeper_loop_turn_seconds"
    turns = after[f"{turn}_count"] - before[f"{turn}_count"]
    answers = sorted(dashboards.answers)
    return {
        "viewers": viewers,
        "turns": int(turns),
        "turn": (after[f"{turn}_sum"] - before[f"{turn}_sum"]) / turns * 1000,
        "turn within": _within(before, after, turn, turns) * 1000,
        "margin": statistics.median(margins),
        "least margin": min(margins),
        "cpu": (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / took * 100,
        "answers": len(answers),
        "answer": statistics.median(answers) * 1000 if answers else None,
        "slow answer": answers[int(len(answers) * 0.99)] * 1000 if answers else None,
        "failures": len(dashboards.failures),
    }


def _within(before: dict[str, float], after: dict[str, float], name: str, count: float) -> float:
    """The bound below which 99 of 100 were, seconds."""
    bounds = [key.removeprefix(f"{name}_bucket") for key in after if key.startswith(f"{name}_bucket")]
    for bound in sorted(bounds, key=float):
        if after[f"{name}_bucket{bound}"] - before[f"{name}_bucket{bound}"] >= 0.99 * count:
            return float(bound)
    return float("inf")


def first_views(browser: Chromium, url: str, count: int) -> list[dict[str, float]]:
    views = []
    for _ in range(count):
        page = browser.open(url, script=WATCH)
        page.wait_for_function("() => window.drawn !== undefined")
        page.wait_for_function("() => document.querySelector('#timeline .changes')")
        size = sum(page.evaluate(SIZES)) / 1000
        views.append({"kilobytes": size, "milliseconds": page.evaluate("window.drawn")})
        browser.close_pages()
    return views


def failover(
    local: Local, observer: Observer, heard: dict[str, Heard], page: Page | None
) -> dict[str, float]:
    """Kill the leader's broker; seconds from the next leader's word to each who tells of it."""
    wait(observer.is_whole, f"the group is whole (see {local.folder})", PATIENCE)
    old = wait(lambda: observer.leader, "somebody leads", PATIENCE)
    for events in heard.values():
        events.clear()
    local.kill_broker(old)
    wait(lambda: observer.leader not in (None, old), "another leads", PATIENCE)
    view = observer.view
    assert view is not None
    assert view.leader is not None
    new, epoch = view.leader.record.name, view.leader.epoch
    since = datetime.fromisoformat(view.leader.record.since).timestamp()

    def all_told() -> dict[str, float] | None:
        told = {
            name: at
            for name, events in heard.items()
            for event, at in [*reversed(events)]
            if event.get("epoch") == epoch
        }
        return told if len(told) == len(heard) else None

    found = {name: at - since for name, at in wait(all_told, "all agents tell it", PATIENCE).items()}
    if page is not None:
        since_then = [f"{new} leads", since * 1000]
        found["page"] = page.wait_for_function(SHOWN, arg=since_then).json_value() / 1000 - since
    print(", ".join(f"{who} {seconds:.3f} s" for who, seconds in found.items()), flush=True)
    return found


@contextmanager
def browser_if_any() -> Iterator[Chromium | None]:
    reason = why_none()
    if reason is not None:
        print(f"no page is looked at: {reason}")
        yield None
        return
    with chromium() as browser:
        yield browser


def show_rounds(rounds: list[dict[str, Any]]) -> None:
    """Medians of the rounds without and with dashboards, beside each other."""
    for viewers in sorted({one["viewers"] for one in rounds}):
        these = [one for one in rounds if one["viewers"] == viewers]
        middle = {
            key: statistics.median(one[key] for one in these)
            for key in ("turn", "turn within", "margin", "cpu")
        }
        print(
            f"{viewers} viewers: a turn {middle['turn']:.2f} ms, "
            f"99 of 100 within {middle['turn within']:g} ms; "
            f"lease margin {middle['margin']:.2f} s, "
            f"least {min(one['least margin'] for one in these):.2f} s; "
            f"{middle['cpu']:.1f} % of a core; failures {sum(one['failures'] for one in these)}"
        )
        if viewers:
            print(
                f"    an answer {statistics.median(one['answer'] for one in these):.1f} ms, "
                f"1 of 100 takes {max(one['slow answer'] for one in these):.1f} ms or longer"
            )


def show(what: str, values: list[float], unit: str, bar: float) -> None:
    if values:
        middle, least, worst = statistics.median(values), min(values), max(values)
        print(f"{what}: median {middle:.3g} {unit}, least {least:.3g}, worst {worst:.3g} (bar {bar:g})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each round")
    parser.add_argument("--rounds", type=int, default=3, help="with, and as many without")
    parser.add_argument("--views", type=int, default=10, help="times that the page is opened")
    parser.add_argument("--failovers", type=int, default=5)
    parser.add_argument("--proxied", action="store_true", help="the dashboards come from one address")
    parser.add_argument("--clients", action="store_true", help="clients instead of dashboards")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with browser_if_any() as browser, Local(zookeepers=1, members=3, api=True) as local:
        local.wait_ready(240)
        observer = Observer(local.zookeeper_hosts, local.group, local.members)
        observer.start()
        leader = wait(lambda: observer.leader, "somebody leads", PATIENCE)
        url = local.api(leader)

        def viewers(count: int) -> Dashboards | AgentClients:
            if options.clients:
                return AgentClients(url, local.group, count)
            return Dashboards(url, count, proxied=options.proxied)

        rounds = [
            round_of(url, viewers(count), count, options.seconds)
            for _ in range(options.rounds)
            for count in (0, options.viewers)
        ]
        show_rounds(rounds)
        if options.clients:
            observer.stop()
            return
        views = first_views(browser, local.api(leader), options.views) if browser is not None else []
        for what, unit in (("kilobytes", "kB"), ("milliseconds", "ms")):
            show(f"first view, {what}", [one[what] for one in views], unit, BARS[what])
        heard: dict[str, Heard] = {name: [] for name in local.members}
        for name, events in heard.items():
            Listener(local.api(name), events)
        page = browser.open(local.api(leader), script=WATCH) if browser is not None else None
        found = [failover(local, observer, heard, page) for _ in range(options.failovers)]
        observer.stop()
    show("an event", [one[name] for one in found for name in one if name != "page"], "s", BARS["visible"])
    show("on the page", [one["page"] for one in found if "page" in one], "s", BARS["visible"])
    if options.json:
        options.json.write_text(
            json.dumps({"rounds": rounds, "views": views, "failovers": found}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
