"""Which of RabbitMQ's health checks are asked, by its version, and what their answers mean. Pure.

The checks of old that took in everything (``aliveness-test``, ``healthchecks/node``) are not asked: they are
gone, or do nothing, since RabbitMQ 4.0. Sources: the HTTP API reference on rabbitmq.com and the plugin's own
source; tried on 3.10.8, 4.0.5 and 4.3.6.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rabbitkeeper.agent.model.observation import Alarm, Load, Traffic

_LEADERS_FROM = (4, 1, 0)
_READY_FROM = (4, 1, 1)
_SHOWN = 3  # names in a sentence


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One check.

    Args:
        path: below ``/api/``.
        failed: what it means when it fails, as a clause; ``{}`` stands for what the answer names.
    """

    path: str
    failed: str


_LOCAL_ALARMS = HealthCheck("health/checks/local-alarms", "this node has an alarm{}")
_READY = HealthCheck("health/checks/ready-to-serve-clients", "the broker is not ready to serve clients{}")
_LEADERS = HealthCheck(
    "health/checks/quorum-queues-without-elected-leaders/all-vhosts/", "quorum queues have no leader{}"
)
_VHOSTS = HealthCheck("health/checks/virtual-hosts", "virtual hosts do not run{}")


def checks(version: str | None, protocols: Sequence[str] = ("amqp",)) -> tuple[HealthCheck, ...]:
    """The checks that a broker of this version has.

    Args:
        version: RabbitMQ's, as in ``4.1.0-rc.2``; one that is not known is taken for an old one.
        protocols: that the agent or clients use, ``amqp`` or ``amqps``.
    """
    number = _number(version)
    listening = tuple(
        HealthCheck(
            f"health/checks/protocol-listener/{protocol}",
            f"nothing listens for {protocol}{{}}",
        )
        for protocol in protocols
    )
    ready = (_READY,) if number >= _READY_FROM else (*listening, _VHOSTS)
    leaders = (_LEADERS,) if number >= _LEADERS_FROM else ()
    return (*ready, _LOCAL_ALARMS, *leaders)


def failure(check: HealthCheck, answer: Mapping[str, object]) -> str:
    """The sentence for a check that has failed.

    Args:
        check: which.
        answer: its body.
    """
    queues, vhosts = answer.get("queues"), answer.get("virtual-hosts")
    alarms = answer.get("alarms")
    if isinstance(queues, list):
        names = [str(each.get("name", "?")) if isinstance(each, Mapping) else str(each) for each in queues]
    elif isinstance(vhosts, list):
        names = [str(each) for each in vhosts]
    elif isinstance(alarms, list):
        names = [str(each.get("resource", "?")) for each in alarms if isinstance(each, Mapping)]
    else:
        names = []
    names = sorted(set(names))
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return check.failed.format(f": {shown}" if shown else "")


def alarms(nodes: Sequence[Mapping[str, object]]) -> tuple[Alarm, ...]:
    """The alarms of all nodes, from ``/api/nodes``."""
    found = []
    for node in nodes:
        name = str(node.get("name", "?"))
        found += [Alarm(name, what) for key, what in _ALARMS if node.get(key) is True]
    return tuple(sorted(found, key=lambda alarm: (alarm.node, alarm.what)))


_ALARMS = (("mem_alarm", "memory"), ("disk_free_alarm", "disk"))


def load(
    node: str, connections: Sequence[Mapping[str, object]], queues: Sequence[Mapping[str, object]]
) -> Load:
    """What a node carries, from ``/api/connections`` and ``/api/queues``.

    A connection or queue counts where it lives; exclusive queues go with their connection and do not count.
    """
    return Load(
        connections=sum(each.get("node") == node for each in connections),
        classic_queues=sum(
            each.get("node") == node and each.get("type") == "classic" and not each.get("exclusive")
            for each in queues
        ),
    )


def traffic(overview: Mapping[str, object]) -> Traffic:
    """What the cluster carries, from ``/api/overview``.

    What is not counted there, as where statistics are off, is 0.
    """
    rates, depths, objects = (
        value if isinstance(value := overview.get(key), Mapping) else {}
        for key in ("message_stats", "queue_totals", "object_totals")
    )

    def rate(key: str) -> float:
        details = rates.get(f"{key}_details")
        value = details.get("rate") if isinstance(details, Mapping) else None
        return float(value) if isinstance(value, int | float) else 0.0

    def count(counts: Mapping[str, object], key: str) -> int:
        value = counts.get(key)
        return value if isinstance(value, int) else 0

    return Traffic(
        publish=rate("publish"),
        deliver=rate("deliver_get"),
        ready=count(depths, "messages_ready"),
        unacknowledged=count(depths, "messages_unacknowledged"),
        connections=count(objects, "connections"),
        consumers=count(objects, "consumers"),
    )


def _number(version: str | None) -> tuple[int, ...]:
    numbers = []
    for part in (version or "").partition("-")[0].partition("+")[0].split(".")[:3]:
        if not part.isdigit():
            break
        numbers.append(int(part))
    return (*numbers, 0, 0, 0)[:3]
