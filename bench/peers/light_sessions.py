"""Many ZooKeeper sessions in one process, as light as can be: each watches a group as a client does.

Speaks the few messages of ZooKeeper's protocol that this needs (``zookeeper.jute``), over one event loop: a
session of kazoo's has threads of its own, of which no machine bears thousands. What is read is what
``coordinator/store/reader.py`` reads without the history: the names of the members, then all records, the
leader's last; after each event what it is about.

One JSON object on standard input says what is watched. A line that says ``report`` asks for the moments since
the line before it; any other begins to count anew.
"""

import asyncio
import json
import struct
import sys
import time
from dataclasses import dataclass, field

EXISTS, GET_DATA, GET_CHILDREN, PING = 3, 4, 8, 11
EVENT_XID, PING_XID = -1, -2
AT_ONCE = 100  # sessions that are begun at a time
SESSION = 30_000  # milliseconds


@dataclass
class Task:
    host: str
    port: int
    members: str
    paths: list[str]
    leader: str
    sessions: int


@dataclass
class Moments:
    """Monotonic seconds; of the last change."""

    told: list[float] = field(default_factory=list)
    known: list[float] = field(default_factory=list)


class LightSession(asyncio.Protocol):
    """One session, and its watches."""

    def __init__(self, task: Task, moments: Moments) -> None:
        self._task = task
        self._moments = moments
        self._buffer = bytearray()
        self._begun = False
        self._xid = 0
        self._leader_xids: set[int] = set()
        self._seen: bytes | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        request = struct.pack(">iqiqi16sb", 0, 0, SESSION, 0, 16, bytes(16), 0)
        transport.write(struct.pack(">i", len(request)) + request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4:
            (length,) = struct.unpack_from(">i", self._buffer)
            if len(self._buffer) < 4 + length:
                return
            frame = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            if self._begun:
                self._answered(frame)
            else:
                self._begun = True
                self._read([self._task.members, *self._task.paths, self._task.leader])

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(error or ConnectionError("ZooKeeper closed the connection"))

    def ping(self) -> None:
        self._transport.write(struct.pack(">iii", 8, PING_XID, PING))

    def _read(self, paths: list[str]) -> None:
        """As a client does, in one packet."""
        asked = []
        for path in paths:
            if path == self._task.members:
                asked.append(self._asked(GET_CHILDREN, path, watch=True))
                continue
            asked.append(self._asked(EXISTS, path, watch=True))  # which watches what is not there too
            asked.append(self._asked(GET_DATA, path, watch=False))
            if path == self._task.leader:
                self._leader_xids.add(self._xid)
        self._transport.write(b"".join(asked))

    def _asked(self, what: int, path: str, *, watch: bool) -> bytes:
        self._xid += 1
        name = path.encode()
        request = struct.pack(f">iii{len(name)}sb", self._xid, what, len(name), name, watch)
        return struct.pack(">i", len(request)) + request

    def _answered(self, frame: bytes) -> None:
        xid, _, failed = struct.unpack_from(">iqi", frame)
        if xid == EVENT_XID:
            self._moments.told.append(time.monotonic())
            (length,) = struct.unpack_from(">i", frame, 24)
            self._read([frame[28 : 28 + length].decode()])
        elif xid in self._leader_xids:
            self._leader_xids.discard(xid)
            record = b"" if failed else frame[20 : 20 + struct.unpack_from(">i", frame, 16)[0]]
            if record and record != self._seen:
                self._moments.known.append(time.monotonic())
                self._seen = record
            if not self.ready.done():
                self.ready.set_result(None)


async def begin(task: Task, moments: Moments) -> list[LightSession]:
    loop, found = asyncio.get_running_loop(), []
    for first in range(0, task.sessions, AT_ONCE):
        some = [
            (await loop.create_connection(lambda: LightSession(task, moments), task.host, task.port))[1]
            for _ in range(min(AT_ONCE, task.sessions - first))
        ]
        await asyncio.gather(*(session.ready for session in some))
        found += some
    return found


async def keep(sessions: list[LightSession]) -> None:
    while True:
        for session in sessions:
            session.ping()
        await asyncio.sleep(SESSION / 4000)


async def main() -> None:
    task, moments = Task(**json.loads(sys.stdin.readline())), Moments()
    sessions = await begin(task, moments)
    pings = asyncio.ensure_future(keep(sessions))
    print(json.dumps({"sessions": len(sessions)}), flush=True)
    while (line := await asyncio.to_thread(sys.stdin.readline)).strip():
        told, known = moments.told[:], moments.known[:]
        moments.told.clear()
        moments.known.clear()
        if line.strip() == "report":
            print(json.dumps({"told": told, "known": known}), flush=True)
    pings.cancel()


if __name__ == "__main__":
    asyncio.run(main())
