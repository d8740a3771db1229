"""A group on real servers whose znodes the test writes itself, in place of agents."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from rabbitkeeper.client import Client
from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import LeaderRecord, MemberRecord, MemberStatus, Versions, utcnow
from support.waiting import wait_for

GROUP = "announced"


class Announcer:
    """Says in ZooKeeper what agents would say."""

    def __init__(self, local: Local, amqps: str | None = None) -> None:
        self.local = local
        self.amqps = amqps  # of the only member, if there is one only
        self.members = local.members
        self._strangers = 0  # that have a channel now
        self.paths = GroupPaths(GROUP)
        self.session = backend_at(local.zookeeper_hosts, timeout=20, name="announcer")
        self.session.start()
        self.session.ensure_path(self.paths.members)
        for name in self.members:
            self.status(name, MemberStatus.RUNNING)
        self.lead("node1")

    def status(self, name: str, status: MemberStatus, connections: int | None = None) -> None:
        path = self.paths.member(name)
        record = MemberRecord(
            name=name,
            instance="1",
            node=self.local.node(name),
            versions=Versions(agent="test"),
            amqp=self.address(name),
            amqps=self.amqps,
            state=status,
            since=utcnow(),
            load={} if connections is None else {"connections": connections},
        )
        znode = self.session.stat(path)
        if znode is None:
            self.session.create(path, record.to_bytes(), ephemeral=True)
        else:
            self.session.set(path, record.to_bytes(), znode.version)

    def gone(self, name: str) -> None:
        """A member's znode has gone, as when its whole host stands still; and the lead, if it had that."""
        for path in (self.paths.member(name), self.paths.leader):
            znode = self.session.stat(path)
            if znode is not None and (path != self.paths.leader or self._leader == name):
                self.session.delete(path, znode.version)

    def lead(self, name: str) -> None:
        self._leader = name
        znode = self.session.stat(self.paths.leader)
        if znode is not None:
            self.session.delete(self.paths.leader, znode.version)
        record = LeaderRecord(
            name=name,
            instance="1",
            node=self.local.node(name),
            amqp=self.address(name),
            amqps=self.amqps,
            since=utcnow(),
            cause="test",
        )
        self.session.create(self.paths.leader, record.to_bytes(), ephemeral=True)

    def address(self, name: str) -> str:
        host, port = self.local.amqp(name)
        return f"{host}:{port}"

    @contextmanager
    def nobody_there(self, client: Client) -> Iterator[None]:
        """All agents say that their brokers have stopped: the client has left, and is back afterwards.

        It goes from broker to broker, as they are said to stop, and declares at each. A broker goes on with
        what it was sent after the connection has ended: the channels are waited for as well, but for the
        strangers'.
        """
        for name in self.members:
            self.status(name, MemberStatus.STOPPED)
        try:
            wait_for(lambda: client.status().member is None, "the client has left")
            wait_for(lambda: self._channels() == self._strangers, "no channel is left but the strangers'")
            yield
        finally:
            for name in self.members:
                self.status(name, MemberStatus.RUNNING)

    @contextmanager
    def stranger(self, name: str = "node1") -> Iterator[BlockingChannel]:
        """A channel of somebody who uses pika alone; closed at the end, unless that is done already."""
        host, port = self.local.amqp(name)
        connection = pika.BlockingConnection(
            pika.ConnectionParameters(
                host, port, credentials=pika.PlainCredentials(*self.local.credentials), heartbeat=0
            )
        )
        self._strangers += 1
        try:
            yield connection.channel()
        finally:
            self._strangers -= 1
            if connection.is_open:
                connection.close()

    def _channels(self) -> int:
        """How many channels there are on all brokers: one goes when it has done all that it was sent."""
        return int(self.local.ctl(next(iter(self.members)))._run("eval", "length(rabbit_channel:list())."))

    def close_connections(self, name: str) -> None:
        """An operator has a broker close all its connections."""
        self.local.ctl(name)._run("close_all_connections", "by the test")

    def client(self, **options: Any) -> Client:
        return Client(self.local.zookeeper_hosts, GROUP, self.local.credentials, **options)
