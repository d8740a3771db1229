"""The file ``.env`` that compose.yaml is filled in from, and the passwords beside it: made once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rabbitkeeper.compose.containers import secret_files
from rabbitkeeper.compose.containers.errors import DemoError

AGENTS = ("separate", "inside")
PROMETHEUS = "prometheus"  # the profile that adds one

# What is made when the file is. Each can be changed there, or given in the environment, which is stronger.
_DEFAULTS = {
    "COMPOSE_PROFILES": "separate",
    "RABBITKEEPER_SUITE": "trixie",
    "RABBITKEEPER_BROKER_FROM": "broker-debian",
    "RABBITKEEPER_BIND": "127.0.0.1",
    "RABBITKEEPER_AMQP_PORT": "5672",
    "RABBITKEEPER_MANAGEMENT_PORT": "15672",
    "RABBITKEEPER_API_PORT": "8080",
}
_PORTS = ("RABBITKEEPER_AMQP_PORT", "RABBITKEEPER_MANAGEMENT_PORT", "RABBITKEEPER_API_PORT")


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """What compose.yaml is filled in with.

    Args:
        file: where it is kept.
        values: by name.
        secrets: by name, as ``secret_files`` has them. Not for a log.
    """

    file: Path
    values: Mapping[str, str]
    secrets: Mapping[str, str]

    @classmethod
    def load(cls, file: Path, given: Mapping[str, str] | None = None) -> "Settings":
        """Read the file and the secrets in the folder ``secrets`` beside it; make what is missing first.

        Args:
            file: where it is or will be.
            given: stronger than the file, as the environment is for Compose. None: the environment.

        Raises:
            DemoError: it cannot be written, or holds what cannot be understood.
        """
        given = os.environ if given is None else given
        try:
            known = _read(file)
            made = {name: value for name, value in _DEFAULTS.items() if name not in known}
            if made:
                _write(file, known, made)
            secrets = secret_files.load(_secrets_folder(file))
        except OSError as error:
            raise DemoError(
                f"{file} cannot be written: {error.strerror}; run the demo in a clone of your own"
            ) from None
        values = {**made, **known}
        values.update({name: given[name] for name in values if given.get(name)})
        settings = cls(file, values, secrets)
        settings._check()
        return settings

    @property
    def agents(self) -> str:
        """Where the agents run: ``separate`` or ``inside``."""
        return next(profile for profile in self._profiles if profile in AGENTS)

    @property
    def _profiles(self) -> list[str]:
        return [profile.strip() for profile in self.values["COMPOSE_PROFILES"].split(",")]

    @property
    def bind(self) -> str:
        """The address that the published ports are bound to."""
        return self.values["RABBITKEEPER_BIND"]

    @property
    def ports(self) -> dict[str, int]:
        """The published ports by the name of their setting: AMQP, management, API."""
        return {name: int(self.values[name]) for name in _PORTS}

    @property
    def application(self) -> tuple[str, str]:
        """The application's user and password."""
        return "app", self.secrets[secret_files.APPLICATION]

    @property
    def environment(self) -> dict[str, str]:
        """What Compose is given: nothing of it is secret."""
        return {**self.values, "RABBITKEEPER_SECRETS": str(_secrets_folder(self.file))}

    def url(self, port: str) -> str:
        """The address of one of the published pages: ``API`` or ``MANAGEMENT``."""
        host = "localhost" if self.bind in ("0.0.0.0", "127.0.0.1", "::") else self.bind  # noqa: S104
        return f"http://{host}:{self.values[f'RABBITKEEPER_{port}_PORT']}/"

    def _check(self) -> None:
        chosen = [profile for profile in self._profiles if profile in AGENTS]
        if len(chosen) != 1 or not {*self._profiles} <= {*chosen, PROMETHEUS}:
            raise DemoError(
                f"COMPOSE_PROFILES is {self.values['COMPOSE_PROFILES']!r} in {self.file} or in the "
                f"environment; set it to {' or '.join(AGENTS)}, with ,{PROMETHEUS} behind it for a Prometheus"
            )
        for name in _PORTS:
            value = self.values[name]
            if not value.isdecimal() or not 1 <= int(value) <= 65535:
                raise DemoError(f"{name} is {value!r} in {self.file} or in the environment; give a port")


def _secrets_folder(file: Path) -> Path:
    return file.absolute().with_name("secrets")


def _read(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    lines = [line.strip() for line in file.read_text().splitlines()]
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _write(file: Path, known: Mapping[str, str], made: Mapping[str, str]) -> None:
    new = file.with_name(file.name + ".new")
    lines = ["# Made by `rabbitkeeper demo --docker`.", *(f"{n}={v}" for n, v in {**made, **known}.items())]
    new.write_text("\n".join(lines) + "\n")
    new.replace(file)
