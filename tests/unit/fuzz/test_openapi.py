"""The API against its own description, by schemathesis: every documented operation, with inputs made up."""

import os
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from support.effort import examples
from support.fuzz.targets import MEANT, TOKEN, api

SECONDS = float(os.environ.get("RABBITKEEPER_FUZZ", "0"))

schema = schemathesis.openapi.from_asgi("/openapi.json", api().app).exclude(
    path="/events"
)  # goes on for ever


@schema.parametrize()
@settings(
    max_examples=examples(40) if not SECONDS else int(SECONDS) * 20,
    deadline=None,
    derandomize=not SECONDS,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_is_meant(case: schemathesis.Case[Any]) -> None:
    answer = case.call(headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code in MEANT, answer.text
    if answer.status_code < 500:
        case.validate_response(answer, checks=[not_a_server_error])
    if case.path != "/metrics":
        assert isinstance(answer.json(), dict)
