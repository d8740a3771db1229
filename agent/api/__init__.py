"""The agent's HTTP API. Imported only when ``http.listen`` is set: its libraries cost memory."""

from rabbitkeeper.agent.api.app import Sources, build
from rabbitkeeper.agent.api.server import ApiServer, listen

__all__ = ["ApiServer", "Sources", "build", "listen"]
