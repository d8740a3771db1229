"""How what is known of a session changes with each event."""

from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.coordinator.backend.lease import Lease
from rabbitkeeper.coordinator.zookeeper.session_state import Renewal, SessionState

EMPTY = Lease(timeout=6.0, margin=1.0)


def connected(session_id: int = 7, now: float = 10.0) -> SessionState:
    return SessionState().connect(session_id, EMPTY, now)


def test_a_reconnect_keeps_generation_and_lease() -> None:
    first = connected()
    sent = first.renewal_at(11.0)
    state = first.renewing(sent).renewed(sent, answered=True).disconnect(12.0).disconnect(13.0)
    assert (state.connected, state.disconnected_since, state.session_id) == (False, 12.0, 7)
    assert state.lease.valid(15.0)
    state = state.connect(7, Lease(timeout=4.0), 14.0)
    assert (state.generation, state.connections, state.established_at) == (1, 2, 10.0)
    assert (state.connected_since, state.disconnected_since) == (14.0, None)
    assert state.lease == Lease(timeout=4.0, renewed=11.0), "what is granted now, since the send time then"


def test_a_lost_session_is_lost_at_once_and_the_next_is_a_new_generation() -> None:
    first = connected()
    late = first.renewal_at(11.0)
    state = first.renewing(late).renewed(late, answered=True).lose(12.0)
    assert (state.session_id, state.established_at) == (0, None)
    assert not state.lease.valid(12.0)
    state = state.connect(8, EMPTY, 13.0)
    assert (state.generation, state.established_at) == (2, 13.0)
    assert not state.renewed(late, answered=True).lease.valid(13.0), "an answer to the old one says nothing"


def test_a_session_can_be_another_without_its_loss_having_been_told() -> None:
    state = connected(7).disconnect(11.0).connect(8, EMPTY, 12.0)
    assert state.generation == 2


def test_a_renewal_that_was_not_answered_extends_nothing_and_makes_room_for_the_next() -> None:
    first = connected()
    sent = first.renewal_at(11.0)
    state = first.renewing(sent)
    assert state.renewal is sent
    state = state.renewed(sent, answered=False)
    assert state.renewal is None
    assert not state.lease.valid(11.0)


EVENTS = st.lists(st.sampled_from(["same", "other", "disconnect", "lose", "send", "answer"]), max_size=30)


@given(EVENTS)
def test_the_lease_never_outlives_what_was_sent_in_this_session(events: list[str]) -> None:
    state, number, now = SessionState(), 1, 0.0
    sent: list[Renewal] = []
    for event in events:
        now += 1.0
        match event:
            case "same" | "other":
                number += event == "other"
                state = state.connect(number, EMPTY, now)
            case "disconnect":
                state = state.disconnect(now)
            case "lose":
                state = state.lose(now)
                number += 1
            case "send" if state.connected:
                sent.append(state.renewal_at(now))
                state = state.renewing(sent[-1])
            case "answer" if sent:
                state = state.renewed(sent.pop(0), answered=True)
        if state.lease.renewed is not None:
            assert state.established_at is not None
            assert state.established_at <= state.lease.renewed <= now
        assert state.connected == (state.disconnected_since is None and state.connections > 0)
