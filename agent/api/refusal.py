"""What a request is refused with, and who may ask for operations."""

import asyncio
import contextlib
import hmac
from dataclasses import dataclass, field

from fastapi import Request
from fastapi.responses import JSONResponse

BODY_LIMIT = 64 * 1024  # bytes; the largest request that makes sense has a few hundred
BODY_TIMEOUT = 5.0  # seconds for a body to arrive
_DRAIN_LIMIT = 16 * 1024 * 1024  # bytes of a body that is too large which are read and thrown away
_DRAIN_TIMEOUT = 1.0  # seconds
_DIGITS = 18  # of a length that are looked at


class Refusal(Exception):
    """A request that is not carried out.

    Args:
        status: HTTP status code.
        reason: a sentence.
        headers: to go with it.
    """

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers

    def response(self) -> JSONResponse:
        return JSONResponse({"reason": self.reason}, self.status, self.headers)


@dataclass(frozen=True, slots=True)
class WriteAccess:
    """What a changing request needs.

    Attributes:
        token: None: there are no such requests.
        certificate: whether the client must have shown a certificate of ``http.client_ca`` as well.
    """

    token: str | None = field(repr=False)
    certificate: bool = False


def authorize(request: Request, access: WriteAccess) -> None:
    """Let nobody through who has not the token, and a certificate where one is needed.

    Raises:
        Refusal: 403 if no token is configured or a certificate is missing, 401 if another token or none is
            given.
    """
    token = access.token
    if token is None:
        raise Refusal(403, "operations are off: no http.token is configured for this agent")
    if access.certificate and not request.scope.get("state", {}).get("certified", False):
        raise Refusal(403, "operations need a client certificate of the authority in http.client_ca")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    good = hmac.compare_digest(given.strip().encode(), token.encode())
    if scheme.lower() != "bearer" or not good:
        raise Refusal(
            401,
            "operations need the header 'Authorization: Bearer TOKEN' with the http.token of this agent",
            {"WWW-Authenticate": "Bearer"},
        )


def may_try(request: Request, access: WriteAccess) -> bool:
    """Whether a dry run is all that may be asked for: no token is shown where one is needed.

    A dry run tells no more than ``GET /group``, and changes nothing. Where operations are off, or need a
    certificate, there are none.
    """
    shows_none = "authorization" not in request.headers
    return shows_none and access.token is not None and not access.certificate


async def read_body(request: Request) -> bytes:
    """The request's body, of a bounded size and in bounded time.

    Raises:
        Refusal: 413 or 408.
    """
    body, declared = bytearray(), request.headers.get("content-length", "0")
    large, more = declared.isascii() and declared.isdigit() and int(declared[:_DIGITS]) > BODY_LIMIT, True
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            while more and not large:
                chunk, more = await _next(request)
                body += chunk
                large = len(body) > BODY_LIMIT
    except TimeoutError:
        late = f"the body did not arrive within {BODY_TIMEOUT:g} s"
        raise Refusal(408, late, {"Connection": "close"}) from None
    if large:
        if more:
            await _throw_away(request)
        raise Refusal(413, f"the body is larger than {BODY_LIMIT // 1024} KiB", {"Connection": "close"})
    return bytes(body)


async def _throw_away(request: Request) -> None:
    """Read on for a moment: closing with unread data would reset the connection before the answer is read."""
    left, more = _DRAIN_LIMIT, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_TIMEOUT):
            while more and left > 0:
                chunk, more = await _next(request)
                left -= len(chunk)


async def _next(request: Request) -> tuple[bytes, bool]:
    """The next part of the body, and whether there is more."""
    message = await request.receive()
    if message["type"] != "http.request":
        raise Refusal(400, "the connection was closed in the middle of the body")
    return message.get("body", b""), message.get("more_body", False)
