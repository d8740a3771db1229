"""What an agent's probe sees of a simulated broker."""

from dataclasses import dataclass

from rabbitkeeper.agent.model.observation import ConnectionFacts
from simulation.rabbitmq.broker import SimulatedBroker


@dataclass(frozen=True)
class SimulatedProbe:
    """What a probe says of a simulated broker. It needs no thread."""

    broker: SimulatedBroker

    @property
    def facts(self) -> ConnectionFacts:
        return self.broker.facts

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass
