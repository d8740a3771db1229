"""How kombu comes to know the transport, and how Celery shows its URL."""

import subprocess
import sys

import kombu.utils.url
import pytest
from kombu import Connection
from kombu.transport import get_transport_cls

from rabbitkeeper.client.kombu import register
from rabbitkeeper.client.kombu.transport import KombuTransport

URL = "rabbitkeeper://app:hunter-two@zk1:2181,zk2:2181/orders?vhost=a%2Fb"


def run(program: str) -> str:
    """What it prints. An old egg-info in the working directory is nothing that is installed (``-P``)."""
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


def test_celery_knows_the_scheme_by_itself() -> None:
    program = f"""
from celery import Celery
app = Celery(broker={URL!r})
print(type(app.connection().transport).__name__, app.connection().as_uri())
print("hunter" in app.bugreport())
"""
    assert run(program).splitlines() == [
        "KombuTransport rabbitkeeper://app:**@zk1:2181,zk2:2181/orders?vhost=a%2Fb",
        "False",
    ]


def test_kombu_alone_knows_it_by_an_import() -> None:
    program = f"import rabbitkeeper.client.kombu, kombu; print(kombu.Connection({URL!r}).as_uri())"
    assert run(program) == "rabbitkeeper://app:**@zk1:2181,zk2:2181/orders?vhost=a%2Fb"


def test_nothing_of_kombu_is_imported_by_the_client() -> None:
    program = """
import rabbitkeeper.client, sys
print([name for name in sys.modules if name.partition(".")[0] in ("kombu", "amqp", "celery")])
"""
    assert run(program) == "[]"


def test_the_serializer_of_that_name_is_none() -> None:
    program = """
import kombu.serialization as serialization
print("rabbitkeeper" in serialization.registry._encoders, serialization.registry._decoders.keys() ^
    {"application/json", "application/x-yaml", "application/x-python-serialize", "application/x-msgpack",
     "application/data", "text/plain", "application/text"})
try:
    serialization.dumps({}, serializer="rabbitkeeper")
except serialization.SerializerNotInstalled:
    print("not installed")
"""
    assert "not installed" in run(program)


@pytest.mark.parametrize("again", [False, True])
def test_a_url_with_several_servers_is_shown_without_its_password(again: bool) -> None:
    if again:
        register()
    assert kombu.utils.url.maybe_sanitize_url(URL) == "rabbitkeeper://app:**@zk1%3A2181%2Czk2%3A2181/orders"
    assert kombu.utils.url.maybe_sanitize_url(
        "rabbitkeeper+https://app:hunter-two@mq1:8008,mq2:8008/orders"
    ) == ("rabbitkeeper+https://app:**@mq1%3A8008%2Cmq2%3A8008/orders")
    assert "hunter" not in kombu.utils.url.maybe_sanitize_url("rabbitkeeper://app:hunter-two@zk1,zk2")
    assert (
        kombu.utils.url.maybe_sanitize_url("amqp://app:hunter-two@mq1:5672/v") == "amqp://app:**@mq1:5672/v"
    )


def test_the_transport_is_found_by_its_name() -> None:
    assert get_transport_cls("rabbitkeeper") is KombuTransport


def test_what_is_told_of_a_connection_has_the_password_in_one_place() -> None:
    """Celery takes it out there, and sends the rest to whoever asks a worker for its state."""
    info = Connection(URL).info()
    assert info.pop("password") == "hunter-two"
    assert "hunter" not in str(info)
    assert (info["hostname"], info["userid"], info["virtual_host"]) == (
        "rabbitkeeper://zk1:2181,zk2:2181/orders?vhost=a%2Fb",
        "app",
        "a/b",
    )


@pytest.mark.parametrize("url", [URL, "rabbitkeeper+https://app:hunter%40two@mq1:8008,mq2:8008/rk/orders"])
def test_a_clone_is_the_same(url: str) -> None:
    one = Connection(url)
    two = one.clone().clone()
    assert one.as_uri(include_password=True) == two.as_uri(include_password=True) == url
    assert one.info() == two.info()
