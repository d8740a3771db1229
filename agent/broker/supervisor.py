"""Keeps the broker's process and its place in the cluster: does what ``policy.py`` plans.

Everything that takes seconds (a start, a kill, joining the cluster) is a job beside the loop, one at a time.
What it brings about is seen by looking again, not taken from the job's word.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import replace

from rabbitkeeper.agent.broker.backoff import RestartBackoff, given_up
from rabbitkeeper.agent.broker.drivers import BrokerProcess, ProcessControl
from rabbitkeeper.agent.broker.log_tail import telling
from rabbitkeeper.agent.broker.patience import POSTPONED, Patience
from rabbitkeeper.agent.broker.policy import Plan, Step, Supervised, plan
from rabbitkeeper.agent.broker.stillness import Stillness
from rabbitkeeper.agent.model.errors import FormationRefused
from rabbitkeeper.agent.model.observation import (
    BOOTING,
    ConnectFailure,
    ConnectionFacts,
    FormationFacts,
    NodeFacts,
    ProcessFacts,
)
from rabbitkeeper.agent.model.state import BrokerFacts
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.agent.runtime.job import Job, Launch, ThreadJob
from rabbitkeeper.coordinator.model.errors import ConfigurationError, RabbitKeeperError
from rabbitkeeper.coordinator.model.records import MemberStatus

LOG = logging.getLogger("rabbitkeeper.agent")

REFUSED_PAUSE = 30.0  # seconds until a refused formation is tried again: somebody must do something first
FAILED_PAUSE = 2.0  # seconds until a failed one is
AGAIN_PAUSE = 10.0  # seconds from a kill or a start to the next kill, if the broker still hangs
_JOB_PATIENCE = 10.0  # seconds to wait for a step under way before the broker is stopped
_AWAY = frozenset({MemberStatus.UNREACHABLE, MemberStatus.STOPPED})
_PHASES = {
    Step.RESTART: "restarting the broker",
    Step.START: "starting the broker",
    Step.FORM: "seeing to its place in the cluster",
}


class BrokerSupervisor:
    """One broker and its driver. Belongs to the loop's thread.

    Args:
        driver: starts, stops and kills it, or only looks.
        form: brings it into the cluster; returns when it is in.
        boot_timeout: seconds that it may take until it answers.
        restart_limit: restarts in a row, without a minute of good health, after which it is given up.
        wake: called when a job has ended.
        formed: called on the loop's thread when the broker has come into the cluster.
        clock, draw, launch: monotonic seconds; random numbers in [0, 1); begins a job.
        permit: called in a job just before it is taken down; :class:`DisruptionRefused` if it must not be.
        stillness: of its process.
    """

    def __init__(
        self,
        driver: ProcessControl,
        form: Callable[[], object],
        *,
        boot_timeout: float,
        restart_limit: int,
        wake: Callable[[], None],
        formed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = monotonic,
        draw: Callable[[], float] = random.random,
        launch: Launch = ThreadJob,
        permit: Callable[[Plan], None] = lambda planned: None,
        stillness: Stillness | None = None,
    ) -> None:
        self._permit = permit
        self._stillness = stillness or Stillness(lambda pid: None)
        self._driver = driver
        self._form = form
        self._boot_timeout = boot_timeout
        self._restart_limit = restart_limit
        self._wake = wake
        self._on_formed = formed
        self._draw = draw
        self._launch = launch
        self._job: tuple[Step, Job] | None = None
        self._process: BrokerProcess | None = None  # as it is seen now
        self._known: BrokerProcess | None = None  # as it was seen when that could be told last
        self._adopted = self._was_paused = False
        self._spawned = False  # a start has succeeded, and what came of it has not been seen yet
        self._asked_to_end = False  # an operator has: its end is no death
        self._been_up = self._formed = False
        self._tell_formed = False  # it has come into the cluster, which the others have yet to be told
        self._form_due = self._kill_due = 0.0
        self._patience = Patience()
        self._restarts = RestartBackoff()
        self._ends = 0
        self._start_problem: str | None = None
        self._form_problem: str | None = None
        self.watched_since = clock()
        self.settled_since = self.watched_since  # when the last step ended
        self.started_here = False  # whether it was this run of the agent that started it

    @property
    def busy(self) -> bool:  # a step is under way
        return self._job is not None

    @property
    def been_up(self) -> bool:
        """Whether it has answered since it was started or found."""
        return self._been_up

    @property
    def facts(self) -> BrokerFacts:
        """What is being done with it, for people."""
        down = self._process is not None and self._process.running is False
        return BrokerFacts(
            ends=self._ends,
            start_due=self._restarts.due if down else None,
            step=None if self._job is None else _PHASES.get(self._job[0], self._job[0].value),
        )

    def look(self, now: float, connection: ConnectionFacts) -> tuple[ProcessFacts, FormationFacts]:
        """See how the process is, and what has become of the step under way.

        Args:
            now: seconds, monotonic.
            connection: what the probe says.

        Raises:
            ConfigurationError: the broker cannot ever be started the way it is configured.
        """
        self._collect(now)
        self._observe(now)
        answered = connection.since(self.watched_since).answers
        if answered:
            self._been_up = True
            self._start_problem = None
        return self._process_facts(), FormationFacts(self._formed, self._phase(answered), self._form_problem)

    def act(
        self,
        now: float,
        connection: ConnectionFacts,
        status: MemberStatus,
        well_since: float | None,
        *,
        paused: bool,
        cut_off: bool,
        can_form: bool,
        dropped: bool = False,
        mute_since: float | None = None,
        node: NodeFacts | None = None,
        strained: bool = False,
    ) -> float | None:
        """Begin the next step, if there is one to begin.

        Args:
            now: seconds, monotonic.
            connection: what the probe says.
            status: the verdict's.
            well_since: since when it has been well; None while it is not.
            paused: the group is.
            cut_off: the broker is, from most of the others.
            can_form: ZooKeeper is there.
            dropped: the others have dropped its node, and it has not started again since.
            mute_since: since when its tools find no node, though it works; monotonic seconds.
            node: what it says of itself while it refuses connections.
            strained: an alarm, or a host that stands still: what looks hung may be slow.

        Returns:
            When to look again (monotonic seconds), if time alone can change the plan.
        """
        if self._tell_formed:
            self._tell_formed = False
            self._on_formed()
        if well_since is not None:
            self._restarts = self._restarts.well(well_since, now)
        if self._was_paused and not paused:
            self._restarts = RestartBackoff()  # an operator was here
        self._was_paused = paused
        self._patience.cut_off(now, status, so=cut_off)
        self._patience.seen(now, status, node, connection, self.watched_since, self._boot_timeout)
        process = self._process or BrokerProcess(None)
        self._stillness.look(now, process.pid, hangs=status is MemberStatus.HUNG)
        if process.running is None and status in _AWAY:
            self._formed = False  # it may come back without what it had
        planned = plan(
            Supervised(
                can_start=self._driver.can_start,
                can_kill=self._driver.can_kill,
                running=process.running,
                status=status,
                busy=self._job is not None,
                paused=paused,
                cut_off=cut_off,
                dropped=dropped,
                mute_since=mute_since,
                answers=connection.since(self.watched_since).answers,
                been_up=self._been_up,
                formed=self._formed,
                can_form=can_form,
                watched_since=self.watched_since,
                node=node,
                start_due=self._restarts.due,
                kill_due=self._kill_due,
                hung_since=self._patience.hung_since,
                still_since=self._stillness.since,
                split_since=self._patience.split_since,
                starves_since=self._patience.starves_since,
                resumes_since=self._patience.resumes_since,
                denied_since=self._patience.denied_since,
                only_new=connection.failure is ConnectFailure.SILENT,
                strained=strained,
                recent_kills=self._patience.recent_kills(now),
                resume_kills=self._patience.recent_kills(now, resuming=True),
                boots_until=self._patience.boots_until,
                rejoins_until=self._patience.rejoins_until,
                form_due=self._form_due,
            ),
            now,
            boot_timeout=self._boot_timeout,
        )
        self._begin(planned)
        return planned.look_again

    @property
    def process(self) -> str | None:
        """Tells the broker's process from any other that there has been; None when that cannot be told."""
        process = self._process
        return None if process is None or process.running is False else process.identity

    @property
    def restartable(self) -> bool:
        """Whether this agent can restart the broker."""
        return self._driver.can_start

    def restart(self, timeout: float) -> bool:
        """Have the broker end in order and be started again; returns at once.

        Args:
            timeout: seconds until it is ended by force.

        Returns:
            False if another step is under way, or the driver has no means to.
        """
        driver = self._driver
        if self._job is not None or not driver.can_start:
            return False
        if self._process is not None and self._process.running is False:
            self._restarts = RestartBackoff()  # the next turn starts it
            return True
        self._asked_to_end = True
        if driver.can_stop:
            self._run(Step.RESTART, lambda: driver.stop(timeout))
        else:
            self._run(Step.RESTART, lambda: driver.start("an operator has asked for a restart"))
        return True

    def stop(self, timeout: float) -> None:
        """Stop the broker, by force if need be, if the driver can.

        Args:
            timeout: seconds for an orderly end.
        """
        if not self._driver.can_stop:
            return
        if self._job is not None:
            self._job[1].wait(_JOB_PATIENCE)
        self._driver.stop(timeout)

    # -- inside

    def _begin(self, planned: Plan) -> None:
        driver = self._driver
        if planned.step is Step.START:
            self._run(Step.START, lambda: self._with_leave(planned, driver.start))
            self.started_here = True
        elif planned.step is Step.KILL:
            self._patience.begins(planned)
            self._run(Step.KILL, lambda: self._with_leave(planned, driver.kill))
        elif planned.step is Step.FORM:
            self._run(Step.FORM, self._form)

    def _with_leave(self, planned: Plan, do: Callable[[str], None]) -> None:
        if planned.takes_down:
            self._permit(planned)
            LOG.warning("killing the broker: %s", planned.reason)
        do(planned.reason)

    def _run(self, step: Step, work: Callable[[], object]) -> None:
        self._job = (step, self._launch(step.value, work, self._wake))

    def _collect(self, now: float) -> None:
        if self._job is None or not self._job[1].done:
            return
        (step, job), self._job = self._job, None
        self.settled_since = now
        failure = job.failure
        if self._patience.postponed(failure):
            self._kill_due = now + POSTPONED
            return
        if step is Step.KILL and failure is None:
            self._patience.killed(now)
        if step in (Step.KILL, Step.START):
            # What was brought about may be seen a moment later, or never by this driver.
            self._kill_due = now + AGAIN_PAUSE
        if step is Step.FORM:
            self._formation_ended(now, failure)
        elif failure is None:
            self._spawned = step is Step.START
        else:
            LOG.error("%s", failure)
            if step is Step.START:
                if isinstance(failure, ConfigurationError) and not self._been_up:
                    raise failure
                self._start_problem = str(failure)
                self._died(now)

    def _formation_ended(self, now: float, failure: RabbitKeeperError | None) -> None:
        if failure is None:
            self._formed, self._form_problem = True, None
            self._tell_formed = True
            return
        refused = isinstance(failure, FormationRefused)
        self._form_due = now + (REFUSED_PAUSE if refused else FAILED_PAUSE)
        if self._form_problem != str(failure):
            LOG.log(logging.ERROR if refused else logging.WARNING, "not in the cluster: %s", failure)
        self._form_problem = str(failure)

    def _observe(self, now: float) -> None:
        process = self._process = self._driver.observe()
        if process.running is None and process.identity is None:
            return  # it cannot be told: what was known may be so still
        before, self._known = self._known, process
        was_there = before is not None and before.running is not False
        if process.running is not False and not (was_there and _same(before, process)):
            self._adopted = before is None
            if not self._adopted:
                self.watched_since = now
            elif process.running:
                LOG.info("the broker is running already, as process %s: it is adopted", process.pid)
            self._been_up = self._formed = False
            self._form_due, self._form_problem = 0.0, None
            if was_there:
                self._ended(now, process)
        elif process.running is False and (self._spawned or was_there):
            self._formed = False
            self._ended(now, process)
        self._spawned = False

    def _ended(self, now: float, process: BrokerProcess) -> None:
        """The process that was there is gone; ``process`` is what is seen instead."""
        if self._asked_to_end:
            LOG.info("the broker has ended, as was asked for")
            self._restarts, self._asked_to_end = RestartBackoff(), False
            return
        self._ends += 1
        if process.running is False:
            self._say_how_it_ended(process)
        elif process.running:
            LOG.warning("the broker has ended, and something else has started it again")
        self._died(now)

    def _say_how_it_ended(self, process: BrokerProcess) -> None:
        LOG.warning("the broker has ended: %s", process.exited or "it is not known how")
        if not self._been_up and process.log_tail:
            LOG.warning("its log: %s", " | ".join(telling(process.log_tail)))

    def _died(self, now: float) -> None:
        self._restarts = self._restarts.died(now, self._draw(), self._restart_limit)
        if self._restarts.given_up:
            LOG.error("the broker is %s", given_up(self._restart_limit))
        elif self._restarts.due > now:
            LOG.info("starting the broker again in %.1f s", self._restarts.due - now)

    def _phase(self, answered: bool) -> str | None:
        if self._job is not None:
            return _PHASES.get(self._job[0])
        running = self._process is not None and self._process.running
        if running and not (self._been_up or answered or self._adopted):
            return BOOTING
        return None

    def _process_facts(self) -> ProcessFacts:
        process = self._process
        if process is None:
            return ProcessFacts()
        facts = ProcessFacts(process.running, process.since, process.exited, self._start_problem)
        if process.running is False and self._restarts.given_up:
            return replace(
                facts, given_up=given_up(self._restart_limit), last_lines=telling(process.log_tail)
            )
        return facts


def _same(before: BrokerProcess | None, process: BrokerProcess) -> bool:
    """Whether it is the process that it was."""
    return before is not None and (before.identity, before.pid) == (process.identity, process.pid)
