"""Waits until the group is whole, and makes the application's user. Ends with 0 when it is there.

The user is made on the leader's broker through its management API, by the agents' user. Before the group is
whole would be too early: a node that joins a cluster forgets the users that it had.
"""

import os
import sys

import httpx

from rabbitkeeper.compose.local import LocalError, readiness
from rabbitkeeper.compose.roles import environment

TIMEOUT = 300.0  # seconds for the group to be whole


def main() -> None:
    condition = readiness.ready(environment.members())
    view = readiness.await_group(
        environment.zookeeper(),
        environment.group(),
        condition,
        lambda: None,
        TIMEOUT,
        environment.access(),
    )
    if view.leader is None or view.leader.record.amqp is None:
        raise LocalError("the leader does not say where its broker is")
    host = view.leader.record.amqp.rpartition(":")[0]
    name, password = environment.application()
    with httpx.Client(
        base_url=os.environ["MANAGEMENT"].format(host=host),
        auth=("rabbitkeeper", environment.secret("agent_password")),
        timeout=30,
    ) as management:
        user = {"password": password, "tags": "monitoring"}
        access = {"configure": ".*", "write": ".*", "read": ".*"}
        management.put(f"/api/users/{name}", json=user).raise_for_status()
        management.put(f"/api/permissions/%2F/{name}", json=access).raise_for_status()
    print(f"the group is whole and {view.leader.record.name} leads; user {name} is made")  # noqa: T201


if __name__ == "__main__":
    try:
        main()
    except (LocalError, httpx.HTTPError) as error:
        sys.exit(f"setup: {error}")
