"""Who leads, as a client sees it."""

from rabbitkeeper.client import Client
from rabbitkeeper.compose.local import Local
from support.waiting import PATIENCE, wait_for


def leader_of(local: Local) -> str:
    """The leader's name, as soon as there is one."""
    with Client(local.zookeeper_hosts, local.group, local.credentials, timeout=PATIENCE) as client:
        wait_for(lambda: client.status().leader is not None, "somebody leads", 3 * PATIENCE)
        return client.leader.member
