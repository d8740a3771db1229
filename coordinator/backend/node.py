"""A node as it was read, and the steps of a transaction. Plain data; a backend does the I/O.

A node is what a backend keeps under a path: data, with versions by which a write can be bound to what was
read. (The Erlang node of a broker is only ever a field's value: ``record.node``.)
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """One node at the moment of the read."""

    path: str
    data: bytes
    version: int  # of the data, growing by one; 0, the first, is a version like any other, not "any"
    created: int  # grows with each write of anything: of two nodes the later one has the larger number
    modified: int  # of the same count: when its data was written last
    owner: int  # the session whose ephemeral it is; 0 if it is persistent


@dataclass(frozen=True, slots=True)
class Check:
    """The node exists with this version."""

    path: str
    version: int


@dataclass(frozen=True, slots=True)
class Create:
    """The node does not exist; afterwards it does."""

    path: str
    data: bytes
    ephemeral: bool = False


@dataclass(frozen=True, slots=True)
class Set:
    """The node exists with this version; afterwards it has this data and the next version."""

    path: str
    data: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Delete:
    """The node exists with this version; afterwards it does not."""

    path: str
    version: int


TransactionStep = Check | Create | Set | Delete
