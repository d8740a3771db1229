"""What the znodes hold survives a round trip, keeps what it does not know, and is refused if foreign."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.coordinator.model.errors import InvalidName, RecordError
from rabbitkeeper.coordinator.model.paths import GroupPaths, check_name
from rabbitkeeper.coordinator.model.record import StoredRecord
from rabbitkeeper.coordinator.model.records import (
    HISTORY_LIMIT,
    GroupConfig,
    History,
    HistoryEntry,
    LeaderRecord,
    MemberRecord,
    MemberStatus,
    OperationEntry,
    OperationKind,
    OperationLog,
    OperationState,
    PauseRecord,
)

MEMBER = {
    "v": 1,
    "name": "node1",
    "instance": "3f2a",
    "node": "rabbit@host1",
    "versions": {"agent": "0.1.0", "rabbitmq": "3.13.7"},
    "amqp": "10.0.0.1:5672",
    "state": "running",
    "since": "2026-01-01T00:00:00.000Z",
}


@pytest.mark.parametrize(
    ("status", "serves", "may_lead", "down"),
    [
        (MemberStatus.STARTING, False, False, False),
        (MemberStatus.RUNNING, True, True, False),
        (MemberStatus.ALARMED, True, False, False),
        (MemberStatus.MINORITY, True, False, False),
        (MemberStatus.HUNG, False, False, True),
        (MemberStatus.DRAINING, False, False, False),
        (MemberStatus.STOPPED, False, False, True),
        (MemberStatus.UNREACHABLE, False, False, True),
        (MemberStatus.SPLIT, False, False, True),
        (MemberStatus.STARVING, False, False, True),
    ],
)
def test_what_a_status_means_for_clients_and_for_the_lead(
    status: MemberStatus, serves: bool, may_lead: bool, down: bool
) -> None:
    assert (status.serves, status.may_lead, status.down) == (serves, may_lead, down)


@pytest.mark.parametrize("state", [MemberStatus.SPLIT, MemberStatus.STARVING])
def test_versions_that_do_not_know_a_state_read_it_as_unreachable(state: MemberStatus) -> None:
    record = MemberRecord.model_validate(MEMBER | {"state": state})
    stored = json.loads(record.to_bytes())
    assert (stored["state"], stored["condition"]) == ("unreachable", state.value)
    again = MemberRecord.from_bytes("/m", record.to_bytes())
    assert again.state is state
    well = json.loads(again.model_copy(update={"state": MemberStatus.RUNNING}).to_bytes())
    assert well["state"] == "running"
    assert "condition" not in well


def test_a_condition_of_a_later_version_is_left_to_it() -> None:
    text = json.dumps(MEMBER | {"state": "unreachable", "condition": "bewitched"}).encode()
    assert MemberRecord.from_bytes("/m", text).state is MemberStatus.UNREACHABLE


def test_unknown_keys_are_kept_at_every_level() -> None:
    text = json.dumps(MEMBER | {"later": [1], "tags": {"rack": 7}}).encode()
    again = json.loads(MemberRecord.from_bytes("/m", text).to_bytes())
    assert again["later"] == [1]
    assert again["tags"]["rack"] == 7


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"[]", b"null", b"not json", b"{}", json.dumps(MEMBER | {"v": 2}).encode()],
    ids=["empty", "binary", "list", "null", "text", "nothing in it", "another version"],
)
def test_what_is_not_such_a_record_is_refused_with_its_path(data: bytes) -> None:
    with pytest.raises(RecordError, match=r"^/rabbitkeeper/g/members/x does not hold a MemberRecord"):
        MemberRecord.from_bytes("/rabbitkeeper/g/members/x", data)


@pytest.mark.parametrize("address", ["host", "host:port", "a b:1", ":5672", "[::1:5672", "host:123456"])
def test_an_address_must_have_host_and_port(address: str) -> None:
    with pytest.raises(RecordError, match="amqp"):
        MemberRecord.from_bytes("/m", json.dumps(MEMBER | {"amqp": address}).encode())


def test_records_of_one_kind_are_not_another() -> None:
    pause = PauseRecord(by="ann", since="2026-01-01T00:00:00Z").to_bytes()
    with pytest.raises(RecordError):
        LeaderRecord.from_bytes("/leader", pause)


def entry(epoch: int) -> HistoryEntry:
    return HistoryEntry(epoch=epoch, previous=None, to="a", node="rabbit@a", cause="", by="a", at="")


@given(st.lists(st.integers(1, 3000), max_size=60))
def test_the_history_is_ordered_and_has_each_epoch_once(epochs: list[int]) -> None:
    history = History()
    for epoch in epochs:
        history = history.with_entry(entry(epoch))
        assert history.with_entry(entry(epoch)) is history
    assert [one.epoch for one in history.entries] == sorted(set(epochs))
    assert History.from_bytes("/h", history.to_bytes()) == history


def test_the_history_forgets_the_oldest() -> None:
    history = History(entries=tuple(entry(epoch) for epoch in range(1, HISTORY_LIMIT + 1)))
    longer = history.with_entry(entry(HISTORY_LIMIT + 1))
    assert len(longer.entries) == HISTORY_LIMIT
    assert longer.entries[0].epoch == 2
    assert len(longer.to_bytes()) < 512 * 1024


@pytest.mark.parametrize("name", ["", "a/b", "-a", "a-", ".", "..", "é", "a" * 64, None, 7, "a b", "a\n"])
def test_bad_names_are_refused(name: object) -> None:
    with pytest.raises(InvalidName, match="use 1 to 63 letters"):
        check_name("member", name)


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", fullmatch=True))
def test_good_names_make_paths_of_one_step(name: str) -> None:
    paths = GroupPaths(name)
    assert paths.member(name).split("/") == ["", "rabbitkeeper", name, "members", name]


def operation(number: int, reason: str = "new disks") -> OperationEntry:
    return OperationEntry(
        id=str(number),
        kind=OperationKind.RESTART,
        state=OperationState.DONE,
        by="ann",
        reason=reason,
        requested="",
    )


def test_logs_are_bounded_in_bytes_whatever_is_in_them() -> None:
    log = OperationLog()
    for number in range(150):
        log = log.with_entry(operation(number, "ö" * 100_000))
    assert len(log.to_bytes()) < 500_000
    assert log.entries[-1].id == "149"
    assert (log.entries[-1].reason or "").endswith(" …")
    one = OperationLog().with_entry(operation(1))
    assert one.entries == (operation(1),)


def test_an_entry_from_the_future_hides_itself_alone_and_is_kept() -> None:
    known = operation(1).model_dump(mode="json")
    future = {**known, "id": "2", "kind": "levitation"}
    data = json.dumps({"v": 1, "entries": [known, future]}).encode()
    log = OperationLog.from_bytes("/operations", data)
    assert [each.id for each in log.entries] == ["1"]
    again = json.loads(log.with_entry(operation(3)).to_bytes())["entries"]
    assert [each["id"] for each in again] == ["2", "1", "3"]
    assert again[0] == future


def test_what_is_no_log_is_an_error_as_before() -> None:
    with pytest.raises(RecordError):
        OperationLog.from_bytes("/operations", b'{"v":1,"entries":["x"]}')
    with pytest.raises(RecordError):
        History.from_bytes("/history", b'{"v":2,"entries":[]}')


@pytest.mark.parametrize(
    "data",
    [
        b'{"health": {"interval": NaN}}',
        b'{"entries": [{"timings": {"vacant": Infinity}}]}',
        b'{"x": [1e999]}',
        b'{"x": -1E+400}',
        b'{"x": ' + b"9" * 5000 + b"}",
        b'{"x": ' + b"9" * 5000 + b', "y": 1e999}',
        b'{"x": ' + b"[" * 100_000,
        b'{"reason": "\\ud800"}',
        b"\xff",
    ],
)
@pytest.mark.parametrize("kind", [GroupConfig, History])
def test_what_could_not_be_written_again_is_not_read(kind: type[StoredRecord], data: bytes) -> None:
    with pytest.raises(RecordError, match=r"^/path (holds|does not hold) "):
        kind.from_bytes("/path", data)


def test_large_numbers_and_words_that_look_like_none_are_read() -> None:
    data = b'{"v":1,"mode":"cluster","x":1e100,"NaN":"Infinity"}'
    assert json.loads(GroupConfig.from_bytes("/path", data).to_bytes()) == json.loads(data)
