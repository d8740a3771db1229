"""What a request is refused with, and who may ask for operations."""

import asyncio
import hmac

from fastapi import Request
from fastapi.responses import JSONResponse

BODY_LIMIT = 64 * 1024  # bytes; the largest request that makes sense has a few hundred
BODY_TIMEOUT = 5.0  # seconds for a body to arrive
_DRAIN_LIMIT = 16 * 1024 * 1024  # bytes of a body that is too large which are read and thrown away
_DRAIN_TIMEOUT = 1.0  # seconds


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


def authorize(request: Request, token: str | None) -> None:
    """Let nobody through who has not the token.

    Raises:
        Refusal: 403 if no token is configured, 401 if another one or none is given.
    """
    if token is None:
        raise Refusal(403, "operations are off: no http.token is configured for this agent")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    good = hmac.compare_digest(given.strip().encode(), token.encode())
    if scheme.lower() != "bearer" or not good:
        raise Refusal(
            401,
            "operations need the header 'Authorization: Bearer TOKEN' with the http.token of this agent",
            {"WWW-Authenticate": "Bearer"},
        )


async def read_body(request: Request) -> bytes:
    """The request's body, of a bounded size and in bounded time.

    Raises:
        Refusal: 413 or 408.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            declared = request.headers.get("content-length", "0")
            large = declared.isdigit() and int(declared) > BODY_LIMIT
            async for chunk in request.stream():
                if large or len(body) + len(chunk) > BODY_LIMIT:
                    large = True
                    break
                body += chunk
    except TimeoutError:
        raise Refusal(
            408, f"the body did not arrive within {BODY_TIMEOUT:g} s", {"Connection": "close"}
        ) from None
    if large:
        await _throw_away(request)
        raise Refusal(413, f"the body is larger than {BODY_LIMIT // 1024} KiB", {"Connection": "close"})
    return bytes(body)


async def _throw_away(request: Request) -> None:
    """Read on for a moment: closing with unread data would reset the connection before the answer is read."""
    left = _DRAIN_LIMIT
    try:
        async with asyncio.timeout(_DRAIN_TIMEOUT):
            while left > 0:
                message = await request.receive()
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
