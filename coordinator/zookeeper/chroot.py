"""Makes the node that an address ends in, as in ``zk1:2181/orders``: a session below it cannot."""

from kazoo.exceptions import KazooException, NoAuthError, NodeExistsError

from rabbitkeeper.coordinator.backend.access import BackendAccess, may_not_create
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable
from rabbitkeeper.coordinator.zookeeper.client import build, translate


def make_chroot(hosts: str, timeout: float, access: BackendAccess) -> None:
    """Make it and what is above it, where they are not there.

    Args:
        hosts: with the chroot.
        timeout: seconds to connect, and again for each node.
        access: who it is, and who may do what with what it makes.

    Raises:
        CoordinationError: it cannot be made.
    """
    servers, _, chroot = hosts.partition("/")
    client, handler = build(servers, timeout, access)
    try:
        client.start(timeout)
        parts = chroot.split("/")
        for length in range(len(parts)):
            path = "/" + "/".join(parts[: length + 1])
            try:
                client.create_async(path, b"").get(timeout=timeout)
            except NodeExistsError:
                continue
            except NoAuthError:  # its parent's ACL is looked at first, be it there or not
                if client.exists_async(path).get(timeout=timeout) is None:
                    raise may_not_create(path) from None
            except KazooException as error:
                raise translate(error, path) from None
    except handler.timeout_exception:
        raise ZooKeeperUnreachable(f"ZooKeeper at {servers} did not answer within {timeout:g} s") from None
    finally:
        client.stop()
        client.close()
