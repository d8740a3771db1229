"""How many file descriptors the process may have: as many as it may ask for and has a use for."""

import contextlib
import resource

# Enough for the broker as well, which inherits it as the agent's child; Erlang's tables grow with the limit.
WANTED = 65536


def raise_limit() -> None:
    """Raise the soft limit towards the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it: what holds goes on holding
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limit() -> int:
    """The limit that holds."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return WANTED if soft == resource.RLIM_INFINITY else soft
