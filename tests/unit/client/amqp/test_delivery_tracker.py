"""The acks against a broker that is as strict as RabbitMQ: a tag that is not open closes the channel."""

from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.client.amqp.delivery_tracker import DeliveryTracker


class Broker:
    """What RabbitMQ keeps of one channel's deliveries."""

    def __init__(self) -> None:
        self.last = 0
        self.open: set[int] = set()
        self.acked: set[int] = set()

    def deliver(self, count: int) -> None:
        self.open |= set(range(self.last + 1, self.last + count + 1))
        self.last += count

    def ack(self, tag: int, multiple: bool) -> None:
        assert tag in self.open, "unknown delivery tag"
        named = {known for known in self.open if known <= tag} if multiple else {tag}
        self.open -= named
        self.acked |= named

    def nack(self, tag: int) -> None:
        assert tag in self.open, "unknown delivery tag"
        self.open.remove(tag)


def test_a_run_from_the_beginning_is_one_frame_and_what_is_beyond_a_gap_is_single() -> None:
    ledger = DeliveryTracker(delivered=6)
    ledger.ack([1, 2, 4, 6])
    assert ledger.flush() == [(2, True), (4, False), (6, False)]
    assert ledger.open == 2
    ledger.ack([3])
    assert ledger.flush() == [(3, True)], "4 was told already and cannot be named again"


def test_a_nacked_message_is_not_in_the_way_of_multiple_and_not_acked_by_it() -> None:
    ledger = DeliveryTracker(delivered=3)
    assert ledger.nack(2)
    ledger.ack([3, 1])
    assert ledger.flush() == [(3, True)]
    assert not ledger.nack(2)
    assert ledger.open == 0


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("deliver"), st.integers(1, 5)),
            st.tuples(st.just("ack"), st.lists(st.integers(0, 30), max_size=6)),
            st.tuples(st.just("nack"), st.integers(0, 30)),
            st.tuples(st.just("flush"), st.none()),
        ),
        max_size=60,
    )
)
def test_whatever_is_answered_in_whatever_order_the_broker_hears_of_it_once(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    ledger, broker = DeliveryTracker(), Broker()
    acked: set[int] = set()
    nacked: set[int] = set()
    for what, value in [*steps, ("flush", None)]:
        if what == "deliver":
            broker.deliver(value)
            ledger.delivered = broker.last
        elif what == "ack":
            acked |= {tag for tag in value if 0 < tag <= broker.last} - nacked
            ledger.ack(value)
        elif what == "nack":
            known = 0 < value <= broker.last and value not in acked | nacked
            assert ledger.nack(value) == known
            if known:
                broker.nack(value)
                nacked.add(value)
        else:
            for tag, multiple in ledger.flush():
                broker.ack(tag, multiple)
            assert broker.acked == acked
            assert ledger.flush() == [], "nothing is left to send"
        assert ledger.open == broker.last - len(acked) - len(nacked)
