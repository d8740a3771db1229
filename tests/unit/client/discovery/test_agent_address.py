"""Addresses of agents and the token for them: what is taken, and what is refused without showing a secret."""

import pytest

from rabbitkeeper.client.discovery.agent_address import AgentAddress, check_agents, check_token
from rabbitkeeper.client.model.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("https://mq1:8008", AgentAddress(True, "mq1", 8008), "https://mq1:8008"),
        ("http://mq1", AgentAddress(False, "mq1", 80), "http://mq1:80"),
        ("HTTPS://MQ1/", AgentAddress(True, "mq1", 443), "https://mq1:443"),
        ("http://[fd00::1]:8008", AgentAddress(False, "fd00::1", 8008), "http://[fd00::1]:8008"),
        ("https://gw/mq/1/", AgentAddress(True, "gw", 443, "/mq/1"), "https://gw:443/mq/1"),
    ],
)
def test_an_address_is_scheme_host_port_and_path(text: str, address: AgentAddress, shown: str) -> None:
    (found,) = check_agents([text])
    assert found == address
    assert str(found) == shown


def test_an_address_that_is_given_twice_counts_once() -> None:
    assert len(check_agents(iter(["http://a:1", "http://b:1", "http://a:1/"]))) == 2


@pytest.mark.parametrize(
    "text",
    [
        "mq1:8008", "ftp://mq1", "https://", "https://:8008", "https://mq1:0", "https://mq1:99999",
        "https://mq1:x", "https://[fd00::1", "https://mq1/a b", "https://mq1\r\nX: y", "https://mq1/\u00fc",
        "https://m\u00fc1", "", 7, None, b"https://mq1", "https://" + "a" * 2000,
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: object) -> None:
    with pytest.raises(InvalidArgument, match="agents"):
        check_agents([text])


@pytest.mark.parametrize("agents", ["https://mq1:8008", b"x", 7, None, []])
def test_agents_are_a_list_of_one_or_more(agents: object) -> None:
    with pytest.raises(InvalidArgument, match="agents"):
        check_agents(agents)


@pytest.mark.parametrize("text", ["https://ann:geheim@mq1", "https://mq1/?token=geheim", "http://a/#geheim"])
def test_an_address_that_may_hold_a_secret_is_not_shown(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_agents([text])
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "token", ["", "geheim\r\nX: y", "geheim\x00", " geheim", "geheim ", "gehe\u00efm", 7]
)
def test_a_token_that_does_not_fit_into_a_header_is_refused_and_not_shown(token: object) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_token(token)
    assert "gehe" not in str(caught.value)


def test_a_token_is_taken_as_it_is() -> None:
    assert check_token(None) is None
    assert check_token("a.b-c~d_e") == "a.b-c~d_e"
