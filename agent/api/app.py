"""The HTTP API as an application: routes to answers, all from the agent's last state.

What load balancers ask for is answered from memory, without ZooKeeper, the broker or the loop. The history
and the operations are read through the store's executor and shown with their age when they cannot be.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from rabbitkeeper.agent.api import answers, requests
from rabbitkeeper.agent.api.answers import Answer, Content
from rabbitkeeper.agent.api.dashboard import add_dashboard
from rabbitkeeper.agent.api.metrics import CONTENT_TYPE, Metrics
from rabbitkeeper.agent.api.refusal import Refusal, WriteAccess, authorize, may_try, read_body
from rabbitkeeper.agent.api.requests import Ask, Asked, OperationRequest, RequestT
from rabbitkeeper.agent.api.store_executor import MISSED, Cache, Known, StoreExecutor
from rabbitkeeper.agent.api.stream import Stream
from rabbitkeeper.agent.model.observation import Traffic
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.agent.runtime.limited_log import LimitedLog
from rabbitkeeper.coordinator.model.records import OperationEntry
from rabbitkeeper.coordinator.operations.log import read_operations
from rabbitkeeper.coordinator.operations.service import OperationService, Submitted
from rabbitkeeper.coordinator.store.store import Store

LOG = logging.getLogger("rabbitkeeper.agent.api")

OperationsLog = Cache[tuple[OperationEntry, ...]]

_MEMBER = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_SHOWN = 100  # characters of what a stranger has sent, in the log
_ENTRIES = 100  # that are shown unless another number is asked for
_CHECKS = ["GET", "HEAD", "OPTIONS"]  # OPTIONS is what HAProxy sends unless it is told otherwise


@dataclass(frozen=True, slots=True)
class Sources:
    """What the API tells of, and through what it asks.

    Attributes:
        board: the agent's state.
        store: makes a store for a thread.
        member: the member's name.
        access: what operations need now.
        version: the agent's.
        metrics: for Prometheus.
        stream: for those who listen to events.
        zookeeper: the servers' addresses, as they are configured.
        traffic: what the cluster has carried, the newest last, each with its time by ``clock``.
        clock: monotonic seconds.
        wall: seconds since 1970.
    """

    board: Board
    store: Callable[[], Store]
    member: str
    access: Callable[[], WriteAccess]
    version: str
    metrics: Metrics
    stream: Stream
    zookeeper: tuple[str, ...] = ()
    traffic: Callable[[], tuple[tuple[float, Traffic], ...]] = tuple
    clock: Callable[[], float] = monotonic
    wall: Callable[[], float] = time.time


def build(sources: Sources) -> FastAPI:
    """The application over ``sources``."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        sources.stream.bind()
        yield

    log_refused = LimitedLog(LOG, clock=sources.clock)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)  # noqa: S101 - what it is registered for
        sources.metrics.refused(error.status)
        log_refused.warning(
            str(error.status),
            "%s %s of %s is refused (%d): %s",
            request.method[:_SHOWN],
            request.url.path[:_SHOWN],
            _host(request),
            error.status,
            error.reason,
        )
        return error.response()

    app = FastAPI(
        title="RabbitKeeper agent",
        version=sources.version,
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        # A redirect from /leader/ to /leader would pass for health with whoever takes 3xx for it.
        redirect_slashes=False,
    )
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, _not_found)
    executor = StoreExecutor(sources.store)
    log = Cache(executor, read_operations, sources.clock)
    _add_checks(app, sources)
    _add_group(app, sources, executor)
    _add_log(app, log)
    _add_watching(app, sources)
    _add_operations(app, sources, executor, log)
    add_dashboard(
        app,
        member=sources.member,
        version=sources.version,
        group=lambda: _group(sources)[1],
        health=lambda: _health(sources)[1],
    )
    return app


