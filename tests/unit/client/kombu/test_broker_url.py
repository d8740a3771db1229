"""Broker URLs of RabbitKeeper's: what they say, and how they are shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.client.kombu.broker_url import BrokerUrl
from rabbitkeeper.client.model.errors import InvalidArgument

SECRET = "hunter-two"


def test_the_whole_of_it() -> None:
    url = BrokerUrl.parse(
        "rabbitkeeper://app:p%40ss%2Fword@zk1:2181,zk2:2181/orders?vhost=a%2Fb&spread=site&site=south"
    )
    assert url == BrokerUrl(
        "rabbitkeeper", "zk1:2181,zk2:2181", "orders", "", "app", "p@ss/word", "a/b", "site", "south"
    )
    assert (url.zookeeper, url.agents) == ("zk1:2181,zk2:2181", None)
    assert "p@ss" not in repr(url)


def test_as_little_as_is_enough() -> None:
    url = BrokerUrl.parse("rabbitkeeper://zk1/orders")
    assert url == BrokerUrl("rabbitkeeper", "zk1", "orders")
    assert url.spread == "leader"


@pytest.mark.parametrize("scheme", ["rabbitkeeper+https", "https"])
def test_agents_are_asked_at_each_address(scheme: str) -> None:
    """kombu takes off what is before the plus."""
    url = BrokerUrl.parse(f"{scheme}://app:secret@mq1:8008,[::1]:8008/keeper/orders")
    assert url.agents == ("https://mq1:8008/keeper", "https://[::1]:8008/keeper")
    assert url.zookeeper is None
    assert url.text("**") == "rabbitkeeper+https://app:**@mq1:8008,[::1]:8008/keeper/orders"


def test_what_is_before_the_group_is_where_zookeeper_has_it() -> None:
    assert BrokerUrl.parse("rabbitkeeper://zk1:2181,zk2/a/b/orders").zookeeper == "zk1:2181,zk2/a/b"


@given(st.text(), st.text(min_size=1))
def test_whatever_is_encoded_comes_back(user: str, password: str) -> None:
    from urllib.parse import quote

    try:
        text = f"rabbitkeeper://{quote(user, safe='')}:{quote(password, safe='')}@zk1/orders"
    except UnicodeEncodeError:
        return
    url = BrokerUrl.parse(text)
    assert (url.username, url.password) == (user, password)
    assert BrokerUrl.parse(url.text(quote(password, safe=""))) == url
    assert BrokerUrl.parse(url.without_user()) == BrokerUrl("rabbitkeeper", "zk1", "orders")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "orders",
        f"amqp://app:{SECRET}@mq1/orders",
        f"rabbitkeeper+ftp://app:{SECRET}@mq1/orders",
        f"rabbitkeeper://app:{SECRET}@/orders",
        f"rabbitkeeper://app:{SECRET}@zk1:2181",
        f"rabbitkeeper://app:{SECRET}@zk1:2181/",
        f"rabbitkeeper://app:{SECRET}/x@zk1:2181/or ders",
        f"rabbitkeeper://app:{SECRET}#@zk1:2181/orders",
        f"rabbitkeeper://app:%FF{SECRET}@zk1:2181/orders",
        f"rabbitkeeper://app:{SECRET}@zk1:2181/orders?{SECRET}",
        f"rabbitkeeper://app:{SECRET}@zk1:2181/orders?password={SECRET}",
        f"rabbitkeeper://app:{SECRET}@zk1:2181/orders?vhost=a&vhost=b",
        f"rabbitkeeper://app:{SECRET}@zk1:2181/orders?vhost=",
        f"rabbitkeeper://app:{SECRET}@zk1:2181/orders?spread=all",
        f"rabbitkeeper://app:{SECRET}@zk1:2181/orders?spread=site",
        f"rabbitkeeper://app:{SECRET}@zk1:2181/orders?site=south",
        f"rabbitkeeper+https://app:{SECRET}@mq1:0/orders",
    ],
)
def test_what_is_none_is_refused_and_shown_nowhere(url: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        BrokerUrl.parse(url)
    assert SECRET not in str(caught.value)


@given(st.text())
def test_no_text_does_worse_than_to_be_refused(text: str) -> None:
    for url in (text, f"rabbitkeeper://{text}", f"rabbitkeeper+https://{text}"):
        try:
            BrokerUrl.parse(url)
        except InvalidArgument:
            continue
