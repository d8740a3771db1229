"""The root of every error that RabbitKeeper raises, and the errors of talking to ZooKeeper.

Errors of the layers below (kazoo) are mapped to these in ``zookeeper.py`` and nowhere else. A message names
what was wrong, the value, and what would do; it never holds a secret.
"""


class RabbitKeeperError(Exception):
    """Anything that RabbitKeeper refuses or cannot do; the message is a sentence for a person."""


class ConfigurationError(RabbitKeeperError):
    """A setting is wrong. Names the key, the value and what would do; nothing has been touched."""


class InvalidName(ConfigurationError):
    """A group's or member's name that cannot be a znode or a label."""


class RecordError(RabbitKeeperError):
    """A znode holds something that is not the record it should be (corrupt, foreign or too new)."""


class CoordinationError(RabbitKeeperError):
    """A ZooKeeper operation did not succeed."""


class ZooKeeperUnreachable(CoordinationError):
    """No ZooKeeper server answered in time, or the connection broke before the answer.

    For a write this means *unknown*: it may have been applied, or be applied still. Callers look at the
    znode before they act on it.
    """


class SessionLost(CoordinationError):
    """The ZooKeeper session has expired: every ephemeral znode of it is gone."""


class AccessDenied(CoordinationError):
    """ZooKeeper refused the credentials, or the ACL of a znode does not allow the operation."""


class UnknownGroup(CoordinationError):
    """The group does not exist in this ZooKeeper."""


class NodeError(CoordinationError):
    """A condition of one znode was not met, so the operation (or the whole transaction) did nothing.

    Args:
        message: the sentence.
        path: the znode whose condition failed; empty when the sentence is about more than one.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class NoNode(NodeError):
    """The znode is not there, or its parent is not."""


class NodeExists(NodeError):
    """The znode is there already."""


class DuplicateMember(CoordinationError):
    """Another live agent instance is registered under this member's name."""


class LeaderExists(CoordinationError):
    """The lead is taken by another session."""


class NotRegistered(CoordinationError):
    """This session's member znode is not what it registered, so it may not lead."""


class FormationBusy(CoordinationError):
    """Another agent held the formation lock until the deadline."""


class Conflict(NodeError):
    """A compare-and-set found another version than expected; read again and decide anew."""
