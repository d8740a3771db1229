"""Who may do what with one node of the backend. Pure."""

from dataclasses import dataclass

EVERYBODY = "world:anyone"  # as a reader or a writer; the name that ZooKeeper has for it


@dataclass(frozen=True, slots=True)
class Permissions:
    """Who may do what with one node, each as the backend names somebody.

    Attributes:
        writers: who may change it, create or delete below it, or say who may.
        readers: who may read it, writers included if they may.
        own: whether one's own identity is given everything by name.
    """

    writers: tuple[str, ...]
    readers: tuple[str, ...]
    own: bool

    @property
    def open(self) -> bool:
        """Whether everybody may write."""
        return EVERYBODY in self.writers
