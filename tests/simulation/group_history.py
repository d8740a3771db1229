"""One history of a group: it comes up, things go wrong by chance, and it should be whole again afterwards.

What is asked of every moment is asserted where it could break (``managed_group.py``, ``rabbitmq/broker.py``);
here is what is asked once a second, and of the end.
"""

from rabbitkeeper.agent.broker.policy import STILL_GRACE
from rabbitkeeper.coordinator.model.records import MemberStatus
from simulation.agents import SimulatedAgent
from simulation.group_faults import FAULTS, KINDS, Fault, by_chance
from simulation.managed_group import Group

UP = 60.0  # seconds in which a new group is whole
OVER = 420.0  # seconds after the last fault in which everything is well again: a stuck broker, a slow boot
DISAGREE = 15.0  # seconds for which a group may call itself well while its nodes disagree
DEAD = 15.0  # seconds for which a broker may lead that does not work
UNTOLD = 15.0  # seconds for which an agent may not have read that its lead was deleted, its store being slow
STOPPED = (
    6.0  # seconds until a broker whose process stands still is ended, beside the grace that kills double
)
STARVED = 150.0  # seconds until a broker that feeds nobody beside others that run has been started again
TOGETHER = 2.0  # seconds for which two may leave for that, until they have seen each other
QUIET = 20.0  # seconds in which nothing happens any more


