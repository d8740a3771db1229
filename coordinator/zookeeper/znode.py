"""A znode as it was read, and the operations of a transaction. Plain data; the session does the I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Znode:
    """One znode at the moment of the read."""

    path: str
    data: bytes
    version: int  # of the data; 0 is a version like any other, not "any"
    czxid: int  # the transaction that created it
    mzxid: int  # the transaction that changed its data last
    owner: int  # the session whose ephemeral it is; 0 if it is persistent


@dataclass(frozen=True, slots=True)
class Check:
    """The znode exists with this version."""

    path: str
    version: int


@dataclass(frozen=True, slots=True)
class Create:
    path: str
    data: bytes
    ephemeral: bool = False


@dataclass(frozen=True, slots=True)
class Set:
    path: str
    data: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Delete:
    path: str
    version: int


Operation = Check | Create | Set | Delete
