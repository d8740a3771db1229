"""The faults of the benchmark, and which alerts each is to fire.

The first are the demo's fourteen in containers, all but the one that needs containers: a ZooKeeper server cut
off. The others fire the alerts that none of those does. ``RabbitKeeperLoopSlow`` has none: a process that is
stopped answers no scrape, and there is no way to hang the loop alone. Nor has ``RabbitKeeperTwoLeaders``,
nor ``RabbitKeeperNoMajority``, as long as brokers that are cut off pause.
"""

from dataclasses import dataclass

from alerting.faults import Stage
from rabbitkeeper.compose.demo.local_faults import HANG_BROKER, KILL_AGENT, KILL_BROKER, KILL_NODE
from rabbitkeeper.compose.demo.scenario import Fault

_PREFIX = "RabbitKeeper"


def _alerts(names: str) -> frozenset[str]:
    return frozenset(_PREFIX + name for name in names.split())


@dataclass(frozen=True, slots=True)
class Case:
    """One fault.

    Attributes:
        fault: how it is made and undone; struck at the leader.
        fires: the alerts that it is to fire, all of them.
        may: alerts that it may fire as well, since how long the group takes is the machine's matter.
        networks: whether it needs a network for each member.
        waits_an_hour: whether its rule does, before it is divided.
    """

    fault: Fault[Stage]
    fires: frozenset[str]
    may: frozenset[str] = frozenset()
    networks: bool = False
    waits_an_hour: bool = False


ENDED = "BrokerEnded"
CASES = (
    Case(Fault(KILL_BROKER.name, KILL_BROKER.says, Stage.kill_broker), _alerts(ENDED)),
    Case(Fault(HANG_BROKER.name, HANG_BROKER.says, Stage.hang_broker), _alerts(ENDED)),
    Case(Fault("broker stopped", "SIGTERM to the broker of {target}", Stage.stop_broker), _alerts(ENDED)),
    Case(
        Fault("node cut off", "{target} is cut off from everything", Stage.cut_node, Stage.heal_network),
        _alerts("AgentDown"),
        _alerts(ENDED),  # a node that the others have dropped is started again before it serves
        networks=True,
    ),
    Case(Fault(KILL_NODE.name, KILL_NODE.says, Stage.kill_node, Stage.repair), _alerts("AgentDown")),
    Case(Fault(KILL_AGENT.name, KILL_AGENT.says, Stage.kill_agent, Stage.repair), _alerts("AgentDown")),
    Case(
        Fault("agent hung", "SIGSTOP to the agent of {target}", Stage.hang_agent, Stage.continue_agent),
        _alerts("AgentDown"),
    ),
    Case(
        Fault("agent stopped", "SIGTERM to the agent of {target}", Stage.stop_agent, Stage.repair),
        _alerts("AgentDown"),
    ),
    Case(
        Fault(
            "broker cut off",
            "the broker of {target} is cut off from the others",
            Stage.cut_broker,
            Stage.heal_network,
        ),
        _alerts("BrokerDown"),  # it pauses
        _alerts(ENDED),
        networks=True,
    ),
    Case(
        Fault(
            "agent cut off",
            "the agent of {target} is cut off from ZooKeeper",
            Stage.cut_agent,
            Stage.heal_network,
        ),
        _alerts("AgentWithoutZooKeeper"),
        networks=True,
    ),
    Case(
        Fault("ZooKeeper server killed", "SIGKILL to one of three", Stage.kill_zookeeper, Stage.repair),
        _alerts(""),
    ),
    Case(
        Fault(
            "ZooKeeper server frozen", "SIGSTOP to one of three", Stage.freeze_zookeeper, Stage.thaw_zookeeper
        ),
        _alerts(""),
    ),
    Case(
        Fault("ZooKeeper server stopped", "SIGTERM to one of three", Stage.stop_zookeeper, Stage.repair),
        _alerts(""),
    ),
    Case(
        Fault("all restarted", "SIGKILL to everything, and a new start", Stage.restart_all),
        _alerts(""),
        _alerts("AgentDown"),  # three agents start at once
    ),
    Case(
        Fault("memory alarm", "a memory alarm at {target}", Stage.raise_alarm, Stage.end_alarm),
        _alerts("BrokerAlarm"),
    ),
    Case(
        Fault("ZooKeeper away", "SIGTERM to all three", Stage.stop_all_zookeepers, Stage.repair),
        _alerts("ZooKeeperAway"),
    ),
    Case(
        Fault(
            "broker hangs as it boots",
            "SIGSTOP to the next broker of {target}",
            Stage.hang_boot,
            Stage.continue_broker,
        ),
        _alerts("BrokerDown"),
        _alerts(ENDED),
    ),
    Case(
        Fault("two of three nodes gone", "SIGKILL to all but {target}", Stage.kill_others, Stage.repair),
        _alerts("AgentDown"),
        # With Mnesia the third pauses itself and gives up the lead; with Khepri it confirms nothing.
        _alerts("NoLeader BrokerDown NoMajority BrokerEnded"),
    ),
    Case(
        Fault(
            "leader lost in a pause", "pause, and SIGKILL to {target}", Stage.kill_in_a_pause, Stage.resume
        ),
        _alerts("AgentDown NoLeader"),
    ),
    Case(
        Fault(
            "configuration spoilt",
            "another tool writes it",
            Stage.spoil_configuration,
            Stage.restore_configuration,
        ),
        _alerts("UnreadableZnodes"),
    ),
    Case(Fault("hook fails", "a hook fails once", Stage.fail_hooks, Stage.heal_hooks), _alerts("HookFails")),
    Case(
        Fault("lead moves on and on", "one switchover after the other", Stage.move_on_and_on),
        _alerts("LeadMovesOften"),
    ),
    Case(
        Fault("pause forgotten", "pause", Stage.pause, Stage.end_pause),
        _alerts("PausedForLong"),
        waits_an_hour=True,
    ),
    Case(Fault("switchover", "an operator moves the lead of {target}", Stage.switch_over), _alerts("")),
    Case(Fault("restart", "an operator restarts the broker of {target}", Stage.restart), _alerts("")),
)
