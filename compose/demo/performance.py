"""One run of the demo on a stage that stands: the scenario, the last deliveries, the report."""

import time
from collections.abc import Sequence
from random import Random

from rabbitkeeper.compose.demo.report import Report
from rabbitkeeper.compose.demo.scenario import AnyStage, Fault, Scenario
from rabbitkeeper.compose.demo.screen import Screen
from rabbitkeeper.compose.demo.stage import Traffic
from rabbitkeeper.compose.demo.timeline import GroupTimeline

DELIVERY_TIMEOUT = 60.0  # seconds for what was confirmed to be delivered in the end


def perform(
    stage: AnyStage,
    faults: Sequence[Fault[AnyStage]],
    traffic: Traffic,
    timeline: GroupTimeline,
    screen: Screen,
    *,
    started: float,
    minutes: float | None = None,
    seed: int | None = None,
) -> Report:
    """Break things, and say what came of it.

    Args:
        stage: what is broken.
        faults: each once on the leader; then, for ``minutes``, any of them at random.
        traffic: running.
        timeline: kept up to date by somebody else.
        screen: where it is shown.
        started: when the demo began, seconds monotonic.
        minutes: None: only each fault once.
        seed: of the random faults.

    Raises:
        RabbitKeeperError: the producer or the consumer ended with an error.
    """
    scenario = Scenario(stage, traffic, timeline, screen.say)
    results = scenario.run(faults)
    if minutes is not None and all(result.whole is not None for result in results):
        screen.say(f"breaking {len(faults)} kinds of things at random for {minutes:g} min, seed {seed}")
        results += scenario.run_random(faults, minutes * 60, Random(seed))
    screen.say("stopping the producer, waiting for the last deliveries")
    lost = traffic.finish(DELIVERY_TIMEOUT)
    return Report(
        faults=tuple(results),
        totals=traffic.totals(),
        lost=tuple(sorted(lost)),
        failures=traffic.failures,
        seconds=time.monotonic() - started,
        seed=seed,
    )
