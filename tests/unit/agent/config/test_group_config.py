"""The group's configuration over an agent's own: what may be set, what is refused, what comes of it."""

from pathlib import Path

import pytest

from rabbitkeeper.agent.config.agent import AgentConfig
from rabbitkeeper.agent.config.change import changes_between, check, edited, parsed, template, with_values
from rabbitkeeper.agent.config.file import validated
from rabbitkeeper.agent.config.group import GROUP_WIDE, Source, effective_values, overlay, source_of, stand_in
from rabbitkeeper.agent.group.effective_config import EffectiveConfig
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.model.records import (
    GroupConfig,
    MemberRecord,
    MemberStatus,
    TakenConfig,
    Versions,
)
from rabbitkeeper.coordinator.model.view import ConfigView, GroupView, MemberView


def own(**values: object) -> AgentConfig:
    return stand_in("node1", values)


def found(version: int = 1, **settings: object) -> ConfigView:
    return ConfigView(GroupConfig.model_validate(settings), version)


def group_with(**own_values: dict[str, object]) -> GroupView:
    members = {
        name: MemberView(
            MemberRecord(
                name=name,
                instance="1",
                node=f"rabbit@{name}",
                versions=Versions(agent="0.1.0"),
                amqp="h:1",
                state=MemberStatus.RUNNING,
                since="",
                config=TakenConfig(version=0, own=values),
            ),
            0,
            1,
        )
        for name, values in own_values.items()
    }
    return GroupView(0.0, members=members, config=found(0))


def test_every_key_of_the_group_is_a_key_of_an_agents_file() -> None:
    assert set(effective_values(own())) == set(GROUP_WIDE)


