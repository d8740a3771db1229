"""Which process this is, without asking the system each time, which is a system call."""

import os


class _Process:
    """``pid`` is ``os.getpid()``, in a forked child too."""

    def __init__(self) -> None:
        self.look()

    def look(self) -> None:
        self.pid = os.getpid()


this = _Process()
os.register_at_fork(after_in_child=this.look)
