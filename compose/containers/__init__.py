"""The demo in containers: checks, settings, the Compose project, what is broken in it and what it tells."""

from rabbitkeeper.compose.containers.errors import DemoError
from rabbitkeeper.compose.containers.project import Project
from rabbitkeeper.compose.containers.settings import Settings
from rabbitkeeper.compose.containers.stage import FAULTS, ContainerStage
from rabbitkeeper.compose.containers.traffic import ContainerTraffic, RemoteTimeline

__all__ = [
    "FAULTS",
    "ContainerStage",
    "ContainerTraffic",
    "DemoError",
    "Project",
    "RemoteTimeline",
    "Settings",
]
