"""The passwords of the demo in containers: a file for each, made once.

Compose mounts them into the containers, which can be read-only then: a secret from an environment variable is
copied into a container's own files. A mounted file keeps its owner and mode, and the containers have other
users; so everybody may read the files, which lie in a folder that is for its owner alone.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path

from rabbitkeeper.coordinator.connect import writer_name

APPLICATION = "app_password"
AGENTS_IDENTITY = "zookeeper_agents"  # USER:PASSWORD, as --zookeeper-auth takes it
CLIENTS_IDENTITY = "zookeeper_clients"
READERS = "zookeeper_readers"  # as zookeeper.readers names the clients: no secret, but made from one


def load(folder: Path) -> Mapping[str, str]:
    """What is in the files, by name; make the folder and the files that are missing first.

    Raises:
        OSError: they cannot be written or read.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    known = {name: _kept(folder / name, made) for name, made in _new().items()}
    user, _, password = known[CLIENTS_IDENTITY].partition(":")
    _write(folder / READERS, writer_name((user, password)))
    return known


def _new() -> dict[str, str]:
    def password() -> str:
        return secrets.token_hex(16).upper()

    return {
        "agent_password": password(),
        APPLICATION: password(),
        "erlang_cookie": password(),
        AGENTS_IDENTITY: f"agents:{password()}",
        CLIENTS_IDENTITY: f"clients:{password()}",
    }


def _kept(file: Path, made: str) -> str:
    if not file.exists():
        _write(file, made)
    return file.read_text().strip()


def _write(file: Path, text: str) -> None:
    new = file.with_name(file.name + ".new")
    new.write_text(text)
    new.chmod(0o444)
    new.replace(file)