def _add_checks(app: FastAPI, sources: Sources) -> None:
    board, clock = sources.board, sources.clock

    def check(path: str, answer: Callable[[Request], Answer], summary: str) -> None:
        async def respond(request: Request) -> Response:
            status, content = answer(request)
            return JSONResponse(content, status)

        app.add_api_route(path, respond, summary=summary, name=path.strip("/"))
        app.add_api_route(path, respond, methods=_CHECKS[1:], include_in_schema=False)

    def leader(request: Request) -> Answer:
        hold = _is_yes(request.query_params.get("hold", ""))
        return answers.leader(board.current, clock(), board.silent, hold=hold, waiting=board.waiting)

    check("/leader", leader, "200 while this member leads and its broker serves clients")
    check(
        "/replica",
        lambda _: answers.replica(board.state, board.silent, board.waiting),
        "200 while it serves and does not",
    )
    check("/live", lambda _: answers.live(board.silent), "200 while the agent's loop comes round")
    check(
        "/ready",
        lambda _: answers.ready(board.state, board.silent, board.waiting),
        "200 while the broker serves clients",
    )
    check("/health", lambda _: _health(sources), "everything about this agent")


def _add_group(app: FastAPI, sources: Sources, executor: StoreExecutor) -> None:
    history = Cache(executor, lambda store: store.history(), sources.clock)

    @app.get("/group", summary="the group as this agent has read it last")
    async def show_group() -> Response:
        status, content = _group(sources)
        return JSONResponse(content, status)

    @app.get("/traffic", summary="what the cluster carries, by RabbitMQ's management API, oldest first")
    async def show_traffic() -> Response:
        return JSONResponse(answers.traffic(sources.traffic(), sources.clock()))

    @app.get("/history", summary="the changes of the lead, oldest first")
    async def show_history(last: str = "") -> Response:
        known = await history.get()
        entries = [entry.model_dump(mode="json", by_alias=True) for entry in known.value[-_count(last) :]]
        return JSONResponse(_aged(known, entries))


def _add_log(app: FastAPI, log: OperationsLog) -> None:
    @app.get("/operations", summary="what operators have asked for, oldest first")
    async def show_operations(last: str = "") -> Response:
        known = await log.get()
        return JSONResponse(_aged(known, [_entry(entry) for entry in known.value[-_count(last) :]]))

    @app.get("/operations/{operation}", summary="what has become of one operation")
    async def show_operation(operation: str) -> Response:
        known = await log.get()
        found = next((entry for entry in known.value if entry.id == operation), None)
        if found is None:  # asked for elsewhere, a moment ago, maybe
            known = await log.get(MISSED)
            found = next((entry for entry in known.value if entry.id == operation), None)
        if found is None:
            raise Refusal(404, f"no operation {operation!r} is in the log")
        return JSONResponse({**_entry(found), "age": round(known.age, 3), "problem": known.problem})


