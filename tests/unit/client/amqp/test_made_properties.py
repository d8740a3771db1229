"""Properties from Python's own types, and how a message shows them."""

from datetime import timedelta
from typing import Any

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.amqp.properties import message_properties
from rabbitkeeper.client.model.errors import InvalidArgument


@pytest.mark.parametrize(
    ("given", "sent"), [(2.5, "2500"), (0, "0"), (timedelta(minutes=1), "60000"), (None, None)]
)
def test_an_expiration_is_given_in_seconds(given: Any, sent: str | None) -> None:
    assert message_properties(expiration=given).expiration == sent


def test_the_others_are_as_they_are_named() -> None:
    properties = message_properties(priority=3, headers={"a": 1.5}, content_type="text/plain")
    assert (properties.priority, properties.headers) == (3, {"a": 1.5})
    assert (properties.content_type, properties.delivery_mode) == ("text/plain", None)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"expiration": -1}, "expiration -1 is not valid: use seconds from 0 to 4294967"),
        ({"expiration": "5"}, "expiration '5' is not valid"),
        ({"expiration": True}, "expiration True is not valid"),
        ({"expiration": float("nan")}, "expiration nan is not valid"),
        ({"expiration": timedelta(days=50)}, "is not valid: use seconds"),
        ({"priority": 256}, r"properties.priority \(of type int\) cannot be sent"),
        ({"headers": {"a": object()}}, r"properties.headers\['a'\]"),
        ({"headers": 5}, "headers 5 are not valid"),
        ({"colour": "red"}, r"properties \['colour'\] are not there"),
    ],
)
def test_what_cannot_be_sent_is_refused_where_it_is_said(options: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidArgument, match=what):
        message_properties(**options)


def test_a_message_shows_them_as_they_were_given() -> None:
    simulation = Simulation().started()
    properties = message_properties(expiration=2.5, priority=3)
    future = simulation.client.publishing.publish("", "orders", b"", properties, True, 30.0)
    simulation.until(future.done)
    message = simulation.client.get()
    assert message is not None
    assert (message.expiration, message.priority) == (2.5, 3)
    message.ack()
    simulation.published(1)
    plain = simulation.client.get()
    assert plain is not None
    assert (plain.expiration, plain.priority) == (None, None)
    simulation.come_to_rest()
