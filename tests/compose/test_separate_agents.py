"""The recommended variant: brokers and agents in containers of their own."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.demo.containers import Running, running
from support.demo.plain_client import PlainClient
from support.waiting import attempts

from rabbitkeeper.compose.containers import DemoError
from rabbitkeeper.compose.containers.stage import (
    AGENT_KILLED,
    BROKER_CUT,
    BROKER_KILLED,
    BROKER_PAUSED,
    MEMBERS,
    NODE_CUT,
    ZOOKEEPER_KILLED,
)

pytestmark = pytest.mark.timeout(900)  # the first test has the images built, if they are not there

ASK_ENGINE = """
import json, docker, docker.errors, sys
api = docker.APIClient(base_url="unix:///run/docker/docker.sock", version="auto", timeout=10)
def status(call):
    try:
        call()
    except docker.errors.APIError as error:
        return error.status_code
    return 200
own, other = sys.argv[1:]
print(json.dumps({
    "own": status(lambda: api.inspect_container(own)),
    "exec": status(lambda: api.exec_start(api.exec_create(own, ["true"])["Id"])),
    "other": status(lambda: api.inspect_container(other)),
    "kill other": status(lambda: api.kill(other)),
    "list": status(lambda: api.containers()),
    "create": status(lambda: api.create_container("debian", ["true"])),
    "privileged": status(lambda: api.exec_create(own, ["true"], privileged=True)),
    "root": status(lambda: api.exec_create(own, ["true"], user="root")),
    "remove": status(lambda: api.remove_container(own)),
}))
"""


@pytest.fixture(scope="module")
def demo(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running("separate,prometheus", tmp_path_factory.mktemp("separate")) as demo:
        yield demo


@pytest.fixture
def plain(demo: Running) -> Iterator[PlainClient]:
    port = demo.settings.ports["RABBITKEEPER_AMQP_PORT"]
    client = PlainClient(demo.settings.bind, port, demo.settings.application)
    yield client
    client.close()


def test_the_published_pages_answer(demo: Running) -> None:
    group = httpx.get(demo.settings.url("API") + "group", timeout=10).json()
    assert {member["name"] for member in group["members"]} == set(MEMBERS)
    assert "RabbitMQ" in httpx.get(demo.settings.url("MANAGEMENT"), timeout=10).text


def test_prometheus_has_what_the_agents_tell(demo: Running) -> None:
    query = {"query": 'sum(rabbitkeeper_state{state="running"})'}
    for _ in attempts(60):
        answer = httpx.get(demo.settings.url("API") + "prometheus/api/v1/query", params=query, timeout=10)
        found = answer.json()["data"]["result"] if answer.is_success else []
        if found and found[0]["value"][1] == "3":
            break


def test_a_second_demo_of_the_same_name_is_refused_in_a_sentence(demo: Running) -> None:
    with pytest.raises(DemoError, match=r"running already.*--down"):
        demo.project.check(demo.settings)


def test_no_container_has_more_than_it_needs_or_shows_a_secret(demo: Running) -> None:
    secrets = [secret.rpartition(":")[2] for secret in demo.settings.secrets.values()]
    published: set[str] = set()
    for container in demo.project.containers().values():
        seen = container.attrs
        assert not seen["HostConfig"]["Privileged"], container.name
        assert seen["HostConfig"]["CapDrop"] == ["ALL"], container.name
        assert not seen["HostConfig"]["CapAdd"], container.name
        assert seen["HostConfig"]["ReadonlyRootfs"], container.name
        assert seen["HostConfig"]["Memory"], container.name
        published |= {port for port, where in seen["NetworkSettings"]["Ports"].items() if where}
        shown = json.dumps(seen) + container.logs().decode(errors="replace")
        if seen["State"]["Status"] == "running":
            shown += json.dumps(container.top())
        assert not [secret for secret in secrets if secret in shown], container.name
    assert published == {"5672/tcp", "15672/tcp", "8080/tcp"}


def test_who_has_no_identity_at_zookeeper_does_not_reach_it(demo: Running) -> None:
    reached = {
        service: container.exec_run(["bash", "-c", ": </dev/tcp/zookeeper1/2181"]).exit_code == 0
        for service, container in demo.project.containers().items()
        if container.status == "running" and not service.startswith(("socket", "zookeeper"))
    }
    assert {service for service, reaches in reached.items() if reaches} == {
        *(f"agent{number}" for number in (1, 2, 3)),
        *("producer", "consumer", "observer"),
    }


def test_the_group_in_zookeeper_is_for_its_agents_and_clients_alone(demo: Running) -> None:
    command = ["rabbitkeeper", "-z", "zookeeper1,zookeeper2,zookeeper3", "-g", "demo"]

    def status(service: str, *arguments: str, identity: str | None = None) -> int:
        environment = {} if identity is None else {"RABBITKEEPER_ZOOKEEPER_AUTH_FILE": identity}
        container = demo.project.container(service)
        code: int = container.exec_run([*command, *arguments], environment=environment).exit_code
        return code

    assert status("producer", "leader") == 0
    assert status("producer", "leader", identity="") == 1
    assert status("producer", "pause") == 1
    assert status("agent1", "pause") == 0
    assert status("agent1", "resume") == 0


def test_an_agent_is_let_through_to_its_own_broker_and_nothing_else(demo: Running) -> None:
    own, other = (demo.project.container(f"broker{number}").name for number in (1, 2))
    done = demo.project.container("agent1").exec_run(["python", "-c", ASK_ENGINE, own, other])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    assert (found.pop("own"), found.pop("exec")) == (200, 200)
    assert set(found.values()) == {403}, found


def test_each_fault_ends_with_the_group_whole_and_a_plain_client_follows_the_leader(
    demo: Running, plain: PlainClient
) -> None:
    plain.publish(1, timeout=30)
    assert _where_plain_is(demo) == demo.leader
    (result,) = demo.strike(BROKER_KILLED)
    assert result.role == "leader"
    plain.publish(2, timeout=30)
    assert _where_plain_is(demo) == demo.leader != result.target
    results = demo.strike(BROKER_PAUSED, NODE_CUT, AGENT_KILLED, BROKER_CUT, ZOOKEEPER_KILLED)
    # The last need not cost anybody the lead, but may on a host that is too busy to keep a session.
    assert all(each.new_leader is not None for each in results[:-1])
    plain.publish(3, timeout=30)
    assert set(plain.confirmed) <= set(plain.delivered())


def test_nothing_that_was_confirmed_is_lost(demo: Running) -> None:
    assert demo.not_delivered() == ""
    assert demo.traffic.totals().confirmed > 0
    assert demo.traffic.failures == ()


def _where_plain_is(demo: Running) -> str:
    """The member whose broker has the plain client's connection, as the management API knows it later."""
    with httpx.Client(base_url=demo.settings.url("MANAGEMENT"), auth=demo.settings.application) as management:
        for _ in attempts(30):
            answer = management.get("api/connections", timeout=10)
            nodes: set[str] = {
                each["node"]
                for each in (answer.json() if answer.is_success else [])
                if each.get("client_properties", {}).get("connection_name") == "plain"
            }
            if len(nodes) == 1:
                return nodes.pop().replace("rabbit@rabbit", "node")
    raise AssertionError("not reached")