class History:
    """One group and its faults.

    Args:
        seed: of everything that chance decides.
        kinds: of faults.
        sticks: of the nodes that come back from a pause, those that do not come up, from 0 to 1.
        overlooks: of the nodes that are back, those that one other does not count, from 0 to 1.
    """

    def __init__(
        self,
        seed: int,
        kinds: tuple[str, ...] = tuple(FAULTS),
        sticks: float = 0.0,
        overlooks: float = 0.0,
    ) -> None:
        self.seed = seed
        self.group = Group(seed)
        self.group.rabbits.retries = 7.0 if seed % 2 else 0.0  # as from RabbitMQ 3.12 on
        self.group.rabbits.stop = (20.0, 45.0) if seed % 4 == 3 else (0.1, 4.0)  # as on a busy host
        self.group.rabbits.sticks = sticks
        self._overlooks = overlooks
        if seed % 8 == 4:  # databases find one another late
            self.group.rabbits.rejoin, self.group.rabbits.blind = 9.0, 7.0
        self.kinds = kinds
        self.faults: list[Fault] = []
        self._since: dict[str, float] = {}  # what is not as it should be, and since when

    def play(self) -> None:
        """Play it.

        Raises:
            AssertionError: something that must hold does not.
        """
        group = self.group
        self._run(UP, until_whole=True)
        group.rabbits.overlooks = self._overlooks
        self.faults = by_chance(group.world, group.names, self.kinds)
        for fault in self.faults:
            self._run(fault.after)
            group.note(fault.member, f"fault: {fault.kind} for {fault.lasts:g} s")
            KINDS[fault.kind](group, group.agents[fault.member], fault.lasts)
        self._run(max(fault.lasts for fault in self.faults) + 1.0)
        group.heal()
        self._run(OVER, until_whole=True)
        leader, epochs, began = group.leader, list(group.epochs), group.world.now
        self._run(QUIET)
        assert (group.leader, group.epochs) == (leader, epochs), self._told("the lead moves for nothing")
        assert not [entry for entry in group.log if entry[0] > began and entry[2] in ("kill", "stop")], (
            self._told("a broker is ended for nothing")
        )
        nodes = {agent.broker.node for agent in group.agents.values()}
        assert set(group.recorded) == nodes, self._told(f"recorded are only {sorted(group.recorded)}")
        assert len({agent.broker.disk.number for agent in group.agents.values()}) == 1, self._told("clusters")

    def _run(self, seconds: float, *, until_whole: bool = False) -> None:
        group = self.group
        end = group.world.now + seconds
        while group.world.now < end:
            group.run(min(1.0, max(end - group.world.now, 0.001)))
            self._look()
            brokers = [agent.broker for agent in group.agents.values()]
            well = all(each.well and not (each.feeding.starves or each.mute) for each in brokers)
            well = well and group.paths.maintenance not in group.zookeeper.tree
            if until_whole and well and group.whole and not group.rabbits.disagreement():
                return
        assert not until_whole, self._told(f"not whole within {seconds:g} s")

    def _look(self) -> None:
        group = self.group
        group.note_who_is_back()
        leading = [agent.name for agent in group.agents.values() if agent.acts_as_leader]
        informed = [name for name in leading if not self._untold(group.agents[name])]
        assert len(informed) <= 1, self._told(f"more than one leads: {leading}")
        assert self._lasts("two", len(leading) > 1) <= UNTOLD, self._told(f"two lead for long: {leading}")
        self._look_at_the_leader()
        self._look_at_the_starving()
        self._look_at_the_stopped()
        said = {name: group.member(name) for name in group.names}
        unseen = bool(group.rabbits.disagreement()) and all(
            one and one.state == "running" for one in said.values()
        )
        assert self._lasts("unseen", unseen) <= DISAGREE, self._told(
            "the group calls itself well, and its nodes disagree"
        )

    def _untold(self, agent: SimulatedAgent) -> bool:
        """Whether it goes by a lead that somebody has deleted since it began to read the group last.

        No lease covers that: its session lives, and another may take the lead before it has read of it.
        """
        view = None if agent.board.state is None else agent.board.state.view
        if view is None or view.leader is None:
            return False
        deleted = self.group.deleted.get(view.leader.epoch)
        return deleted is not None and view.read_at <= deleted

    def _look_at_the_leader(self) -> None:
        """A broker that does not work does not lead for long while another could."""
        group, leader = self.group, self.group.leader
        others = [group.member(name) for name in group.names if name != leader]
        another = any(other is not None and other.state.may_lead for other in others)
        dead = leader is not None and not group.agents[leader].broker.well
        lasts = self._lasts("dead", dead and another and group.zookeeper.up)
        assert lasts <= DEAD, self._told(f"{leader} leads, and its broker does not work")

    def _look_at_the_starving(self) -> None:
        """One after the other is started again while nothing else is wrong; who goes first is up to them."""
        brokers = [agent.broker for agent in self.group.agents.values()]
        starve = [each.node for each in brokers if each.feeding.starves]
        calm = all(each.well and not each.alarm for each in brokers) and self.group.zookeeper.up
        lasts = self._lasts("starve", bool(starve) and calm and self.group.whole)
        assert lasts <= STARVED, self._told(f"{starve} feed nobody, and nothing is done about it")
        said = [name for name in self.group.names if self._says(name) is MemberStatus.STARVING]
        assert self._lasts("leave", len(said) > 1) <= TOGETHER, self._told(f"{said} leave at the same time")

    def _look_at_the_stopped(self) -> None:
        """New channels to its queues wait for it on all nodes: it is ended soon, however slow its host is."""
        agents = self.group.agents.values()
        calm = self.group.zookeeper.up and all(
            each.alive and each.session.connected and each.session.link and not each.session.suspended
            for each in agents
        )
        for agent in agents:
            stopped = agent.broker.hung and agent.stopped == agent.broker.pid
            others = all(each.broker.well for each in agents if each is not agent)
            limit = STOPPED + STILL_GRACE * 2.0 ** len(self.group.noted(agent.name, "kill"))
            lasts = self._lasts(f"{agent.name} stopped", stopped and calm and others)
            assert lasts <= limit, self._told(f"{agent.name} stands still, and is left so")

    def _says(self, name: str) -> MemberStatus | None:
        record = self.group.member(name)
        return None if record is None else record.state

    def _lasts(self, what: str, so: bool) -> float:
        """For how many seconds it has been so."""
        if not so:
            self._since.pop(what, None)
            return 0.0
        now = self.group.world.now
        return now - self._since.setdefault(what, now)

    def _told(self, what: str) -> str:
        """What went wrong, and all that has led to it."""
        group = self.group
        lines = [f"seed {self.seed}, at {group.world.now:.1f}: {what}"]
        lines += [f"{at:8.3f} {member}: {said}" for at, member, said in group.log if said != "confirmed"]
        for name, agent in group.agents.items():
            broker = agent.broker
            lines.append(
                f"{name}: {agent.sentence} | alive {agent.alive}, refused {agent.refused}, up {broker.up}, "
                f"hung {broker.hung}, {broker.state}, peers {sorted(broker.peers)}"
            )
        return "\n".join(lines)
