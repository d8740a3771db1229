"""What people are told of a broker's last log lines; the logs are RabbitMQ 3.10.8's, shortened."""

from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.agent.broker.log_tail import LENGTH, LINES, telling

UNKNOWN_KEY = """\
2026-11-24 20:39:15+00:00 [error] <0.132.0> You've tried to set no_such_key, but there is no setting.
2026-11-24 20:39:15+00:00 [error] <0.132.0>     log.file
2026-11-24 20:39:15+00:00 [error] <0.132.0> Error preparing configuration in phase transform_datatypes:
2026-11-24 20:39:15+00:00 [error] <0.132.0>   - Conf file attempted to set unknown variable: no_such_key

2026-11-24 20:39:15+00:00 [error] <0.132.0>
2026-11-24 20:39:15+00:00 [error] <0.132.0> BOOT FAILED
2026-11-24 20:39:15+00:00 [error] <0.132.0> ===========
2026-11-24 20:39:15+00:00 [error] <0.132.0> Error during startup: {error,failed_to_prepare_configuration}
2026-11-24 20:39:15+00:00 [error] <0.132.0>
BOOT FAILED
===========
Error during startup: {error,failed_to_prepare_configuration}

2026-11-24 20:39:16+00:00 [error] <0.130.0>     heap_size: 233
Crash dump is being written to: erl_crash.dump...done
"""

PORT_TAKEN = """\
  Starting broker...
BOOT FAILED
===========
Error during startup: {error,
                       {could_not_start_listener,"127.0.0.1",40945,
                        {{shutdown,
                          {failed_to_start_child,

{"init terminating in do_boot",{error,...
Crash dump is being written to: erl_crash.dump...done
"""


def test_a_wrong_setting_is_named() -> None:
    assert telling(UNKNOWN_KEY.splitlines()) == (
        "Error preparing configuration in phase transform_datatypes:",
        "- Conf file attempted to set unknown variable: no_such_key",
        "Error during startup: {error,failed_to_prepare_configuration}",
    )


def test_it_is_the_last_boot_that_counts() -> None:
    lines = [*UNKNOWN_KEY.splitlines(), *UNKNOWN_KEY.replace("no_such_key", "other_key").splitlines()]
    assert telling(lines[8:])[1] == "- Conf file attempted to set unknown variable: other_key"


def test_an_erlang_term_is_put_on_one_line() -> None:
    assert telling(PORT_TAKEN.splitlines()) == (
        'Error during startup: {error, {could_not_start_listener,"127.0.0.1",40945, {{shutdown, '
        "{failed_to_start_child,",
    )


def test_without_a_failed_boot_it_is_the_lines_that_speak_of_a_failure() -> None:
    assert telling(["write failed: no space left", "bye"]) == ("write failed: no space left",)
    assert telling(["one", "two", "three", "", "four"]) == ("two", "three", "four")
    assert telling([]) == ()


def test_what_may_be_a_secret_is_left_out() -> None:
    lines = ["error: default_pass = hunter2", "error: Cookie mismatch XYZ", "error: disk"]
    assert telling(lines) == ("error: disk",)
    assert telling(["BOOT FAILED", "Error during startup: {bad_password,hunter2}"]) == ()


@given(st.lists(st.text(), max_size=50))
def test_it_is_never_much(lines: list[str]) -> None:
    said = telling(lines)
    assert len(said) <= LINES
    assert all(0 < len(line) <= LENGTH + 1 and "\n" not in line for line in said)
