"""What an agent writes about itself: its member's record, the leader's, the history's entry. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType

from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.model.observation import NOTHING_TOLD, ToldOfOthers
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.coordinator.model.event_ids import lead_taken
from rabbitkeeper.coordinator.model.records import (
    FORGET_NODES,
    HistoryEntry,
    LeaderRecord,
    MaintenanceRecord,
    MemberRecord,
    SwitchoverRecord,
    TakenConfig,
    Versions,
)


@dataclass(frozen=True, slots=True)
class Announcer:
    """The identity of one run of an agent.

    Args:
        config: the agent's.
        instance: of this run.
        version: the agent's.
    """

    config: AgentConfig
    instance: str
    version: str = metadata.version("rabbitkeeper")

    def member(
        self,
        verdict: Verdict,
        since: str,
        rabbitmq: str | None,
        taken: TakenConfig | None = None,
        load: Mapping[str, int] = MappingProxyType({}),
        others: ToldOfOthers = NOTHING_TOLD,
    ) -> MemberRecord:
        """The member's record.

        Args:
            verdict: how the broker is.
            since: of that state, for people.
            rabbitmq: the broker's version, when it is known.
            taken: the group configuration that the agent goes by.
            load: what the broker carries.
            others: what their agents are to be told of their nodes.
        """
        broker = self.config.broker
        return MemberRecord(
            name=self.config.name,
            instance=self.instance,
            node=broker.node,
            versions=Versions(agent=self.version, rabbitmq=rabbitmq),
            amqp=broker.advertised_amqp,
            amqps=broker.advertised_amqps,
            api=self.config.http.url,
            state=verdict.status,
            reasons=verdict.reasons,
            warnings=verdict.warnings,
            load=dict(load),
            dropped=tuple(sorted(others.dropped)),
            uncounted=tuple(sorted(others.uncounted)),
            knows=(FORGET_NODES,),
            since=since,
            tags=self.config.tags.record,
            config=taken,
        )

    def leader(self, cause: str, since: str) -> LeaderRecord:
        """The record of a lead that is to be taken for ``cause``."""
        broker = self.config.broker
        return LeaderRecord(
            name=self.config.name,
            instance=self.instance,
            node=broker.node,
            amqp=broker.advertised_amqp,
            amqps=broker.advertised_amqps,
            api=self.config.http.url,
            since=since,
            cause=cause,
        )

    def change(
        self,
        epoch: int,
        previous: str | None,
        cause: str,
        at: str,
        timings: dict[str, float],
        operation: SwitchoverRecord | MaintenanceRecord | None = None,
        *,
        incarnation: int = 0,
    ) -> HistoryEntry:
        """The history's entry for a lead that has been taken.

        Args:
            timings: seconds: ``vacant`` from seeing no leader to having the lead, ``canary`` of that for the
                majority to confirm.
            operation: the operator's request that it follows from.
            incarnation: of the group.
        """
        return HistoryEntry.model_validate(
            {
                "epoch": epoch,
                "event_id": lead_taken(epoch, incarnation),
                "incarnation": incarnation,
                "from": previous,
                "to": self.config.name,
                "node": self.config.broker.node,
                "cause": cause,
                "by": self.config.name if operation is None else operation.by,
                "operation": None if operation is None else operation.id,
                "reason": None if operation is None else operation.reason,
                "at": at,
                "timings": {phase: round(seconds, 4) for phase, seconds in timings.items()},
            }
        )
