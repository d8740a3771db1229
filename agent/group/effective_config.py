"""The settings that an agent goes by: its own file with the group's configuration over it, as of now.

The group's configuration can be changed, or spoilt, at any moment. One that cannot be understood, or that
contradicts itself or the agent's own file, is not taken: the agent goes on with the last one that was valid
and says so in its member's record. Settings that need a restart of the agent keep their old values until
then, and the rest must agree with those.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.config.group import (
    GROUP_WIDE,
    Applies,
    effective_values,
    overlay,
    own_values,
    split,
)
from rabbitkeeper.agent.group.await_zookeeper import await_zookeeper
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.errors import ConfigurationError, UnknownGroup
from rabbitkeeper.coordinator.model.records import GroupConfig, TakenConfig
from rabbitkeeper.coordinator.model.view import ConfigView, GroupView
from rabbitkeeper.coordinator.store.reader import GroupReader

LOG = logging.getLogger("rabbitkeeper.agent")


class EffectiveConfig:
    """One run's settings. Belongs to the loop's thread.

    Args:
        own: what the agent's file says.

    Attributes:
        taken: for the member's record.
    """

    def __init__(self, own: AgentConfig) -> None:
        self._own = own
        self._seen: tuple[ConfigView | None, str | None] | None = None
        self._accepted: ConfigView | None = None
        self._fixed: dict[str, object] | None = None  # what needs a restart, as this run has it
        self._effective = own
        self._renewed: AgentConfig | None = None  # put here by another thread
        self.taken = TakenConfig(version=None, own=own_values(own))

    @property
    def effective(self) -> AgentConfig:
        """What holds now; another object whenever something has changed."""
        renewed, self._renewed = self._renewed, None
        if renewed is not None:
            self._own = self._own.with_secrets_of(renewed)
            self._effective = self._effective.with_secrets_of(renewed)
        return self._effective

    def renew_secrets(self, own: AgentConfig) -> None:
        """The agent's file has other passwords or certificates. From any thread; returns at once."""
        self._renewed = own

    @property
    def mode(self) -> str:
        """The group's, as far as it is known: how its brokers back one another up."""
        return (GroupConfig() if self._accepted is None else self._accepted.record).mode

    def run(self) -> AgentConfig:
        """From now on, what needs a restart stays as it is. Returns what to run with."""
        values = effective_values(self.effective)
        self._fixed = {key: values[key] for key, when in GROUP_WIDE.items() if when is Applies.RESTARTED}
        return self.effective

    def see(self, view: GroupView) -> GroupView:
        """Take the group's configuration from a snapshot, if it is new and valid.

        Returns:
            The snapshot with the configuration that this agent goes by: nothing is decided on another.
        """
        self.take(view.config, view.config_unreadable)
        site = self.effective.preferred_site
        accepted = self._accepted or ConfigView(GroupConfig(), 0)
        if accepted.record.preferred_site != site:
            record = accepted.record.model_copy(update={"preferred_site": site})
            accepted = replace(accepted, record=record)
        return replace(view, config=accepted)

    def take(self, found: ConfigView | None, unreadable: str | None) -> None:
        """Take the group's configuration, if it is new and valid.

        Args:
            found: what the ``config`` znode holds; None if it is not there or cannot be understood.
            unreadable: why it cannot be.
        """
        if self._seen == (found, unreadable):
            return
        self._seen = (found, unreadable)
        if found is None:
            self._refuse(unreadable or "the group's configuration has been deleted")
            return
        values, passed_over = split(found.record)
        name = f"group configuration, version {found.version}"
        fixed = {} if self._fixed is None else self._fixed
        now = {key: value for key, value in values.items() if key not in fixed} | fixed
        try:
            wanted = effective_values(overlay(self._own, values, name))
            effective = overlay(self._own, now, name)
        except ConfigurationError as error:
            self._refuse("; ".join(str(error).splitlines()))
            return
        pending = tuple(key for key, value in fixed.items() if wanted[key] != value)
        self._accept(found, effective, pending, passed_over)

    def _accept(
        self,
        found: ConfigView,
        effective: AgentConfig,
        pending: tuple[str, ...],
        passed_over: tuple[str, ...],
    ) -> None:
        before, after = effective_values(self.effective), effective_values(effective)
        changed = [f"{key} {before[key]} → {value}" for key, value in after.items() if before[key] != value]
        if changed:
            LOG.info("group configuration, version %d: %s", found.version, ", ".join(changed))
        if pending and pending != self.taken.restart_pending:
            LOG.info("restart pending, until which the old value holds: %s", ", ".join(pending))
        if passed_over:
            LOG.info("in the group configuration are passed over: %s", ", ".join(passed_over))
        if self.taken.problem is not None:
            LOG.info("the group configuration, version %d, is valid again", found.version)
        self._accepted = found
        if changed:
            self._effective = effective
        self.taken = TakenConfig(version=found.version, restart_pending=pending, own=self.taken.own)

    def _refuse(self, why: str) -> None:
        version = self.taken.version
        kept = "its own file" if version is None else f"version {version}"
        LOG.warning("the group configuration is not taken, this agent goes on with %s: %s", kept, why)
        self.taken = self.taken.model_copy(update={"problem": f"goes on with {kept}: {why}"})


def read_group_config(
    own: AgentConfig, tell: Callable[[str | None], None] = lambda reason: None
) -> EffectiveConfig:
    """The settings to start with: some must be known before the agent's own session begins.

    Waits for as long as ZooKeeper is not there.

    Args:
        own: what the agent's file says.
        tell: is told why ZooKeeper does not answer, as :func:`await_zookeeper` says it.
    """
    settings = EffectiveConfig(own)
    await_zookeeper(lambda: _read_once(own, settings), tell=tell)
    return settings


def _read_once(own: AgentConfig, settings: EffectiveConfig) -> None:
    backend = backend_at(own.zookeeper.hosts, name=own.name, access=own.zookeeper.access)
    try:
        backend.start(own.zookeeper.connect_timeout)
        view = GroupReader(backend, own.group, with_history=False).read(watch=False)
    except UnknownGroup:
        return  # it begins with this agent
    finally:
        backend.close()
    settings.see(view)
