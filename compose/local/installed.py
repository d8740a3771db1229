"""Where Debian, the RabbitMQ team's packages and the plain archives put the servers; what to do when not."""

import os
import shutil
from pathlib import Path

from rabbitkeeper.compose.local.errors import LocalError

REMEDY = "install the servers with: apt-get install --no-install-recommends rabbitmq-server zookeeper"

_JARS = (Path("/usr/share/java"),)
# What Debian's jar does not name, though its TLS needs it.
_FOR_TLS = ("netty-codec.jar", "netty-all.jar")


def java() -> Path:
    """The Java virtual machine.

    Raises:
        LocalError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None) or shutil.which("java")
    if found is None:
        raise LocalError(f"ZooKeeper needs java, and there is none on the PATH; {REMEDY}")
    return Path(found)


def zookeeper_classpath() -> str:
    """The class path of a ZooKeeper server that logs to its standard error.

    ``ZOOKEEPER_HOME`` names an unpacked archive; else Debian's package is looked for.

    Raises:
        LocalError: ZooKeeper is not installed.
    """
    home = os.environ.get("ZOOKEEPER_HOME")
    if home is not None:
        jars = sorted(Path(home, "lib").glob("*.jar"))
        if not any(jar.name.startswith("zookeeper-") for jar in jars):
            raise LocalError(f"ZOOKEEPER_HOME={home} has no lib/zookeeper-*.jar; unset it or correct it")
        return ":".join(str(jar) for jar in jars)
    for folder in _JARS:
        jar = folder / "zookeeper.jar"  # its manifest names the jars that it needs
        if jar.exists():
            more = ("slf4j-simple.jar", *_FOR_TLS)
            return ":".join([str(jar), *(str(folder / name) for name in more)])
    raise LocalError(f"there is no zookeeper.jar in {', '.join(map(str, _JARS))}; {REMEDY}")


def epmd() -> Path:
    """Erlang's port mapper.

    Raises:
        LocalError: Erlang is not installed.
    """
    found = shutil.which("epmd")
    if found is None:
        candidates = sorted(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))
        if not candidates:
            raise LocalError(f"RabbitMQ needs Erlang's epmd, and there is none on the PATH; {REMEDY}")
        return candidates[-1]
    return Path(found)


def rabbitmq_server() -> Path:
    """RabbitMQ's own ``rabbitmq-server`` script: not the one in ``/usr/sbin``, which changes the user.

    ``RABBITMQ_HOME`` names an unpacked archive; else the places of the packages and images are looked at.

    Raises:
        LocalError: RabbitMQ is not installed.
    """
    home = os.environ.get("RABBITMQ_HOME")
    if home is not None:
        script = Path(home, "sbin", "rabbitmq-server")
        if not script.exists():
            raise LocalError(f"RABBITMQ_HOME={home} has no sbin/rabbitmq-server; unset it or correct it")
        return script
    candidates = [
        Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),
        Path("/opt/rabbitmq/sbin/rabbitmq-server"),
        *sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"), reverse=True),
    ]
    for script in candidates:
        if script.exists():
            return script
    raise LocalError(f"there is no rabbitmq-server in /usr/lib/rabbitmq or /opt/rabbitmq; {REMEDY}")
