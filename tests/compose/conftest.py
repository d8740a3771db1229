"""What the tests of the demo in containers need: a Docker engine."""

import docker
import docker.errors
import pytest


@pytest.fixture(scope="session")
def engine() -> None:
    """Docker and its Compose; without them a test is skipped."""
    try:
        client = docker.from_env(timeout=30)
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"needs Docker: {error}")
    client.close()
