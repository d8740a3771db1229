"""Who may do what with a group's znodes: closed, opened, squatted on, given to another identity."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from rabbitkeeper.client.discovery.group_watch import GroupWatch
from rabbitkeeper.coordinator.backend.access import BackendAccess
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.backend.node import Create
from rabbitkeeper.coordinator.cli.root import root
from rabbitkeeper.coordinator.connect import backend_at, writer_name
from rabbitkeeper.coordinator.model.errors import AccessDenied, CoordinationError, UnknownGroup
from rabbitkeeper.coordinator.model.paths import ROOT, GroupPaths
from rabbitkeeper.coordinator.model.permissions import EVERYBODY
from rabbitkeeper.coordinator.model.records import GroupConfig
from rabbitkeeper.coordinator.operations.securing import nodes_of, secure
from rabbitkeeper.coordinator.policy.exposure import standing
from rabbitkeeper.coordinator.store.store import Store

pytestmark = pytest.mark.zookeeper

AGENTS, NEXT, CLIENTS = ("agents", "one"), ("agents2", "two"), ("clients", "three")
READER = writer_name(CLIENTS)

Connect = Callable[..., Backend]


@pytest.fixture
def paths(connect: Connect, group: str) -> GroupPaths:
    """Of the test's group, beside another: the node of all groups is nobody's."""
    connect().ensure_path(GroupPaths("another").root)
    return GroupPaths(group)


def identity(who: tuple[str, str] | None, *readers: str) -> BackendAccess:
    return BackendAccess(identity=who, readers=readers or None)


def made(connect: Connect, group: str, access: BackendAccess) -> Backend:
    """A session that has made the group, and a member in it."""
    backend = connect(access=access)
    Store(backend, group).create_group(GroupConfig())
    backend.create(GroupPaths(group).member("node1"), b"{}", ephemeral=True)
    return backend


def may(work: Callable[[], object]) -> bool:
    try:
        work()
    except AccessDenied:
        return False
    return True


def writes(backend: Backend, path: str) -> bool:
    def write() -> None:
        there = backend.stat(path)
        assert there is not None
        backend.set(path, b"{}", there.version)

    return may(write)


def test_a_closed_group_is_read_by_its_readers_and_written_by_its_agents(
    connect: Connect, paths: GroupPaths
) -> None:
    made(connect, paths.group, identity(AGENTS, READER))
    cells = {
        "agents": (identity(AGENTS), True, True),
        "clients": (identity(CLIENTS), True, False),
        "anonymous": (identity(None), False, False),
    }
    for who, (access, reads, changes) in cells.items():
        backend = connect(access=access)
        for path in (paths.config, paths.member("node1"), paths.history):
            assert may(partial(backend.read, [path])) is reads, (who, path)
            assert writes(backend, path) is changes, (who, path)
        assert may(partial(backend.create, paths.leader, b"", ephemeral=True)) is changes, who
        assert may(partial(backend.create, f"{paths.members}/{who}", b"")) is changes, who


def test_an_open_group_is_closed_with_all_that_is_in_it(connect: Connect, paths: GroupPaths) -> None:
    anonymous = made(connect, paths.group, identity(None))
    agents = connect(access=identity(AGENTS))
    assert standing(agents.permissions(paths.root), None, "agents").refusal is not None
    before = list(nodes_of(agents, paths))
    assert secure(agents, paths, (), [READER], dry_run=True) == before
    assert writes(anonymous, paths.config)
    assert secure(agents, paths, (), [READER]) == before
    assert secure(agents, paths, (), [READER]) == []
    assert paths.member("node1") in before
    for path in before:
        assert not may(partial(anonymous.read, [path]))
        found = agents.permissions(path)
        assert found is not None
        assert (found.writers, found.own) == ((writer_name(AGENTS),), True)
    assert standing(agents.permissions(paths.root), None, "agents", (READER,)) == standing(None, None, None)


def test_from_one_identity_to_the_next_both_can_work(connect: Connect, paths: GroupPaths) -> None:
    old = made(connect, paths.group, identity(AGENTS))
    new = connect(access=identity(NEXT))
    assert not writes(new, paths.config)
    secure(old, paths, [writer_name(NEXT)], None)
    for backend in (old, new):
        backend.adopt_acl(paths.root)
        assert writes(backend, paths.config)
    (warning,) = standing(old.permissions(paths.root), None, "agents").warnings
    assert "agents2" in warning
    old.create(paths.pause, b"{}")  # made meanwhile by an agent that has the old identity still
    assert writes(new, paths.pause)
    secure(new, paths, (), None)
    assert not writes(old, paths.config)
    assert writes(new, paths.config)
    assert standing(new.permissions(paths.root), None, "agents2").warnings == ()


def test_keep_open_is_for_the_time_until_all_agents_have_the_identity(
    connect: Connect, paths: GroupPaths
) -> None:
    anonymous = made(connect, paths.group, identity(None))
    agents = connect(access=identity(AGENTS))
    secure(agents, paths, [EVERYBODY], None)
    found = standing(agents.permissions(paths.root), None, "agents")
    assert found.refusal is None
    assert "everybody may still write" in found.warnings[0]
    agents.adopt_acl(paths.root)
    agents.create(paths.pause, b"{}")
    assert writes(anonymous, paths.pause)
    secure(agents, paths, (), None)
    assert not writes(anonymous, paths.pause)


def test_who_has_taken_the_name_before_is_found(connect: Connect, paths: GroupPaths) -> None:
    squatter = connect(access=identity(("mallory", "x")))
    squatter.ensure_path(paths.root)
    agents = connect(access=identity(AGENTS))
    said = standing(agents.permissions(paths.root), agents.permissions(ROOT), "agents").refusal
    assert said is not None
    assert "the group belongs to" in said
    with pytest.raises(AccessDenied, match="may do everything with the group already"):
        secure(agents, paths, (), None)
    anonymous = connect(access=identity(None))
    said = standing(anonymous.permissions(paths.root), None, None).refusal
    assert said is not None
    squatter.permit(paths.root, (), [EVERYBODY])


def test_somebody_else_can_be_shown_to_a_session_that_goes_on(connect: Connect, paths: GroupPaths) -> None:
    made(connect, paths.group, identity(NEXT))
    agents = connect(access=identity(AGENTS))
    session = agents.session_id
    assert not writes(agents, paths.config)
    agents.adapt(identity(NEXT))
    assert writes(agents, paths.config)
    assert agents.session_id == session
    agents.adopt_acl(paths.root)
    agents.create(paths.pause, b"{}")
    assert writes(connect(access=identity(NEXT)), paths.pause)


def test_a_chroot_that_is_not_there_is_made(zookeeper: str, group: str) -> None:
    below = backend_at(f"{zookeeper}/{group}/deep", access=identity(AGENTS), name="test")
    below.start(20)
    try:
        Store(below, "orders").create_group(GroupConfig())
        assert below.stat(GroupPaths("orders").config) is not None
        below.transaction([Create(GroupPaths("orders").pause, b"{}")])
    finally:
        below.close()


def test_a_root_that_is_locked_down_is_named_and_one_that_has_the_node_of_all_groups_is_used(
    connect: Connect, zookeeper: str, group: str
) -> None:
    """ZooKeeper denies to create what is there already, too, and says it of that."""
    administrator = connect(access=identity(("administrator", "one")))
    administrator.ensure_path(f"/{group}")
    administrator.permit(f"/{group}", (), [EVERYBODY])
    agents = backend_at(f"{zookeeper}/{group}", access=identity(AGENTS), name="test")
    agents.start(20)
    try:
        with pytest.raises(AccessDenied) as denied:
            Store(agents, "orders").create_group(GroupConfig())
        assert str(denied.value).startswith(
            f"ZooKeeper does not let this identity create {ROOT}: the ACL of / keeps that to others; "
            f"have whoever owns / create {ROOT}"
        )
        administrator.create(f"/{group}{ROOT}", b"")
        administrator.permit(f"/{group}{ROOT}", [writer_name(AGENTS)], [EVERYBODY])
        Store(agents, "orders").create_group(GroupConfig())
        administrator.permit(f"/{group}{ROOT}", (), [EVERYBODY])
        Store(agents, "orders").create_group(GroupConfig())  # as each start of an agent does
        assert agents.stat(GroupPaths("orders").config) is not None
        with pytest.raises(
            AccessDenied, match=f"create {ROOT}/other: the ACL of {ROOT} keeps that to others"
        ):
            Store(agents, "other").create_group(GroupConfig())
    finally:
        agents.close()
    deeper = backend_at(f"{zookeeper}/{group}/deep", access=identity(AGENTS), name="test")
    deeper.start(20)
    try:
        with pytest.raises(AccessDenied, match=f"create /{group}/deep: the ACL of /{group} keeps"):
            Store(deeper, "orders").create_group(GroupConfig())
    finally:
        deeper.close()


def test_a_chroot_that_is_not_there_is_named(zookeeper: str, group: str) -> None:
    hosts = f"{zookeeper}/{group}/deep"
    done = CliRunner().invoke(root, ["-z", hosts, "-g", "orders", "list"])
    assert done.exit_code == 2
    assert f"its /{group}/deep, with which that address ends, is not there either" in done.output
    watch = GroupWatch(lambda wake: backend_at(hosts, name="test"), "orders", random=Random(1), name="test")
    with pytest.raises(UnknownGroup, match="is not there either"):
        watch.start(20)


def test_the_command_secures_and_the_others_warn_until_then(
    connect: Connect, zookeeper: str, paths: GroupPaths, tmp_path: Path
) -> None:
    anonymous = made(connect, paths.group, identity(None))
    for name, who in (("agents", AGENTS), ("next", NEXT)):
        (tmp_path / name).write_text(":".join(who) + "\nanything\n")

    def run(*arguments: str, who: str | None = None) -> tuple[int, str]:
        options = ["-z", zookeeper, "-g", paths.group]
        options += [] if who is None else ["--zookeeper-auth", str(tmp_path / who)]
        done = CliRunner().invoke(root, [*options, *arguments])
        return done.exit_code, done.output

    assert "everybody who reaches ZooKeeper can change this group" in run("list")[1]
    assert run("secure") == (
        2,
        "rabbitkeeper: to whom? give --zookeeper-auth FILE, the identity of the group's agents\n",
    )
    assert "would be changed" in run("secure", "--dry-run", who="agents")[1]
    assert writes(anonymous, paths.config)
    code, said = run("secure", "--reader", READER, "--wait", "0", who="agents")
    assert (code, said.count("changed: ")) == (0, 5)
    assert not writes(anonymous, paths.config)
    assert run("secure", "--wait", "0", who="agents") == (0, "nothing is to be changed\n")
    assert run("secure", "--reader", "nonsense", who="agents")[0] == 2
    code, said = run("secure", who="next")
    assert code == 1
    assert "ZooKeeper denies access" in said
    assert run("secure", "--also", str(tmp_path / "next"), "--wait", "0", who="agents")[0] == 0
    assert "agents2" in run("doctor", who="agents")[1]
    assert run("secure", "--wait", "0", who="next")[0] == 0
    with pytest.raises(CoordinationError):
        connect(access=identity(AGENTS)).create(paths.pause, b"")
