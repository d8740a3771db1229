"""What must be so before anything is started. Each problem is a sentence that says what to do."""

import re
import shutil
import socket
import subprocess
from typing import Any

import docker
import docker.errors

from rabbitkeeper.compose.containers.errors import DemoError
from rabbitkeeper.compose.containers.settings import Settings

OLDEST_COMPOSE = (2, 20)
LEAST_MEMORY = 2.0  # GB that the engine must have: 0.8 were seen to be used, and what runs takes more in time


def connect() -> Any:
    """A client of the engine that the environment names.

    Raises:
        DemoError: there is none, or it does not let us.
    """
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except docker.errors.DockerException as error:
        said = str(error)
        if "PermissionError" in said or "Permission denied" in said:
            raise DemoError(
                "Docker does not let this user in; join its group (sudo usermod -aG docker $USER, then log "
                "in again) or run this as root"
            ) from None
        raise DemoError(
            "no Docker engine answers; install Docker and start it (sudo systemctl start docker), or set "
            "DOCKER_HOST to where it is. ./dev demo needs no Docker"
        ) from None
    return client


def check_compose() -> None:
    """
    Raises:
        DemoError: Compose is missing or too old.
    """
    wanted = ".".join(map(str, OLDEST_COMPOSE))
    remedy = f"install Compose {wanted} or later: https://docs.docker.com/compose/install/linux/"
    if shutil.which("docker") is None:
        raise DemoError(f"there is no docker command on the PATH; install Docker's command line and {remedy}")
    done = subprocess.run(
        ["docker", "compose", "version", "--short"], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode != 0:
        raise DemoError(f"docker has no compose command (docker-compose with a hyphen is too old); {remedy}")
    check_compose_version(done.stdout)


def check_compose_version(said: str) -> None:
    """
    Raises:
        DemoError: ``said`` names a version that is too old.
    """
    found = re.match(r"v?(\d+)\.(\d+)", said.strip())
    if found is not None and (int(found[1]), int(found[2])) < OLDEST_COMPOSE:
        wanted = ".".join(map(str, OLDEST_COMPOSE))
        raise DemoError(
            f"Compose is {said.strip()}; install {wanted} or later: "
            "https://docs.docker.com/compose/install/linux/"
        )


def check_memory(total: int) -> None:
    """
    Args:
        total: bytes that the engine has.

    Raises:
        DemoError: too little for three ZooKeepers, three brokers and the rest.
    """
    if total < LEAST_MEMORY * 1e9:
        raise DemoError(
            f"the Docker engine has {total / 1e9:.1f} GB of memory and the demo needs {LEAST_MEMORY:g}; "
            "give it more (in Docker Desktop: Settings, Resources)"
        )


def check_ports(settings: Settings) -> None:
    """
    Raises:
        DemoError: a port that would be published is taken.
    """
    for name, port in settings.ports.items():
        family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.bind, port))
            except OSError as error:
                raise DemoError(
                    f"port {port} of {settings.bind} cannot be published: {error.strerror}; end what uses "
                    f"it, or choose another: {name} in {settings.file}"
                ) from None
