"""The agent's HTTP API. Imported only when ``http.listen`` is set: its libraries cost memory."""

from rabbitkeeper.agent.api.app import Sources, build
from rabbitkeeper.agent.api.metrics import Metrics
from rabbitkeeper.agent.api.server import ApiServer
from rabbitkeeper.agent.api.stream import Stream

__all__ = ["ApiServer", "Metrics", "Sources", "Stream", "build"]
