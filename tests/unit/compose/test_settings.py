"""The settings of the demo in containers: made once, kept, and checked before anything is started."""

from pathlib import Path

import pytest

from rabbitkeeper.compose.containers import DemoError, Settings
from rabbitkeeper.coordinator.zookeeper.access import digest_id


def test_the_first_load_makes_passwords_that_only_the_owner_reads_and_later_ones_keep_them(
    tmp_path: Path,
) -> None:
    one, two = tmp_path / "one" / ".env", tmp_path / "two" / ".env"
    for file in (one, two):
        file.parent.mkdir()
    first = Settings.load(one, {})
    assert (tmp_path / "one" / "secrets").stat().st_mode & 0o777 == 0o700
    again = Settings.load(one, {})
    assert (again.values, again.secrets) == (first.values, first.secrets)
    other = Settings.load(two, {})
    assert first.application[1] != other.application[1]
    assert first.application[1] not in repr(first)


def test_containers_of_any_user_read_the_files_and_what_compose_is_given_has_no_password(
    tmp_path: Path,
) -> None:
    settings = Settings.load(tmp_path / ".env", {})
    folder = Path(settings.environment["RABBITKEEPER_SECRETS"])
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o444}
    assert not {*settings.secrets.values()} & {*settings.environment.values()}
    assert all(value not in (tmp_path / ".env").read_text() for value in settings.secrets.values())


def test_clients_are_named_to_zookeeper_by_the_hash_of_their_password(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path / ".env", {})
    (tmp_path / "secrets" / "zookeeper_clients").unlink()
    (tmp_path / "secrets" / "zookeeper_clients").write_text("clients:what clients know")
    settings = Settings.load(tmp_path / ".env", {})
    assert settings.secrets["zookeeper_clients"] == "clients:what clients know"
    named = (tmp_path / "secrets" / "zookeeper_readers").read_text()
    assert named == "digest:" + digest_id(("clients", "what clients know"))


def test_what_a_file_lacks_is_added_and_what_it_has_is_kept(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nRABBITKEEPER_API_PORT=9090\n")
    settings = Settings.load(file, {})
    assert settings.ports["RABBITKEEPER_API_PORT"] == 9090
    assert settings.ports["RABBITKEEPER_AMQP_PORT"] == 5672
    assert settings.url("API") == "http://localhost:9090/"


def test_the_environment_is_stronger(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path / ".env", {"COMPOSE_PROFILES": "inside"})
    assert settings.agents == "inside"


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("COMPOSE_PROFILES", "both", "separate or inside"),
        ("COMPOSE_PROFILES", "separate,inside", "separate or inside"),
        ("COMPOSE_PROFILES", "prometheus", "separate or inside"),
        ("RABBITKEEPER_API_PORT", "http", "give a port"),
        ("RABBITKEEPER_AMQP_PORT", "70000", "give a port"),
    ],
)
def test_what_cannot_be_understood_is_named_with_what_would_do(
    tmp_path: Path, name: str, value: str, remedy: str
) -> None:
    with pytest.raises(DemoError, match=f"{name} is '{value}'.*{remedy}"):
        Settings.load(tmp_path / ".env", {name: value})


def test_a_prometheus_can_be_added(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path / ".env", {"COMPOSE_PROFILES": "inside,prometheus"})
    assert settings.agents == "inside"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DemoError, match="cannot be written"):
        Settings.load(tmp_path / "file" / ".env", {})
