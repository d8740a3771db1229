"""The operations that the API takes: what each request holds, and what it asks the operator for.

All checking of the group is ``coordinator/operations/service.py``'s, as for the command line.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rabbitkeeper.agent.api.refusal import Refusal
from rabbitkeeper.agent.config.file import sentence
from rabbitkeeper.coordinator.operations.service import OperationService, Submitted
from rabbitkeeper.coordinator.operations.submission import LONGEST_BY, LONGEST_REASON

_DIGITS = 18  # of a number: below 2^63

RequestT = TypeVar("RequestT", bound="OperationRequest")


class OperationRequest(BaseModel):
    """What every operation takes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    by: str | None = Field(default=None, min_length=1, max_length=LONGEST_BY)  # who asks, for the record
    reason: str | None = Field(default=None, max_length=LONGEST_REASON)  # why, for the record
    dry_run: bool = False  # check it and change nothing


class SwitchoverRequest(OperationRequest):
    to: str | None = None  # the member; None: the best
    at: str | None = None  # ISO 8601 with a time zone, or +10m; None: now


class FailoverRequest(OperationRequest):
    to: str


class RestartRequest(OperationRequest):
    member: str | None = None  # None: the one whose agent is asked
    force: bool = False  # also if the majority is lost meanwhile


class RollingRestartRequest(OperationRequest):
    force: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came: who sent it, to whom."""

    by: str  # who, and from where
    member: str  # whose agent was asked


# What a request asks the operator for.
Ask = Callable[[OperationService, RequestT, Asked], Submitted]


def parse(kind: type[RequestT], body: bytes) -> RequestT:
    """The request that a body holds; no body is an empty one.

    Raises:
        Refusal: 422, with a sentence for each problem.
    """
    try:
        return kind.model_validate_json(body.strip() or b"{}")
    except ValidationError as error:
        problems = error.errors(include_url=False)
    if problems[0]["type"] == "json_invalid":
        raise Refusal(422, f"the body is not JSON: {problems[0]['ctx']['error']}")
    if not problems[0]["loc"]:
        raise Refusal(422, "the body must be a JSON object")
    raise Refusal(422, "; ".join(sentence(kind, problem) for problem in problems))


def whole_number(text: str) -> int | None:
    """A number in ASCII digits, as many as make sense; None if it is not one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def switchover(operator: OperationService, request: SwitchoverRequest, asked: Asked) -> Submitted:
    return operator.switchover(
        by=asked.by,
        to=request.to,
        at=request.at,
        reason=request.reason,
        dry_run=request.dry_run,
    )


def failover(operator: OperationService, request: FailoverRequest, asked: Asked) -> Submitted:
    return operator.failover(by=asked.by, to=request.to, reason=request.reason, dry_run=request.dry_run)


def pause(operator: OperationService, request: OperationRequest, asked: Asked) -> Submitted:
    return operator.pause(by=asked.by, reason=request.reason, dry_run=request.dry_run)


def resume(operator: OperationService, request: OperationRequest, asked: Asked) -> Submitted:
    return operator.resume(by=asked.by, reason=request.reason, dry_run=request.dry_run)


def restart(operator: OperationService, request: RestartRequest, asked: Asked) -> Submitted:
    return operator.restart(
        request.member or asked.member,
        by=asked.by,
        reason=request.reason,
        force=request.force,
        dry_run=request.dry_run,
    )


def rolling_restart(operator: OperationService, request: RollingRestartRequest, asked: Asked) -> Submitted:
    return operator.rolling_restart(
        by=asked.by, reason=request.reason, force=request.force, dry_run=request.dry_run
    )


def remove(operator: OperationService, request: OperationRequest, asked: Asked) -> Submitted:
    return operator.remove(asked.member, by=asked.by, reason=request.reason, dry_run=request.dry_run)