def _add_watching(app: FastAPI, sources: Sources) -> None:
    @app.get("/metrics", summary="for Prometheus")
    async def metrics() -> Response:
        return Response(sources.metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/events", summary="what happens, as server-sent events")
    async def events(request: Request, last: str = "", group: str = "") -> Response:
        before = _count(last) if last else 0
        heard = request.headers.get("last-event-id", "")
        group_at = sources.clock() if _is_yes(group) else None
        return sources.stream.response(sources.board.current, heard, before, group_at=group_at)


def _add_operations(app: FastAPI, sources: Sources, executor: StoreExecutor, log: OperationsLog) -> None:
    def operation(path: str, kind: type[RequestT], ask: Ask[RequestT], summary: str) -> None:
        async def respond(request: Request) -> Response:
            access = sources.access()
            trial = may_try(request, access)
            if not trial:
                authorize(request, access)
            asked = await _asked(request, kind, access)
            if not asked.dry_run:
                authorize(request, access)
            whose = Asked(by=_sender(request, asked), member=request.path_params.get("name", sources.member))
            carry_out = executor.dry_run if trial else executor.write
            submitted = await carry_out(lambda store: ask(OperationService(store), asked, whose))
            if not asked.dry_run:
                log.forget()
            return _accepted(submitted, dry_run=asked.dry_run)

        described: Content = {
            "requestBody": {"content": {"application/json": {"schema": kind.model_json_schema()}}}
        }
        if "{name}" in path:
            described["parameters"] = [_MEMBER]
        app.add_api_route(
            path,
            respond,
            methods=["POST"],
            status_code=202,
            summary=summary,
            openapi_extra=described,
        )

    operation("/switchover", requests.SwitchoverRequest, requests.switchover, "move the lead")
    operation("/failover", requests.FailoverRequest, requests.failover, "give the lead to a member")
    operation("/pause", OperationRequest, requests.pause, "no automatic failover until /resume")
    operation("/resume", OperationRequest, requests.resume, "end the pause")
    operation("/restart", requests.RestartRequest, requests.restart, "restart a member's broker")
    operation(
        "/rolling-restart",
        requests.RollingRestartRequest,
        requests.rolling_restart,
        "restart all brokers, one after the other",
    )
    operation("/members/{name}/remove", OperationRequest, requests.remove, "have a gone member forgotten")

    @app.post("/operations/{operation}/cancel", summary="end an operation that is pending or under way")
    async def cancel(request: Request, operation: str) -> Response:
        authorize(request, sources.access())
        asked = requests.parse(OperationRequest, await read_body(request))
        by = _sender(request, asked)
        if asked.dry_run:
            raise Refusal(422, "dry_run is not known here: a cancellation cannot be tried")
        entry = await executor.write(
            lambda store: OperationService(store).cancel(operation, by=by, reason=asked.reason)
        )
        log.forget()
        return JSONResponse(_entry(entry))


def _group(sources: Sources) -> Answer:
    board = sources.board
    return answers.group(board.current, sources.clock(), board.silent, board.waiting)


def _health(sources: Sources) -> Answer:
    board = sources.board
    return answers.health(
        board.current,
        sources.clock(),
        sources.wall(),
        board.silent,
        operations=sources.access().token is not None,
        zookeeper=sources.zookeeper,
        waiting=board.waiting,
    )


async def _asked(request: Request, kind: type[RequestT], access: WriteAccess) -> RequestT:
    """What is asked for; who may ask for nothing is not told what is wrong with it."""
    try:
        return requests.parse(kind, await read_body(request))
    except Refusal:
        authorize(request, access)
        raise


def _accepted(submitted: Submitted, *, dry_run: bool) -> Response:
    entry = submitted.entry
    content: Content = {
        **_entry(entry),
        "sentence": submitted.sentence,
        "warnings": list(submitted.warnings),
        "dry_run": dry_run,
    }
    if dry_run:
        return JSONResponse({**content, "id": None, "state": None}, 200)
    about = {"operation_id": entry.id}
    LOG.info("%s %s asked for by %s: %s", entry.kind, entry.id, entry.by, submitted.sentence, extra=about)
    return JSONResponse(content, 202, {"Location": f"/operations/{entry.id}"})


async def _not_found(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    reason = "there is nothing here; GET / lists what there is" if error.status_code == 404 else error.detail
    return JSONResponse({"reason": reason}, error.status_code, dict(error.headers or {}))


def _sender(request: Request, asked: OperationRequest) -> str:
    """Who asks, for the record: as they say, and always from where."""
    where = f"HTTP API ({_host(request)})"
    return where if asked.by is None else f"{asked.by}, {where}"


def _host(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"


def _entry(entry: OperationEntry) -> Content:
    return entry.model_dump(mode="json")


def _aged(known: Known[object], entries: list[Content]) -> Content:
    return {"age": round(known.age, 3), "problem": known.problem, "entries": entries}


def _is_yes(text: str) -> bool:
    return text.lower() in ("1", "true", "yes")


def _count(text: str) -> int:
    """How many entries are asked for."""
    if not text:
        return _ENTRIES
    number = requests.whole_number(text)
    if not number:
        raise Refusal(422, f"last ({text[:_SHOWN]!r}) must be a whole number, at least 1")
    return number
