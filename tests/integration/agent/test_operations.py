"""What operators ask a real group for: a lead moved, a pause, brokers restarted under load, settings changed.

One group of three for all of it. Everything is asked for through the command, as an operator does.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.agent.commands import Run, done, ended, ended_well, refused
from support.group_watch import Watch, epoch, leader_of, states

from rabbitkeeper.compose.demo.local_traffic import LocalTraffic
from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.cli.root import root
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import MaintenanceStep, MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(400)]

MEMBERS = ("node1", "node2", "node3")
RUNNING = dict.fromkeys(MEMBERS, MemberStatus.RUNNING)


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    sites = {"node1": "south", "node2": "south", "node3": "north"}
    settings = {name: {"tags": {"site": site}} for name, site in sites.items()}
    with Local(zookeepers=1, members=3, group="operations", member_settings=settings) as local:
        local.wait_ready(240)
        yield local


@pytest.fixture
def watch(local: Local, watching: Callable[[Local], Watch]) -> Watch:
    return watching(local)


@pytest.fixture
def run(local: Local) -> Run:
    """The command; what it prints on standard output is JSON."""
    environment = {"RABBITKEEPER_ZOOKEEPER": local.zookeeper_hosts, "RABBITKEEPER_GROUP": local.group}

    def run(*arguments: str, **more: str) -> Result:
        return CliRunner().invoke(root, ["-o", "json", *arguments], env={**environment, **more})

    return run


@pytest.fixture
def load(local: Local) -> Iterator[LocalTraffic]:
    load = LocalTraffic(local.zookeeper_hosts, local.group, local.credentials)
    load.start()
    yield load
    load.close()


@pytest.fixture
def znodes(local: Local) -> Iterator[Backend]:
    """What somebody does with a plain ZooKeeper client."""
    session = backend_at(local.zookeeper_hosts, name="test")
    session.start(10)
    yield session
    session.close()


def whole(watch: Watch) -> tuple[GroupView, str]:
    """The group when all is well, and its leader."""
    view, _ = watch.until(
        lambda view: states(view) == RUNNING and view.leader is not None, "all three run and one leads", 120
    )
    return view, leader_of(view) or ""


# -- the lead


def test_a_switchover_to_the_best_and_back_to_a_candidate(watch: Watch, run: Run) -> None:
    before, led = whole(watch)
    entry = done(run("switchover", "--by", "ann", "--reason", "new disks"))
    assert (entry["state"], entry["reason"]) == ("done", "new disks")
    assert entry["by"].startswith("ann, ")  # and who it was on that machine
    after, now_leads = whole(watch)
    assert now_leads != led
    assert states(after)[led] is MemberStatus.RUNNING, "both stay usable"
    change, _ = watch.until(lambda view: view.last_change != before.last_change, "it is in the history")
    assert change.last_change is not None
    assert (change.last_change.by, change.last_change.operation, change.last_change.reason) == (
        entry["by"],
        entry["id"],
        "new disks",
    )
    assert done(run("switchover", "--to", led))["state"] == "done"
    assert whole(watch)[1] == led
    assert led in run("history").stdout


def test_a_switchover_at_a_time_waits_for_it(watch: Watch, run: Run) -> None:
    before, led = whole(watch)
    entry = done(run("switchover", "--at", "+3s"))
    assert entry["state"] == "pending"
    assert f"{entry['id']} asked for by" in refused(run("switchover")), "not two at once"
    assert epoch(whole(watch)[0]) == epoch(before), "not yet"
    assert ended(run, entry["id"], 30)["state"] == "done"
    assert whole(watch)[1] != led


def test_what_cannot_be_is_refused_and_changes_nothing(watch: Watch, run: Run, znodes: Backend) -> None:
    before, led = whole(watch)
    log = GroupPaths("operations").operations
    version = getattr(znodes.stat(log), "version", None)
    assert "not registered; the members there are: node1, node2, node3" in refused(
        run("switchover", "--to", "node9")
    )
    assert f"{led} leads already" in refused(run("switchover", "--to", led))
    assert "has passed" in refused(run("switchover", "--at", "2020-01-31T12:00Z"), code=2)
    assert "has no time zone" in refused(run("switchover", "--at", "2020-01-31T12:00"), code=2)
    assert "not registered" in refused(run("restart", "node9"))
    assert "is registered" in refused(run("member", "remove", "node1"))
    assert "no operation" in refused(run("operations", "cancel", "nothing"))
    for dry in (("switchover",), ("restart", led), ("rolling-restart",), ("pause",), ("failover", "--to")):
        target = [name for name in MEMBERS if name != led][:1] if dry[-1] == "--to" else []
        assert done(run(*dry, *target, "--dry-run"))["dry_run"] is True
    assert getattr(znodes.stat(log), "version", None) == version
    assert epoch(whole(watch)[0]) == epoch(before)


def test_in_a_pause_nothing_moves_or_restarts_until_it_is_asked_for(
    local: Local, watch: Watch, run: Run
) -> None:
    before, led = whole(watch)
    other = next(name for name in MEMBERS if name != led)
    done(run("pause", "--by", "ann", "--reason", "a new switch"))
    assert "paused" in refused(run("pause"))
    assert "paused by ann" in refused(run("switchover"))
    assert "paused by ann" in refused(run("restart", other))
    local.kill_broker(led)
    watch.until(lambda view: states(view)[led] is MemberStatus.STOPPED, "its agent says so")
    time.sleep(3)  # nothing happens: there is no other way to see that than to wait
    view, _ = watch.until(lambda view: True, "")
    assert epoch(view) == epoch(before), "the lead has not moved"
    assert local.broker_pid(led) is None, "nothing has been started"
    assert f"{led} leads already" in refused(run("failover", "--to", led))
    assert done(run("failover", "--to", other))["state"] == "done"
    view, _ = watch.until(lambda view: leader_of(view) == other, "it leads")
    assert view.pause is not None, "and the pause goes on"
    assert local.broker_pid(led) is None
    done(run("resume"))
    assert whole(watch)[1] == other
    assert "not paused" in refused(run("resume"))


# -- brokers


def test_a_restart_drains_and_comes_back(local: Local, watch: Watch, run: Run) -> None:
    _, led = whole(watch)
    name = next(name for name in MEMBERS if name != led)
    pid = local.broker_pid(name)
    assert done(run("restart", name, "--reason", "a new kernel"))["state"] == "done"
    assert whole(watch)[1] == led, "the lead has not moved"
    assert local.broker_pid(name) not in (None, pid)
    log = json.loads(run("operations").stdout)
    assert (log[-1]["kind"], log[-1]["target"], log[-1]["reason"]) == ("restart", name, "a new kernel")


def test_a_rolling_restart_under_load_loses_nothing(
    local: Local, watch: Watch, run: Run, load: LocalTraffic
) -> None:
    _, led = whole(watch)
    pids = {name: local.broker_pid(name) for name in MEMBERS}
    least = len(MEMBERS)
    asked = done(run("rolling-restart", "--wait", "0"))
    assert asked["target"].split(", ")[-1] == led, "the leader's comes last"
    assert f"{asked['id']} asked for by" in refused(run("restart", led)), "not two at once"

    def over(view: GroupView) -> bool:
        nonlocal least
        least = min(least, sum(state is MemberStatus.RUNNING for state in states(view).values()))
        return view.maintenance is None

    watch.until(over, "it has ended", 300)
    ended_well(run, asked["id"])
    assert least == 2, "one at a time"
    whole(watch)
    assert all(local.broker_pid(name) not in (None, pid) for name, pid in pids.items())
    load.check()
    assert load.finish(60) == frozenset(), "lost"
    assert load.failures == ()
    assert load.totals().confirmed > 100


def test_a_rolling_restart_survives_the_death_of_the_agent_whose_turn_it_is(
    local: Local, watch: Watch, run: Run, load: LocalTraffic
) -> None:
    _, led = whole(watch)
    pids = {name: local.broker_pid(name) for name in MEMBERS}
    asked = done(run("rolling-restart", "--wait", "0"))
    watch.until(
        lambda view: view.maintenance is not None and bool(view.maintenance.record.done),
        "the first is restarted",
        120,
    )
    local.kill_agent(led)  # which lets the next one begin
    second, _ = watch.until(lambda view: leader_of(view) not in (led, None), "another leads")
    assert second.maintenance is not None
    local.start_agent(led)
    last, _ = watch.until(
        lambda view: (
            view.maintenance is not None
            and view.maintenance.record.step is MaintenanceStep.RESTART
            and len(view.maintenance.record.done) == 1
        ),
        "the second broker is about to end",
        120,
    )
    assert last.maintenance is not None
    restarting = last.maintenance.record.members[0]
    local.kill_agent(restarting)
    local.start_agent(restarting)
    ended_well(run, asked["id"])
    whole(watch)
    assert all(local.broker_pid(name) not in (None, pid) for name, pid in pids.items())
    load.check()
    assert load.finish(60) == frozenset(), "lost"
    assert load.failures == ()


# -- settings


def test_a_setting_of_the_group_reaches_all_agents_while_they_run(watch: Watch, run: Run) -> None:
    before, _ = whole(watch)
    assert before.config is not None
    dry = done(run("config", "set", "health.hung_after=3", "health.fall=2", "--dry-run"))
    assert [change["key"] for change in dry["diff"]] == ["health.fall", "health.hung_after"]
    assert watch.until(lambda view: True, "")[0].config == before.config
    written = done(run("config", "set", "health.hung_after=3.0", "health.fall=2", "--by", "ann"))
    assert written["version"] == before.config.version + 1
    assert written["members"] == dict.fromkeys(MEMBERS, "taken")
    shown = done(run("config", "show"))
    for name in MEMBERS:
        effective = shown["members"][name]["effective"]
        assert effective["health.hung_after"] == {"value": 3.0, "from": "group"}
        assert effective["health.interval"]["from"] == "default"
    log = json.loads(run("operations").stdout)
    assert log[-1]["kind"] == "config"
    assert log[-1]["by"].startswith("ann, ")
    assert "health.fall: not set → 2" in log[-1]["outcome"]
    assert "has version" in refused(run("config", "set", "health.fall=3", "--version", "0"))
    assert "health.hung_after is 0.1 s, shorter than health.interval (0.5 s)" in refused(
        run("config", "set", "health.hung_after=0.1"), code=2
    )
    assert "did you mean health.fall" in refused(run("config", "set", "health.fal=1"), code=2)
    assert epoch(whole(watch)[0]) == epoch(before), "and nobody has been disturbed"


def test_the_whole_can_be_edited(run: Run, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        "#!/bin/sh\nsed -i 's/fall: .*/fall: null/; s/hung_after: .*/hung_after: 2.5/' \"$1\"\n"
    )
    editor.chmod(0o755)
    done(run("config", "set", "health.hung_after=3.0", "health.fall=2"))
    edited = done(run("config", "edit", EDITOR=str(editor), VISUAL=""))
    assert edited["diff"] == [
        {"key": "health.fall", "from": 2, "to": None},
        {"key": "health.hung_after", "from": 3.0, "to": 2.5},
    ]


def test_what_needs_a_restart_is_pending_until_then(local: Local, watch: Watch, run: Run) -> None:
    _, led = whole(watch)
    name = next(name for name in MEMBERS if name != led)
    written = done(run("config", "set", "zookeeper.session_timeout=8.0"))
    assert written["restart_needed"] == ["zookeeper.session_timeout"]
    assert all("restart pending for zookeeper.session_timeout" in its for its in written["members"].values())
    local.kill_agent(name)
    local.start_agent(name)
    whole(watch)
    watch.until(
        lambda view: (
            name in view.members
            and (taken := view.members[name].record.config) is not None
            and not taken.restart_pending
        ),
        "the agent that was started again goes by it",
        60,
    )
    written = done(run("config", "set", "zookeeper.session_timeout=null"))
    assert written["members"][name] == "taken; restart pending for zookeeper.session_timeout"
    assert written["members"][led] == "taken"


@pytest.mark.parametrize(
    "spoilt", [b"<not ours/>", b'{"v":1,"mode":"cluster","health":{"interval":9.0}}', b'{"v":9}']
)
def test_a_spoilt_configuration_changes_nothing(
    watch: Watch, run: Run, znodes: Backend, spoilt: bytes
) -> None:
    done(run("config", "set", "--replace", "health.hung_after=2.5"))
    before, _ = whole(watch)
    assert before.config is not None
    valid = before.config.version
    znodes.set(GroupPaths("operations").config, spoilt, before.config.version)
    view, _ = watch.until(
        lambda view: all(
            member.record.config is not None
            and (member.record.config.problem or "").startswith(f"goes on with version {valid}")
            for member in view.members.values()
        ),
        "each agent says that it goes on with the last valid one",
        20,
    )
    assert states(view) == RUNNING
    assert epoch(view) == epoch(before)
    assert done(run("config", "show"))["members"]["node1"]["problem"]
    written = done(run("config", "set", "--replace"))
    assert all(its.startswith("taken") for its in written["members"].values()), written
    assert epoch(whole(watch)[0]) == epoch(before)


def test_a_deleted_configuration_is_written_again(watch: Watch, run: Run, znodes: Backend) -> None:
    done(run("config", "set", "--replace", "health.hung_after=2.5"))
    before, _ = whole(watch)
    assert before.config is not None
    znodes.delete(GroupPaths("operations").config, before.config.version)
    view, _ = watch.until(lambda view: view.config is not None, "the agents write it again")
    assert view.config is not None
    assert view.config.record == before.config.record
    assert epoch(whole(watch)[0]) == epoch(before)
    done(run("config", "set", "--replace"))


def test_a_member_of_the_preferred_site_asks_for_the_lead_after_a_while(
    local: Local, watch: Watch, run: Run
) -> None:
    _, led = whole(watch)
    if led != "node3":
        done(run("switchover", "--to", "node3"))
    local.kill_broker("node3")
    view, _ = watch.until(lambda view: leader_of(view) not in ("node3", None), "another leads")
    done(run("config", "set", "preferred_site=north", "failback.after=3"))
    try:
        view, _ = watch.until(lambda view: leader_of(view) == "node3", "it has the lead back", 120)
        assert view.leader is not None
        change, _ = watch.until(
            lambda view: view.last_change is not None and view.last_change.epoch == epoch(view),
            "it is in the history",
        )
        assert change.last_change is not None
        assert change.last_change.by == "agent node3 (failback)"
        assert "site north is preferred" in (change.last_change.reason or "")
        assert ended(run, change.last_change.operation or "")["kind"] == "failback"
        done(run("switchover", "--to", "node1", "--by", "ann"))
        before, _ = whole(watch)
        time.sleep(5)  # what an operator has asked for stays: there is no other way to see that than to wait
        assert epoch(whole(watch)[0]) == epoch(before)
    finally:
        done(run("config", "set", "--replace"))


# -- the last: from here on there are two


def test_a_member_that_is_gone_is_removed_and_nothing_below_a_majority_is_restarted(
    local: Local, watch: Watch, run: Run
) -> None:
    _, led = whole(watch)
    gone = next(name for name in MEMBERS if name != led)
    other = next(name for name in MEMBERS if name not in (led, gone))
    local.kill_node(gone)
    watch.until(lambda view: gone not in view.members, "its session has ended")
    assert "only 1 of 3 brokers would serve, and a majority is 2" in refused(run("restart", other))
    assert "not registered" in refused(run("rolling-restart"))
    entry = done(run("member", "remove", gone, "--by", "ann"))
    assert entry["state"] == "done", entry
    view, _ = watch.until(lambda view: True, "")
    assert view.cluster is not None
    assert gone not in {node.member for node in view.cluster.record.nodes.values()}
    assert local.ctl(led).cluster_status().nodes == {local.node(led), local.node(other)}
    assert "is not recorded" in refused(run("member", "remove", gone))
