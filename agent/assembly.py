"""Puts one agent together from its configuration. Nothing is started, opened or written here."""

import random
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from rabbitkeeper.agent.agent import Agent
from rabbitkeeper.agent.broker.drivers import BrokerDriver, driver_for
from rabbitkeeper.agent.broker.last_question import LastQuestion
from rabbitkeeper.agent.broker.stillness import Stillness, activity
from rabbitkeeper.agent.broker.supervisor import BrokerSupervisor
from rabbitkeeper.agent.cluster.agreement import Agreement
from rabbitkeeper.agent.cluster.canary_repair import CanaryRepair
from rabbitkeeper.agent.cluster.formation import FormationResult, Identity, form
from rabbitkeeper.agent.cluster.formation_plan import cluster_seen
from rabbitkeeper.agent.cluster.peer_monitor import PeerMonitor
from rabbitkeeper.agent.cluster.record_keeper import RecordKeeper
from rabbitkeeper.agent.cluster.replicas import Replicas, give
from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.address import check_address
from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.group.disruption import Disruption
from rabbitkeeper.agent.group.effective_config import EffectiveConfig
from rabbitkeeper.agent.group.membership import Membership
from rabbitkeeper.agent.group.operation_runner import OperationRunner
from rabbitkeeper.agent.health.connection import ProbeSettings
from rabbitkeeper.agent.health.inspection import Inspection
from rabbitkeeper.agent.health.majority_check import MajorityCheck
from rabbitkeeper.agent.health.probe import Probe
from rabbitkeeper.agent.loop.cluster_mode import ClusterHousekeeping, ClusterMode
from rabbitkeeper.agent.loop.housekeeping import Housekeeping
from rabbitkeeper.agent.loop.loop import Loop
from rabbitkeeper.agent.loop.mode import Mode
from rabbitkeeper.agent.loop.reload import Reload
from rabbitkeeper.agent.loop.sides import BrokerSide, GroupSide
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.agent.notify.hooks import Hooks
from rabbitkeeper.agent.notify.sinks import Sinks
from rabbitkeeper.agent.notify.systemd_notify import SystemdNotify
from rabbitkeeper.agent.rabbitmq.configuration_check import ConfigurationCheck
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.agent.runtime.log import CONTEXT, set_level
from rabbitkeeper.agent.runtime.pressure import starved
from rabbitkeeper.agent.runtime.wakeup import Wakeup
from rabbitkeeper.agent.runtime.watchdog import Watchdog
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.store.store import Store

if TYPE_CHECKING:
    from rabbitkeeper.agent.rabbitmq.management.client import ManagementSettings
    from rabbitkeeper.agent.rabbitmq.management.poller import Poller

GROW_PATIENCE = 30.0  # seconds to wait for others who found, join or grow


