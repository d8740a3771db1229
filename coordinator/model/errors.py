"""The root of every error that RabbitKeeper raises, and the errors of what holds the group.

A backend maps the errors of its library to these, in one place (``zookeeper/client.py``). They are named for
ZooKeeper where users catch them. A message names what was wrong, the value, and what would do; it never holds
a secret.
"""


class RabbitKeeperError(Exception):
    """Anything that RabbitKeeper refuses or cannot do; the message is a sentence for a person."""


class ConfigurationError(RabbitKeeperError):
    """A setting is wrong. Names the key, the value and what would do; nothing has been touched."""


class InvalidName(ConfigurationError):
    """A group's or member's name that cannot be a znode or a label."""


class RecordError(RabbitKeeperError):
    """A node holds something that is not the record it should be (corrupt, foreign or too new)."""


class CoordinationError(RabbitKeeperError):
    """A ZooKeeper operation did not succeed."""


class ZooKeeperUnreachable(CoordinationError):
    """No ZooKeeper server answered in time, or the connection broke before the answer.

    For a write this means *unknown*: it may have been applied, or be applied still. Callers look at the
    node before they act on it.
    """


class SessionLost(CoordinationError):
    """The ZooKeeper session has expired: every ephemeral node of it is gone."""


class AccessDenied(CoordinationError):
    """ZooKeeper refused the credentials, or the ACL of a node does not allow the operation."""


class UnknownGroup(CoordinationError):
    """The group does not exist in this ZooKeeper."""


class NodeError(CoordinationError):
    """A condition of one node was not met, so the operation (or the whole transaction) did nothing.

    Args:
        message: the sentence.
        path: the node whose condition failed; empty when the sentence is about more than one.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class NoNode(NodeError):
    """The node is not there, or its parent is not."""


class NodeExists(NodeError):
    """The node is there already."""


class DuplicateMember(CoordinationError):
    """Another live agent instance is registered under this member's name."""


class LeaderExists(CoordinationError):
    """The lead is taken by another session."""


class NotRegistered(CoordinationError):
    """This session's member node is not what it registered, so it may not lead."""


class FormationBusy(CoordinationError):
    """Another agent held the formation lock until the deadline."""


class DisruptionBusy(CoordinationError):
    """Another agent takes a broker down right now."""


class Conflict(NodeError):
    """A compare-and-set found another version than expected; read again and decide anew."""
