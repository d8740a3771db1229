"""ZooKeeper's access control lists, to and from what the rest of the program says of them."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from kazoo.security import ACL, make_acl
from kazoo.security import Permissions as Kazoo

from rabbitkeeper.coordinator.backend.access import BackendAccess
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.model.permissions import EVERYBODY, Permissions
from rabbitkeeper.coordinator.zookeeper.access import writer_name

KazooAcl: TypeAlias = Any


def acl_of(
    access: BackendAccess, writers: Sequence[str] = (), readers: Sequence[str] | None = None
) -> list[ACL]:
    """What is put on a znode.

    Args:
        access: whose identity may do everything.
        writers: who else may.
        readers: who may read; None: as ``access`` says.

    Raises:
        ConfigurationError: there is no identity.
    """
    if access.identity is None:
        raise ConfigurationError("without an identity nobody can be kept out; give --zookeeper-auth FILE")
    own = writer_name(access.identity)
    if readers is None:
        readers = (EVERYBODY,) if access.readers is None else access.readers
    everything = dict.fromkeys([own, *writers])
    return [
        *(make_acl(*name.split(":", 1), all=True) for name in everything),
        *(
            make_acl(*name.split(":", 1), read=True)
            for name in dict.fromkeys(readers)
            if name not in everything
        ),
    ]


def permissions_in(acl: KazooAcl, access: BackendAccess) -> Permissions:
    """What a znode's list says.

    Args:
        acl: as kazoo has it.
        access: whose own rights are looked for.
    """
    entries = [(f"{entry.id.scheme}:{entry.id.id}", entry.perms) for entry in acl]
    own = None if access.identity is None else writer_name(access.identity)
    return Permissions(
        writers=tuple(name for name, rights in entries if rights & ~Kazoo.READ),
        readers=tuple(name for name, rights in entries if rights & Kazoo.READ),
        own=any(name == own and rights & Kazoo.ALL == Kazoo.ALL for name, rights in entries),
    )
