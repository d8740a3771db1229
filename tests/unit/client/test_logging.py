"""What a client logs is seen where the application wants it, and nowhere else."""

import subprocess
import sys

import pytest

WARNS = """
import logging, rabbitkeeper.client
{configured}
for name in ("rabbitkeeper.client.engine.engine", "rabbitkeeper.coordinator.zookeeper.session"):
    logging.getLogger(name).warning("lost the broker")
"""


@pytest.mark.parametrize(("configured", "lines"), [("", 0), ("logging.basicConfig()", 2)])
def test_warnings_are_printed_only_by_an_application_that_logs(configured: str, lines: int) -> None:
    # in a process of its own: pytest has handlers at the root logger
    done = subprocess.run(
        [sys.executable, "-c", WARNS.format(configured=configured)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr.count("lost the broker") == lines, done.stderr


CONNECTS = """
import logging, socket
import pika
{configured}
logging.getLogger("pika").setLevel({level!r})
handlers = list(logging.getLogger("pika").handlers)

from rabbitkeeper.client.amqp.pika_connection import PikaTransport
from rabbitkeeper.client.amqp.transport import Access

refusing = socket.socket()  # it has its port, so that nobody else gets that, and does not listen
refusing.bind(("127.0.0.1", 0))
closed = refusing.getsockname()[1]
for address in (f"127.0.0.1:{{closed}}", "no..host:5672", "127.0.0.1:odd"):
    transport = PikaTransport()
    transport.loop.call_soon_threadsafe(lambda: transport.connect(
        address, Access("app", "secret"), timeout=20, on_open=lambda: None, on_blocked=lambda why: None,
        on_lost=lambda lost: transport.loop.stop(),
    ))
    transport.loop.run()
    transport.loop.release()

print("the application's turn")
assert logging.getLogger("pika").getEffectiveLevel() == {level!r}
assert logging.getLogger("pika").handlers == handlers
for parameters in (pika.ConnectionParameters("127.0.0.1", closed), pika.ConnectionParameters("no..host")):
    try:
        pika.BlockingConnection(parameters)
    except (pika.exceptions.AMQPError, OSError, UnicodeError) as error:
        pass
"""


@pytest.mark.parametrize(
    ("configured", "level", "logs"),
    [("", 30, False), ("logging.basicConfig()", 20, True), ("logging.basicConfig()", 50, False)],
)
def test_of_pikas_log_the_clients_part_is_left_out_and_the_applications_is_left_alone(
    configured: str, level: int, logs: bool
) -> None:
    done = subprocess.run(
        [sys.executable, "-u", "-c", CONNECTS.format(configured=configured, level=level)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    ours, _, applications = done.stdout.partition("the application's turn\n")
    assert done.returncode == 0, done.stdout
    assert ours == ""
    assert ("Address resolution failed" in applications) == logs
    assert ("failed" in applications) == logs