def assemble(settings: EffectiveConfig, path: Path | None = None) -> Agent:
    """An agent that is ready to run.

    Args:
        settings: its file's, with the group's over them as far as they are known yet.
        path: its file, which is read again when passwords or certificates change; None: it is not.

    Raises:
        ConfigurationError: the driver or the session cannot be made the way they are configured.
    """
    config = settings.run()
    wakeup, watchdog, board = Wakeup(), Watchdog(config.watchdog_timeout), Board(monotonic)
    CONTEXT.epoch = lambda: None if board.state is None else board.state.epoch
    systemd = SystemdNotify()

    def beat() -> None:
        watchdog.beat()
        board.beat()
        systemd.beat()

    driver = driver_for(config.broker, group=config.group, member=config.name)
    backend = backend_at(
        config.zookeeper.hosts,
        timeout=config.zookeeper.asked_timeout,
        wake=wakeup.ring_group,
        name=config.name,
        access=config.zookeeper.access,
        clock=monotonic,
    )

    def lease() -> tuple[int, float]:
        now = monotonic()
        return backend.session_id, now + backend.lease.remaining(now)

    board.lease = lease

    def store() -> Store:
        # Each job has one of its own: it runs beside the loop, and a store belongs to one thread.
        return Store(backend, config.group, clock=monotonic)

    probe = Probe(_probe_settings(config), wake=wakeup.ring)
    mode = _MODES[settings.mode](config, store, driver, probe, wakeup)
    disruption = Disruption(config.name, store, wake=wakeup.ring)
    supervisor = _supervisor(config, mode, driver, probe, wakeup, disruption)
    management = _management(config, probe, wakeup)
    broker = BrokerSide(
        supervisor,
        probe,
        Housekeeping(
            Inspection(driver.ctl.node_state, wake=wakeup.ring, answered=lambda: driver.ctl.answered),
            node=config.broker.node,
            management=management,
        ),
    )
    announcer = Announcer(config, instance=secrets.token_hex(8))

    def answered() -> None:
        # A store that is slow is not a loop that hangs, and the lease is renewed between its answers.
        beat()
        backend.renew()

    own_store = Store(backend, config.group, clock=monotonic, answered=answered)
    group = GroupSide(
        backend,
        own_store,
        Membership(backend, own_store, announcer, wakeup, beat, see=settings.see),
        OperationRunner(
            config.name,
            store=store,
            ctl=driver.ctl,
            broker=supervisor,
            disruption=disruption,
            wake=wakeup.ring_group,
        ),
        announcer,
    )

    def adopt(changed: AgentConfig) -> None:
        probe.adapt(_probe_settings(changed))
        watchdog.adapt(changed.watchdog_timeout)
        set_level(changed.log.level)

    loop = Loop(
        settings,
        broker,
        group,
        mode,
        wakeup=wakeup,
        board=board,
        beat=beat,
        adopt=adopt,
        starved=starved,
    )
    hooks, server = Hooks(config.hooks), None
    if config.http.listen is not None:
        from rabbitkeeper.agent.api import ApiServer  # only now: its libraries cost memory

        server = ApiServer(
            config.http,
            board,
            store=store,
            announcer=announcer,
            hooks=hooks.outcomes,
            traffic=lambda: () if management is None else management.samples,
        )

    def renew(renewed: AgentConfig) -> None:
        access = renewed.zookeeper.access  # reads files, and may refuse
        moves = renewed.zookeeper.hosts != backend.hosts
        if moves:
            check_address(renewed)
        if server is not None:
            server.adopt(renewed.http)
        backend.adapt(access)
        if moves:
            backend.move(renewed.zookeeper.hosts)
        if management is not None:
            management.adapt(_management_settings(renewed))
        settings.renew_secrets(renewed)
        wakeup.ring()

    return Agent(
        config,
        broker,
        group,
        loop,
        wakeup=wakeup,
        watchdog=watchdog,
        sinks=Sinks(board, hooks, systemd, server, log_events=CONTEXT.for_machines),
        reload=None if path is None else Reload(path, config, renew),
    )


def _cluster_mode(
    config: AgentConfig, store: Callable[[], Store], driver: BrokerDriver, probe: Probe, wakeup: Wakeup
) -> ClusterMode:
    amqp, ctl = config.broker.amqp, driver.ctl
    identity = Identity(
        member=config.name,
        node=config.broker.node,
        vhost=config.broker.vhost,
        user=(amqp.username, amqp.password.get_secret_value()),
    )

    def peer_versions() -> dict[str, str]:
        records = [member.record for member in store().snapshot(watch=False).members.values()]
        return {each.node: each.versions.rabbitmq for each in records if each.versions.rabbitmq is not None}

    def seen_cluster() -> str | None:
        return cluster_seen(store().snapshot(watch=False), config.name)

    def into_cluster() -> FormationResult:
        return form(
            store(),
            ctl,
            identity,
            logged_in=lambda: probe.facts.up_since is not None,
            peer_versions=peer_versions,
            seen=seen_cluster,
        )

    def growing() -> AbstractContextManager[object]:
        return store().formation_lock(config.name, GROW_PATIENCE)

    return ClusterMode(
        config.name,
        into_cluster,
        MajorityCheck(probe.confirm_majority, random.random),
        ClusterHousekeeping(
            Replicas(lambda: give(ctl, config.replicas.target, growing), wake=wakeup.ring),
            CanaryRepair(config.name, config.broker.vhost, ctl, wake=wakeup.ring),
            RecordKeeper(config.name, config.broker.node, ctl, store, wake=wakeup.ring),
            Agreement(
                config.broker.node, ctl, session_timeout=config.zookeeper.session_timeout, wake=wakeup.ring
            ),
            PeerMonitor(ctl, wake=wakeup.ring) if config.health.fast_nodedown else None,
        ),
    )


