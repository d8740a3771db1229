"""The HTTP API of a real agent with a real broker: what it tells, whom it obeys, what it does in need."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from support.agent.api import Events, problems, read_log, until
from support.agent.processes import agent_config, running_agent
from support.agent.znodes import is_other, znodes_of
from support.group_watch import PATIENCE, Watch, epoch, states
from support.waiting import wait_for

from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.cli.root import root
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(300)]

GROUP, NODE = "api", "node1"
SOON = 20.0  # seconds within which everything is answered, whatever hangs, also on a busy host


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the hooks write what they are told."""
    return tmp_path_factory.mktemp("hooks") / "told"


@pytest.fixture(scope="module")
def local(told: Path) -> Iterator[Local]:
    note = ["sh", "-c", f'echo "$RABBITKEEPER_EVENT $RABBITKEEPER_MEMBER $RABBITKEEPER_CAUSE" >> {told}']
    hooks = {"leader_elected": note, "leader_lost": note}
    with Local(zookeepers=1, members=1, group=GROUP, api=True, agent_settings={"hooks": hooks}) as local:
        local.wait_ready(120)
        yield local


@pytest.fixture(scope="module")
def http(local: Local) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=local.api(NODE), timeout=SOON) as client:
        yield client


@pytest.fixture
def watch(local: Local, watching: Callable[[Local], Watch]) -> Watch:
    return watching(local)


@pytest.fixture(scope="module")
def token(local: Local) -> dict[str, str]:
    return {"Authorization": f"Bearer {local.api_token(NODE)}"}


def test_the_leader_says_that_it_leads(http: httpx.Client, watch: Watch) -> None:
    watch.leader()
    until(lambda: http.get("/leader").status_code == 200, "it leads")
    for method in ("HEAD", "OPTIONS"):
        assert http.request(method, "/leader").status_code == 200
    assert http.get("/replica").status_code == 503
    assert http.get("/live").status_code == http.get("/ready").status_code == 200
    health = http.get("/health").json()
    assert (health["state"], health["role"], health["leader"]) == ("running", "leader", NODE)
    assert 0 < health["zookeeper"]["lease_left"] < 6
    assert health["broker"]["canary_latency"] > 0
    (member,) = http.get("/group").json()["members"]
    assert member["api"] == str(http.base_url)
    (change,) = http.get("/history").json()["entries"]
    assert (change["to"], change["cause"]) == (NODE, "first leader")


def test_prometheus_is_told_the_same(http: httpx.Client) -> None:
    told = http.get("/metrics").text.splitlines()
    assert "rabbitkeeper_leader 1.0" in told
    assert 'rabbitkeeper_state{state="running"} 1.0' in told
    assert 'rabbitkeeper_failovers_total{cause="first leader"} 1.0' in told
    assert "rabbitkeeper_zookeeper_connected 1.0" in told
    assert any(line.startswith("rabbitkeeper_canary_latency_seconds ") for line in told)


def test_a_failover_is_heard_counted_and_hooked(
    local: Local, http: httpx.Client, watch: Watch, told: Path
) -> None:
    until(lambda: told.exists() and "elected" in told.read_text(), "the hook for the first lead has run")
    events = Events(local.api(NODE))
    until(lambda: bool(events.heard), "the listener is greeted")
    assert events.heard[0]["leader"] == NODE
    local.kill_broker(NODE)
    # If the canary's queue was too young to be on the disk, it is declared anew, which takes a while.
    until(lambda: bool(events.named("leader_elected")), "it leads again", 2 * PATIENCE)
    watch.leader()
    (lost,), (elected,) = events.named("leader_lost"), events.named("leader_elected")
    assert lost["cause"] in ("broker unreachable", "broker stopped")
    assert elected["cause"] == "returned"  # there is nobody else who could have taken it
    assert elected["epoch"] > events.heard[0]["epoch"]
    assert elected["timings"]["vacant"] > 0
    assert 0 < events.named("state")[0]["timings"]["detection"] < PATIENCE
    until(lambda: len(told.read_text().splitlines()) == 3, "all hooks have run")
    first, second, third = (line.split(" ", 2) for line in told.read_text().splitlines())
    assert first == ["leader_elected", NODE, "first leader"]
    assert second == ["leader_lost", NODE, lost["cause"]]
    assert third == ["leader_elected", NODE, "returned"]
    metrics = http.get("/metrics").text
    assert "rabbitkeeper_broker_ends_total 1.0" in metrics
    assert "rabbitkeeper_detection_seconds_count 1.0" in metrics
    assert 'rabbitkeeper_hooks_total{event="leader_lost",outcome="done",way="command"} 1.0' in metrics


