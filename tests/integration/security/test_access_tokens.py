"""OAuth 2 tokens that end, with a real group: connections get others before, and outlive many of them."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pika
import pytest
from pika.exceptions import AMQPError
from support.waiting import wait_for

from rabbitkeeper.client import Client, Credentials, Queue, events
from rabbitkeeper.compose.local import Local, installed
from rabbitkeeper.compose.local.lean import lean_server

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

PLUGIN = "rabbitmq_auth_backend_oauth2"
LIFETIME = 20.0  # seconds
LONG = 120.0  # seconds; to fail, not to wait for
EVERYTHING = ["rabbitmq.configure:*/*", "rabbitmq.write:*/*", "rabbitmq.read:*/*"]


def encoded(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


@dataclass(slots=True)
class Issuer:
    """Signs access tokens (RFC 7519), as an authorization server would, and counts them."""

    key: Path
    issued: list[float] = field(default_factory=list)

    def token(self) -> str:
        now = int(time.time())
        self.issued.append(now)
        claims = {
            "aud": ["rabbitmq"],
            "sub": "orders",
            "client_id": "orders",
            "iat": now,
            "exp": now + int(LIFETIME),
            "scope": EVERYTHING,
        }
        head = {"alg": "RS256", "typ": "JWT", "kid": "key1"}
        signed = b".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
        sign = ["openssl", "dgst", "-sha256", "-sign", str(self.key)]
        signature = subprocess.run(sign, input=signed, check=True, capture_output=True).stdout
        return (signed + b"." + encoded(signature)).decode()

    def __call__(self) -> Credentials:
        return Credentials("orders", self.token(), expires_in=LIFETIME)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    folder = tmp_path_factory.mktemp("issuer")
    for command in (
        "openssl genrsa -out private.pem 2048",
        "openssl rsa -in private.pem -pubout -out public.pem",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return Issuer(folder / "private.pem")


@pytest.fixture(scope="module")
def group(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    folder = tmp_path_factory.mktemp("rabbitmq")
    plugins = folder / "enabled_plugins"
    plugins.write_text(f"[{PLUGIN}].\n")
    server = lean_server(installed.rabbitmq_server(), folder / "lean", [PLUGIN])
    environment = {"RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins)}
    config = f"""
auth_backends.1 = internal
auth_backends.2 = rabbit_auth_backend_oauth2
auth_oauth2.resource_server_id = rabbitmq
auth_oauth2.default_key = key1
auth_oauth2.signing_keys.key1 = {issuer.key.with_name("public.pem")}
"""
    process = {"server": str(server), "environment": environment}
    with Local(members=3, broker_config=config, agent_settings={"broker": {"process": process}}) as local:
        local.wait_ready()
        yield local


def test_connections_outlive_their_tokens_over_a_failover(group: Local, issuer: Issuer) -> None:
    seen: list[events.Event] = []
    with Client(group.zookeeper_hosts, group.group, issuer) as client:
        client.on_event(seen.append)
        client.declare(Queue("orders"))
        consumer = client.consume("orders")
        leader = client.leader
        assert leader is not None
        # one that nobody gives another token
        left_alone = pika.BlockingConnection(leader.parameters())
        began, count = time.time(), 0

        def publish_until(seconds: float) -> None:
            nonlocal count
            while time.time() < began + seconds:
                client.publish("", "orders", b"%d" % count, timeout=LONG)
                received = consumer.get(timeout=LONG)
                assert received is not None
                assert received.body == b"%d" % count
                received.ack()
                count += 1
                time.sleep(0.05)

        publish_until(LIFETIME * 1.5)
        assert not [event for event in seen if isinstance(event, events.Disconnected)]
        with pytest.raises(AMQPError):
            left_alone.channel().queue_declare("another", durable=True)
        member = client.status().member
        assert member is not None
        group.kill_broker(member)
        publish_until(LIFETIME * 3)
        wait_for(lambda: client.status().phase == "live", "it is well")
    lost = [event.why for event in seen if isinstance(event, events.Disconnected)]
    assert not [why for why in lost if "token" in why or "ACCESS_REFUSED" in why or "NOT_ALLOWED" in why]
    assert len(issuer.issued) >= 4