MakeMode = Callable[[AgentConfig, Callable[[], Store], BrokerDriver, Probe, Wakeup], Mode]

_MODES: Mapping[str, MakeMode] = {"cluster": _cluster_mode}
"""By ``mode`` in the group's configuration: the one place that compares its name."""


def _supervisor(
    config: AgentConfig,
    mode: Mode,
    driver: BrokerDriver,
    probe: Probe,
    wakeup: Wakeup,
    disruption: Disruption,
) -> BrokerSupervisor:
    check = ConfigurationCheck(driver.ctl)
    local = config.broker.driver in ("process", "systemd")  # in a container it may have another number here
    stillness = Stillness(activity if local else lambda pid: None)

    def joined() -> None:
        probe.connect_now()
        if not config.broker.made_by_agent:
            check.begin()

    return BrokerSupervisor(
        driver,
        mode.join,
        boot_timeout=config.broker.boot_timeout,
        restart_limit=config.broker.restart_limit,
        wake=wakeup.ring,
        formed=joined,
        permit=LastQuestion(
            driver.ctl.says, lambda: probe.facts, disruption, stillness.lasts, driver.ctl.finds_vhosts
        ),
        stillness=stillness,
    )


def _management_settings(config: AgentConfig) -> "ManagementSettings":
    from rabbitkeeper.agent.rabbitmq.management.client import ManagementSettings  # only now: memory

    broker = config.broker
    assert broker.management is not None  # noqa: S101 - asked for with it only
    return ManagementSettings(
        broker.management.address,
        (broker.amqp.username, broker.amqp.password.get_secret_value()),
        timeout=broker.management.timeout,
        ca_file=None if broker.management.ca_file is None else str(broker.management.ca_file),
    )


def _management(config: AgentConfig, probe: Probe, wakeup: Wakeup) -> "Poller | None":
    broker = config.broker
    if broker.management is None:
        return None
    from rabbitkeeper.agent.rabbitmq.management.poller import Poller  # only now: httpx costs memory

    offered = {"amqp": broker.advertised_amqp, "amqps": broker.advertised_amqps}
    return Poller(
        _management_settings(config),
        broker.node,
        protocols=[protocol for protocol, address in offered.items() if address is not None],
        version=lambda: probe.facts.version if probe.facts.up_since is not None else None,
        wake=wakeup.ring,
        interval=broker.management.poll_interval,
    )


def _probe_settings(config: AgentConfig) -> ProbeSettings:
    amqp, health = config.broker.amqp, config.health
    return ProbeSettings(
        host=amqp.host,
        port=amqp.port,
        username=amqp.username,
        password=amqp.password.get_secret_value(),
        vhost=config.broker.vhost,
        name=config.name,
        interval=health.interval,
        hung_after=health.hung_after,
        fall=health.fall,
        rise=health.rise,
        connect_timeout=health.connect_timeout,
        tls=None if amqp.tls is None else amqp.tls.context("broker.amqp.tls"),
        server_name=None if amqp.tls is None else amqp.tls.server_name,
    )
