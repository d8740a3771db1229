"""Znodes that a test spoils by hand."""

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.model.paths import GroupPaths


def znodes_of(paths: GroupPaths, node: str) -> list[str]:
    """Those of a group with the member ``node`` that hold one record each, and one of nobody's."""
    return [
        paths.leader,
        paths.member(node),
        paths.member("stranger"),
        paths.cluster,
        paths.config,
        paths.pause,
        paths.switchover,
        paths.maintenance,
    ]


def is_other(backend: Backend, path: str, content: bytes) -> bool:
    """Whether there is something else than ``content``."""
    there = backend.read([path])[path]
    return there is not None and there.data != content
