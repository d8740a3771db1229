"""Many clients lose one broker at once: they come back as fast as the others can take them, and only once."""

import pytest
from simulation.broker.crowd import Crowd, middle


@pytest.mark.parametrize("count", [40, 200])
def test_clients_of_a_dead_leader_come_back_as_fast_as_the_brokers_take_them(count: int) -> None:
    crowd = Crowd(count)
    crowd.run(3.0)
    opened, struck = crowd.opened, crowd.time.now
    crowd.cluster.kill("a")
    crowd.run(0.3)
    crowd.group.remove("a")
    crowd.lead("b")
    crowd.run(30.0)
    gaps = crowd.gaps(struck)
    work = count * crowd.cluster.handshake_time / 2  # of each of the two that are left
    assert middle(gaps) < 0.5 + 0.4 + work
    assert gaps[-1] < 0.5 + 0.6 + 1.5 * work
    assert crowd.all_live
    assert {client.member for client in crowd.clients} == {"b"}
    # to any member, then half of them to the leader; and whoever tried the dead one first
    assert crowd.opened - opened <= 2.6 * count
    crowd.close()


def test_a_broker_that_is_slow_and_answers_is_not_left_for_another_that_is_as_slow() -> None:
    count = 200
    crowd = Crowd(
        count, handshake_time=0.03, tells_loads=False
    )  # three seconds of work for each of the others
    opened, struck = crowd.opened, crowd.time.now
    crowd.cluster.kill("a")
    crowd.run(0.3)
    crowd.group.remove("a")
    crowd.lead("b")
    crowd.run(5.0)
    assert crowd.all_live
    assert crowd.opened - opened <= 1.2 * count, "nearly everybody once, and nobody goes on to the leader yet"
    crowd.run(20.0)
    assert crowd.gaps(struck)[-1] < 0.5 + 0.6 + 3.0
    crowd.close()


def test_brokers_that_need_longer_than_the_timeout_are_not_asked_in_vain_again_and_again() -> None:
    count = 150
    crowd = Crowd(
        count, handshake_time=0.05, tells_loads=False
    )  # all of them are two and a half seconds of work
    assert crowd.opened < 8 * count
    crowd.group.lead("b")
    crowd.run(30.0)
    assert {client.member for client in crowd.clients} == {"b"}
    opened, struck = crowd.opened, crowd.time.now
    crowd.cluster.kill("b")
    crowd.run(20.0)
    assert crowd.all_live
    assert crowd.gaps(struck)[-1] < 15.0
    assert crowd.opened - opened <= 10 * count
    crowd.close()


def test_a_planned_move_of_the_lead_takes_many_clients_along_one_after_the_other() -> None:
    count = 200
    crowd = Crowd(count)
    crowd.run(3.0)
    opened, struck = crowd.opened, crowd.time.now
    crowd.lead("b")
    crowd.run(1.0)
    assert 10 <= crowd.opened - opened <= 60, "25 a second"
    crowd.run(20.0)
    assert {client.member for client in crowd.clients} == {"b"}
    assert crowd.opened - opened == count
    assert crowd.gaps(struck)[-1] < 0.6, "each of them between two messages"
    crowd.close()