def test_operations_are_carried_out_for_those_who_have_the_token(
    http: httpx.Client, watch: Watch, token: dict[str, str]
) -> None:
    tried = http.post("/pause", headers=token, json={"dry_run": True})
    assert (tried.status_code, tried.json()["id"]) == (200, None)
    asked = http.post("/pause", headers=token, json={"by": "anna", "reason": "new disk"})
    assert asked.status_code == 202
    followed = http.get(asked.headers["location"]).json()
    assert (followed["kind"], followed["state"]) == ("pause", "done")
    assert followed["by"].startswith("anna, ")  # and from where
    until(lambda: http.get("/group").json()["pause"] is not None, "the agent sees the pause")
    again = http.post("/pause", headers=token)
    assert again.status_code == 409
    assert again.json()["reason"].startswith("the group is paused already, by anna, ")
    assert http.post("/resume", headers=token).status_code == 202
    until(lambda: http.get("/group").json()["pause"] is None, "the agent sees the pause end")
    assert [entry["kind"] for entry in http.get("/operations").json()["entries"]] == ["pause", "resume"]
    assert watch.leader().leader is not None


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/failover", b'{"to": "node1"}', 409, "node1 leads already (epoch "),
        ("/failover", b'{"to": "node7"}', 409, "node7 is not registered; the members there are: node1"),
        ("/failover", b"{}", 422, "to is missing; it has no default"),
        ("/failover", b'{"to": "a/b"}', 422, "member name 'a/b' is not valid: "),
        ("/switchover", b'{"at": "yesterday"}', 422, "the time 'yesterday' is not one; give it as "),
        ("/switchover", b"", 409, "no member besides node1 is running and may lead"),
        ("/resume", b"", 409, "the group is not paused"),
        ("/restart", b'{"force": "yes"}', 422, "force ('yes') must be true or false"),
        ("/pause", b"{", 422, "the body is not JSON: "),
        ("/pause", b"[]", 422, "the body must be a JSON object"),
        ("/pause", b'{"raison": "x"}', 422, "raison is not a known key; did you mean reason?"),
        ("/members/node1/remove", b"", 409, "node1 is registered (running): stop its agent and broker first"),
        ("/operations/none/cancel", b"", 409, "no operation 'none' is pending"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(
    http: httpx.Client, token: dict[str, str], path: str, body: bytes, status: int, reason: str
) -> None:
    before = http.get("/operations").json()["entries"]
    answer = http.post(path, headers=token, content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["reason"].startswith(reason)
    assert http.get("/operations").json()["entries"] == before


@pytest.mark.parametrize("header", [None, "Bearer wrong-wrong-wrong", "Basic YTpi", "Bearer", ""])
def test_without_the_token_nothing_is_done(http: httpx.Client, header: str | None) -> None:
    answer = http.post("/pause", headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert http.get("/group").json()["pause"] is None


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_ten_megabytes_is_refused(http: httpx.Client, token: dict[str, str], chunked: bool) -> None:
    body = (b"x" * 100_000 for _ in range(100)) if chunked else b"x" * 10_000_000
    answer = http.post("/pause", headers=token, content=body)
    assert answer.status_code == 413
    assert answer.json() == {"reason": "the body is larger than 64 KiB"}
    assert http.get("/live").status_code == 200


def test_a_client_that_never_ends_its_request_holds_up_nobody(
    local: Local, http: httpx.Client, token: dict[str, str]
) -> None:
    host, _, port = local.api(NODE).removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=SOON) as slow:
        head = f"Host: x\r\nContent-Length: 10\r\nAuthorization: {token['Authorization']}"
        slow.sendall(f"POST /pause HTTP/1.1\r\n{head}\r\n\r\n{{".encode())
        assert http.get("/leader").status_code == 200
        slow.settimeout(15)
        assert b"408" in slow.recv(4096).split(b"\r\n")[0]


def test_a_port_that_is_taken_is_waited_for_before_anything_is_written(
    local: Local, watch: Watch, tmp_path: Path
) -> None:
    """Exit status 2 would keep systemd from starting the agent again, though the port is free in a moment."""
    listen = local.api(NODE).removeprefix("http://")
    config = agent_config(local, NODE, group="elsewhere", http={"listen": listen})
    log = tmp_path / "agent.log"
    with log.open("w") as said, running_agent(tmp_path / "agent.yml", config, stderr=said) as agent:
        wait_for(lambda: "waiting for the address of the HTTP API" in log.read_text(), "it says so", 60)
        assert agent.poll() is None
    assert agent.returncode == 0
    assert (
        f"http.listen is '{listen}', and there the agent cannot listen: Address already in use; "
        "give an address of this host and a port that is free"
    ) in log.read_text()
    assert "elsewhere" not in watch.groups()


@pytest.mark.parametrize("content", [b'{"hello": "world"}', b"\xff\x00 no JSON"], ids=["foreign", "corrupt"])
def test_znodes_that_cannot_be_read_are_named_and_passed_over(
    local: Local, http: httpx.Client, watch: Watch, content: bytes
) -> None:
    before, pid = watch.leader(), local.agent_pid(NODE)
    paths = GroupPaths(GROUP)
    session = backend_at(local.zookeeper_hosts, name="vandal")
    session.start(10)
    try:
        for path in znodes_of(paths, NODE):
            if content.startswith(b"{") and path.endswith("/config"):
                continue  # any JSON object is a configuration, of keys that nobody knows
            there = session.read([path])[path]
            if there is None:
                session.create(path, content)
            else:
                session.set(path, content, there.version)
            if path in (paths.leader, paths.member(NODE), paths.cluster):  # their owner works
                until(lambda: is_other(session, path, content), f"{path} is written again")  # noqa: B023 - as above
                continue
            until(lambda: path in problems(http), f"{path} is named")  # noqa: B023 - called before the next
            assert http.get("/live").status_code == 200
            now = session.stat(path)
            assert now is not None
            if there is None:
                session.delete(path, now.version)
            else:
                session.set(path, there.data, now.version)
            until(lambda: path not in problems(http), f"{path} is well again")  # noqa: B023 - called before the next
    finally:
        session.close()
    after = watch.leader()
    assert local.agent_pid(NODE) == pid
    assert after.leader is not None
    assert before.leader is not None
    assert after.leader.epoch == before.leader.epoch


def test_logs_that_cannot_be_read_stop_no_agent_and_are_left_as_they_are(
    local: Local, http: httpx.Client, token: dict[str, str]
) -> None:
    paths = GroupPaths(GROUP)
    session = backend_at(local.zookeeper_hosts, name="vandal")
    session.start(10)
    try:
        for name, path in (("history", paths.history), ("operations", paths.operations)):
            shown, there = http.get(f"/{name}").json()["entries"], session.read([path])[path]
            assert there is not None
            spoilt = session.set(path, b"nonsense", there.version)
            until(lambda: read_log(http, name)["problem"] is not None, "it is named")  # noqa: B023 - called before the next
            stale = read_log(http, name)
            assert path in stale["problem"]
            assert stale["entries"] == shown
            if name == "operations":
                answer = http.post("/pause", headers=token)
                assert answer.status_code == 503
                assert path in answer.json()["reason"]
            now = session.read([path])[path]
            assert now is not None
            assert now.data == b"nonsense"
            assert http.get("/live").status_code == 200
            session.set(path, there.data, spoilt.version)
    finally:
        session.close()


def test_it_answers_while_zookeeper_hangs(
    local: Local, http: httpx.Client, watch: Watch, token: dict[str, str]
) -> None:
    watch.leader()
    until(lambda: http.get("/leader").status_code == 200, "it leads")
    history = http.get("/history").json()["entries"]
    epoch = http.get("/health").json()["epoch"]
    local.zookeeper.freeze(0)
    try:
        until(lambda: http.get("/leader").status_code == 503, "the lease runs out")
        assert http.get("/leader?hold=true").status_code == 200
        assert http.get("/live").status_code == http.get("/ready").status_code == 200
        health = http.get("/health").json()
        assert (health["state"], health["epoch"], health["next"]["action"]) == ("running", epoch, "hold")
        stale = http.get("/history").json()
        assert stale["entries"] == history
        assert stale["age"] > 1
        assert stale["problem"] is not None
        started = time.monotonic()
        asked = http.post("/pause", headers=token)
        assert asked.status_code in (503, 504)
        assert time.monotonic() - started < SOON
    finally:
        local.zookeeper.thaw(0)
    until(lambda: http.get("/leader").status_code == 200, "it leads again")


def test_it_answers_while_the_broker_hangs(local: Local, http: httpx.Client, watch: Watch) -> None:
    watch.leader()
    local.stop_broker(NODE)
    until(lambda: http.get("/leader").status_code == 503, "the lead is given up")
    assert http.get("/live").status_code == 200
    assert http.get("/ready").status_code == 503
    watch.leader()
    until(lambda: http.get("/ready").status_code == 200, "the broker is there again")


def test_an_agent_that_was_stopped_does_not_claim_a_lead_when_it_goes_on(
    local: Local, http: httpx.Client, watch: Watch
) -> None:
    watch.leader()
    agent = local.agent_pid(NODE)
    assert agent is not None
    os.kill(agent, signal.SIGSTOP)
    try:
        watch.until(lambda view: view.leader is None, "the session has ended")
        answers: list[int] = []
        asked = threading.Thread(target=_record, args=(local.api(NODE), answers), daemon=True)
        asked.start()
        time.sleep(0.2)  # the request lies in the socket when the agent goes on
    finally:
        os.kill(agent, signal.SIGCONT)
    asked.join(20)
    assert answers == [503]
    view = watch.leader()
    assert states(view)[NODE] is MemberStatus.RUNNING


def _record(url: str, answers: list[int]) -> None:
    answers.append(httpx.get(f"{url}/leader", timeout=20).status_code)


def test_the_doctor_finds_what_an_operator_should_know(local: Local, watch: Watch) -> None:
    watch.leader()
    environment = {"RABBITKEEPER_ZOOKEEPER": local.zookeeper_hosts, "RABBITKEEPER_GROUP": GROUP}
    done = CliRunner().invoke(root, ["-o", "json", "doctor"], env=environment)
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["asked"]["apis"] == [NODE]
    assert [one["finding"] for one in told["findings"]] == [
        "1 ZooKeeper server tolerates no failure",
        "1 node tolerates no failure",
        "everybody who reaches ZooKeeper can change this group, and send its clients anywhere",
    ]


def test_an_agent_whose_loop_has_stopped_claims_nothing_and_is_ended(
    local: Local, http: httpx.Client, watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A loop that hangs cannot be had at will. A signal's handler runs on the loop's own thread, and hangs it.
    hang = "import signal, time\nsignal.signal(signal.SIGUSR1, lambda *_: time.sleep(600))\n"
    (tmp_path / "sitecustomize.py").write_text(hang)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    watch.leader()
    broker = local.broker_pid(NODE)
    local.kill_agent(NODE)
    watch.until(lambda view: view.leader is None, "the session of the killed agent has ended")
    local.start_agent(NODE)
    before = watch.leader()
    until(lambda: _status(http, "/leader") == 200, "it leads")
    agent = local.agent_pid(NODE)
    assert agent is not None
    os.kill(agent, signal.SIGUSR1)
    until(lambda: _status(http, "/live") == 503, "the API says that the loop has stopped")
    assert _status(http, "/leader") in (503, None)
    until(lambda: local.agent_pid(NODE) is None, "its watchdog ends it")
    watch.until(lambda view: view.leader is None, "the lead goes with the session")
    assert local.broker_pid(NODE) == broker
    local.start_agent(NODE)
    after = watch.leader()
    assert (epoch(after) or 0) > (epoch(before) or 0)
    assert local.broker_pid(NODE) == broker
    until(lambda: _status(http, "/leader") == 200, "the next run answers")


def _status(http: httpx.Client, path: str) -> int | None:
    """None: nobody answers."""
    try:
        return http.get(path).status_code
    except httpx.TransportError:
        return None


def test_when_the_agent_stops_listeners_are_sent_away(local: Local, http: httpx.Client) -> None:
    events = Events(local.api(NODE))
    until(lambda: bool(events.heard), "the listener is greeted")
    local.stop_agent(NODE)
    assert local.agent_pid(NODE) is None
    until(lambda: bool(events.named("leader_lost")), "the last events are heard")
