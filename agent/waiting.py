"""The HTTP API of an agent that waits for ZooKeeper before anything of it is put together.

Some settings must be known from the group before the agent's own parts are made, so it can wait before it has
any. It says so to those who ask, over the same port, which is given back before the agent takes it.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.model.errors import AddressTaken
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable
from rabbitkeeper.coordinator.store.store import Store

if TYPE_CHECKING:
    from rabbitkeeper.agent.api import ApiServer

LOG = logging.getLogger("rabbitkeeper.agent")


@contextmanager
def waiting_api(config: AgentConfig) -> Iterator[Callable[[str | None], None]]:
    """What is to be called with what the agent waits for, a sentence; the API is there from then on.

    Args:
        config: the agent's.

    Raises:
        ConfigurationError: the API cannot have its certificate, or listen where it should.
    """
    board = Board(monotonic)
    servers: list[ApiServer] = []
    listens = told = False

    def no_store() -> Store:
        raise ZooKeeperUnreachable(board.waiting or "ZooKeeper is away")

    with ExitStack() as open_until_then:

        def tell(what: str | None) -> None:
            nonlocal listens, told
            board.wait_for(what)
            if what is None or listens or config.http.listen is None:
                return
            if not servers:
                from rabbitkeeper.agent.api import ApiServer  # only now: its libraries cost memory

                announcer = Announcer(config, instance="waiting")
                servers.append(ApiServer(config.http, board, store=no_store, announcer=announcer, hooks={}))
            (server,) = servers
            try:
                server.listen()
            except AddressTaken as error:  # it is tried again each time that there is no answer
                if not told:
                    LOG.warning("nobody can ask what the agent waits for: %s", error)
                told = True
                return
            server.start()
            listens = True
            open_until_then.callback(server.stop)

        yield tell
