"""What ``--check`` looks at besides the file: all that would keep the agent from running on this host.

Nothing is started, and neither ZooKeeper nor the broker is asked.
"""

import re
from pathlib import Path

from rabbitkeeper.agent.assembly import assemble
from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.effective_config import EffectiveConfig
from rabbitkeeper.coordinator.model.errors import ConfigurationError

UNITS = (Path("/etc/systemd/system"), Path("/usr/lib/systemd/system"))
_NO_NEW = re.compile(r"^\s*NoNewPrivileges\s*=\s*(yes|true|on|1)\s*$", re.MULTILINE | re.IGNORECASE)


def check(path: Path, own: AgentConfig) -> None:
    """Put the agent together as a run would, and look at what surrounds it.

    Args:
        path: the agent's file.
        own: what it says.

    Raises:
        ConfigurationError: a run would be refused.
    """
    assemble(EffectiveConfig(own))
    if own.http.listen is not None:
        from rabbitkeeper.agent.api.tls import server_context  # only now: its libraries cost memory

        server_context(own.http)
    check_privileges(path, own)


def check_privileges(
    path: Path, own: AgentConfig, *, units: tuple[Path, ...] = UNITS, status: Path = Path("/proc/self/status")
) -> None:
    """sudo gives no rights to a process that may have no new ones.

    Args:
        path: the agent's file, by which its unit is found.
        own: what it says.
        units: folders of systemd's units.
        status: of this process.

    Raises:
        ConfigurationError: ``broker.systemd.sudo`` could not work.
    """
    if own.broker.systemd is None or not own.broker.systemd.sudo:
        return
    where = "this process" if _denied_to(status) else _unit_that_denies(path, units)
    if where is not None:
        raise ConfigurationError(
            f"broker.systemd.sudo is true, and {where} has NoNewPrivileges, with which sudo gives no rights: "
            "take sudo out and use a polkit rule, or take NoNewPrivileges out of the agent's unit"
        )


def _denied_to(status: Path) -> bool:
    return "NoNewPrivs:\t1" in _text(status)


def _unit_that_denies(path: Path, units: tuple[Path, ...]) -> str | None:
    for folder in units:
        for unit in sorted(folder.glob("*.service")):
            parts = [unit, *sorted(unit.with_name(f"{unit.name}.d").glob("*.conf"))]
            text = "\n".join(map(_text, parts))
            if str(path.absolute()) in text and _NO_NEW.search(text):
                return str(unit)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