def test_the_group_goes_before_the_file_and_that_before_the_defaults() -> None:
    file = {"health.interval": 0.2, "health.fall": 3}
    config = overlay(own(**file), {"health.fall": 2, "health.hung_after": 4.0}, "")
    health = config.health
    assert (health.interval, health.fall, health.hung_after, health.rise) == (0.2, 2, 4.0, 1)
    sources = {key: source_of(key, {"health.fall": 2}, file) for key in GROUP_WIDE}
    assert sources["health.fall"] is Source.GROUP
    assert sources["health.interval"] is Source.FILE
    assert sources["health.rise"] is Source.DEFAULT


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"health.hung_after": 0.1}, "health.hung_after is 0.1 s, shorter than health.interval (0.5 s)"),
        ({"watchdog.timeout": 9.0}, "watchdog.timeout is 9 s, not shorter than the 5.5 s"),
        ({"zookeeper.session_timeout": 1.0}, "zookeeper.session_timeout (1.0) must be at least 3"),
        ({"health.fall": "many"}, "health.fall ('many') must be a whole number"),
        ({"failback.after": True}, "failback.after (True) must be a number"),
        ({"log.level": "loud"}, "log.level ('loud') must be"),
    ],
)
def test_what_contradicts_is_refused_with_key_value_and_arithmetic(
    values: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        overlay(own(), values, "group configuration, version 7")
    assert says in str(refused.value)
    assert str(refused.value).startswith("group configuration, version 7: ")


def test_what_a_file_says_of_a_section_besides_stays_secrets_and_all(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    auth = {"username": "agents", "password_file": str(tmp_path / "secret")}
    settings = {
        "group": "orders",
        "name": "node1",
        "zookeeper": {"hosts": "zk1:2181", "auth": auth, "readers": ["ip:10.0.0.1"]},
        "broker": {"driver": "external", "node": "rabbit@h", "amqp": {"username": "rk", "password": "x"}},
    }
    mine = validated(AgentConfig, settings, source=tmp_path / "agent.yml")
    changed = overlay(mine, {"zookeeper.session_timeout": 8.0}, "").zookeeper
    assert changed == mine.zookeeper.model_copy(update={"session_timeout": 8.0})
    assert changed.auth is not None
    assert changed.auth.identity == ("agents", "s3cret")


# -- what an agent makes of it


def test_an_agent_takes_what_is_valid_and_says_which_version() -> None:
    settings = EffectiveConfig(own())
    before = settings.run()
    settings.take(found(3, health={"hung_after": 4.0}, later={"unknown": 1}), None)
    assert settings.effective is not before
    assert settings.effective.health.hung_after == 4.0
    assert settings.taken == TakenConfig(version=3)


@pytest.mark.parametrize(
    ("config", "unreadable", "why"),
    [
        (None, "/config does not hold a GroupConfig", "does not hold a GroupConfig"),
        (None, None, "deleted"),
        (found(4, health={"hung_after": 0.1}), None, "hung_after is 0.1 s, shorter than health.interval"),
        (found(4, health=5), None, "health must be a mapping"),
    ],
)
def test_what_is_not_valid_changes_nothing_and_is_told(
    config: ConfigView | None, unreadable: str | None, why: str
) -> None:
    settings = EffectiveConfig(own())
    settings.run()
    settings.take(found(3, health={"hung_after": 4.0}), None)
    before = settings.effective
    settings.take(config, unreadable)
    assert settings.effective is before
    assert settings.taken.version == 3
    assert settings.taken.problem is not None
    assert settings.taken.problem.startswith("goes on with version 3: ")
    assert why in settings.taken.problem
    settings.take(found(5, health={"hung_after": 4.0}), None)
    assert (settings.taken.version, settings.taken.problem) == (5, None)
    assert settings.effective is before, "nothing is different"


def test_decisions_are_made_on_the_last_valid_configuration() -> None:
    settings = EffectiveConfig(own())
    settings.run()
    good = GroupView(0.0, config=found(1, preferred_site="a"))
    assert settings.see(good).config == good.config
    seen = settings.see(GroupView(1.0, config_unreadable="no JSON"))
    assert seen.config == good.config
    seen = settings.see(GroupView(2.0, config=found(2, preferred_site="b", health={"interval": -1.0})))
    assert seen.config == good.config


def test_a_preferred_site_of_the_file_counts_too() -> None:
    settings = EffectiveConfig(own(preferred_site="b"))
    settings.run()
    seen = settings.see(GroupView(0.0, config=found(1)))
    assert seen.config is not None
    assert seen.config.record.preferred_site == "b"


def test_what_needs_a_restart_waits_for_it_and_the_rest_must_agree_with_what_runs() -> None:
    settings = EffectiveConfig(own())
    settings.run()
    settings.take(found(1, zookeeper={"session_timeout": 12.0}, health={"fall": 2}), None)
    assert settings.taken.restart_pending == ("zookeeper.session_timeout",)
    assert settings.effective.zookeeper.session_timeout == 6.0
    assert settings.effective.health.fall == 2
    settings.take(found(2, zookeeper={"session_timeout": 12.0}, watchdog={"timeout": 8.0}), None)
    assert "not shorter than the 5.5 s" in (settings.taken.problem or "")
    settings.take(found(3), None)
    assert settings.taken.restart_pending == ()


def test_a_run_that_begins_with_it_has_no_restart_pending() -> None:
    settings = EffectiveConfig(own())
    config = found(1, zookeeper={"session_timeout": 12.0}, watchdog={"timeout": 8.0})
    settings.take(config, None)
    assert settings.run().zookeeper.session_timeout == 12.0
    settings.take(ConfigView(config.record, 2), None)
    assert (settings.taken.restart_pending, settings.taken.problem) == ((), None)
    assert settings.effective.watchdog_timeout == 8.0


# -- what the command makes of it


def test_keys_are_set_and_removed_and_all_others_kept() -> None:
    before = GroupConfig.model_validate({"health": {"fall": 2, "later": 1}, "new.er": {"x": [1]}})
    after = with_values(before, {"health.fall": None, "health.rise": 3, "failback.after": 60})
    assert after.settings == {
        "health": {"later": 1, "rise": 3},
        "new.er": {"x": [1]},
        "failback": {"after": 60},
    }
    assert [str(change) for change in changes_between(before, after)] == [
        "failback.after: not set → 60",
        "health.fall: 2 → not set",
        "health.rise: not set → 3",
    ]
    assert with_values(after, {"health.later": None, "health.rise": None}).settings.keys() == {
        "new.er",
        "failback",
    }


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("health.hang_after", "did you mean health.hung_after"),
        ("hung_after", "did you mean health.hung_after"),
        ("broker.node", "each agent's own"),
        ("tags.priority", "each agent's own"),
        ("health", "each agent's own"),
        ("mode", "fixed when a group begins"),
        ("nonsense", "can be set: preferred_site"),
    ],
)
def test_keys_that_the_group_does_not_set_are_refused(key: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        with_values(None, {key: 1})


def test_values_are_yaml_and_single() -> None:
    assert parsed("health.fall=2") == ("health.fall", 2)
    assert parsed("preferred_site=north=1") == ("preferred_site", "north=1")
    assert parsed("failback.after=null") == ("failback.after", None)
    for wrong in ("health.fall", "=1", "health={fall: 2}", "health.fall=[", "health.fall=[1]"):
        with pytest.raises(ConfigurationError):
            parsed(wrong)


def test_what_the_editor_begins_with_says_the_same_when_it_is_saved() -> None:
    before = GroupConfig.model_validate({"health": {"fall": 2}, "newer": {"x": None, "y": 1}})
    after = edited(before, template(GroupView(0.0, config=ConfigView(before, 4))))
    assert changes_between(before, after) == () or [c.key for c in changes_between(before, after)] == [
        "newer.x"
    ]
    assert after.settings["newer"] == {"y": 1}


@pytest.mark.parametrize("text", ["- 1", "health: [", "health: {hang_after: 1}", "broker: {node: x@y}", "5"])
def test_what_the_editor_leaves_is_refused_when_it_cannot_be(text: str) -> None:
    with pytest.raises(ConfigurationError):
        edited(None, text)


def test_it_is_checked_beside_what_each_members_file_says() -> None:
    view = group_with(node1={}, node2={"health.interval": 3.0, "health.hung_after": 5.0})
    check(view, with_values(None, {"health.hung_after": 4.0}))
    with pytest.raises(ConfigurationError) as refused:
        check(view, with_values(None, {"health.hung_after": 2.5}))
    assert str(refused.value).startswith("node2, with what its own file says: health.hung_after is 2.5 s")
    with pytest.raises(ConfigurationError) as refused:
        check(view, with_values(None, {"health.hung_after": 0.1}))
    assert str(refused.value).count("\n") <= 1


def test_the_mode_is_the_groups_also_while_its_settings_are_not_taken() -> None:
    another = ConfigView(
        GroupConfig().model_copy(update={"mode": "another"}), 1
    )  # there is only one that is valid
    settings = EffectiveConfig(own())
    assert settings.mode == "cluster"
    settings.take(another, None)
    assert settings.mode == "another"
    settings.take(None, "it is not JSON")
    assert settings.mode == "another"
