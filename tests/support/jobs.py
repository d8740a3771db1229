"""Jobs in place of threads: done on the spot, done in virtual time, or done when the test says so."""

from collections.abc import Callable

from simulation.world import Crashed, World

from rabbitkeeper.coordinator.model.errors import RabbitKeeperError


class Done:
    """A job done on the spot."""

    done = True

    def __init__(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> None:
        self.failure: RabbitKeeperError | None = None
        try:
            work()
        except RabbitKeeperError as error:
            self.failure = error
        wake()

    def wait(self, timeout: float) -> bool:
        return True


class Later:
    """A job done a little later, as by a thread of its own; unless the agent has ended by then.

    While the agent's process is suspended it waits.
    """

    def __init__(
        self,
        world: World,
        alive: Callable[[], bool],
        work: Callable[[], object],
        wake: Callable[[], None],
        takes: float = 0.01,
        suspended: Callable[[], bool] = lambda: False,
    ) -> None:
        self.done = False
        self.failure: RabbitKeeperError | None = None

        def do() -> None:
            if not alive():
                return
            if suspended():
                world.after(0.1, do)
                return
            try:
                self.failure = Done("", work, lambda: None).failure
            except Crashed:
                return
            self.done = True
            wake()

        world.after(takes, do)

    def wait(self, timeout: float) -> bool:
        return self.done


class Called:
    """A job that is done when the test says so."""

    def __init__(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> None:
        self.done = False
        self.failure: RabbitKeeperError | None = None
        self._work = work

    def end(self) -> None:
        self.failure = Done("", self._work, lambda: None).failure
        self.done = True

    def wait(self, timeout: float) -> bool:
        return self.done
