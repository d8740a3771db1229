"""The settings of the demo in containers: made once, kept, and checked before anything is started."""

from pathlib import Path

import pytest

from rabbitkeeper.compose.containers import DemoError, Settings


def test_the_first_load_makes_passwords_that_only_the_owner_reads_and_later_ones_keep_them(
    tmp_path: Path,
) -> None:
    file = tmp_path / ".env"
    first = Settings.load(file, {})
    assert file.stat().st_mode & 0o777 == 0o600
    assert Settings.load(file, {}).values == first.values
    other = Settings.load(tmp_path / "other", {})
    assert first.application[1] != other.application[1]
    assert first.application[1] not in repr(first)


def test_what_a_file_lacks_is_added_and_what_it_has_is_kept(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nRABBITKEEPER_API_PORT=9090\n")
    settings = Settings.load(file, {})
    assert settings.ports["RABBITKEEPER_API_PORT"] == 9090
    assert settings.ports["RABBITKEEPER_AMQP_PORT"] == 5672
    assert settings.url("API") == "http://localhost:9090/"


def test_the_environment_is_stronger_but_gives_no_password(tmp_path: Path) -> None:
    given = {"COMPOSE_PROFILES": "inside", "RABBITKEEPER_APP_PASSWORD": "seen in ps"}
    settings = Settings.load(tmp_path / ".env", given)
    assert settings.agents == "inside"
    assert settings.application[1] != "seen in ps"


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
