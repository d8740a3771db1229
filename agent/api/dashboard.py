"""``GET /``: the dashboard for browsers, the index for everybody else; and the dashboard's files."""

import gzip
from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from rabbitkeeper.agent.api.answers import Content
from rabbitkeeper.agent.api.refusal import Refusal
from rabbitkeeper.agent.dashboard import Files, StaticFile, content_policy, render_page

_FOR_EVER = "public, max-age=31536000, immutable"  # the address changes with what is in the files
_QUICKLY = 1  # gzip's least effort; a page of 10 kB takes 0.2 ms
_PAGE_HEADERS = {
    # What it shows is of now: one that a browser has kept, and shows when it goes back, would not be.
    "Cache-Control": "no-store",
    "Vary": "Accept, Accept-Encoding",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def add_dashboard(
    app: FastAPI, *, member: str, version: str, group: Callable[[], Content], health: Callable[[], Content]
) -> None:
    """Add the routes.

    Args:
        app: the application, with all its other routes.
        member: whose agent it is.
        version: the agent's.
        group: what ``/group`` shows now.
        health: what ``/health`` shows now.
    """
    files = Files.load()

    @app.get("/", summary="this index; the dashboard for who accepts text/html")
    async def index(request: Request) -> Response:
        if not accepts_html(request.headers.get("accept", "")):
            return JSONResponse(_index(app, member, version), headers={"Vary": "Accept"})
        content = group()
        agents = [each["api"] for each in content.get("members", ()) if each.get("api")]
        page = render_page(files, member=member, version=version, group=content, health=health()).encode()
        headers = {**_PAGE_HEADERS, "Content-Security-Policy": content_policy(agents)}
        if _takes_gzip(request):
            page = gzip.compress(page, _QUICKLY)
            headers["Content-Encoding"] = "gzip"
        return Response(page, media_type="text/html; charset=utf-8", headers=headers)

    @app.get("/dashboard/{digest}/{name}", include_in_schema=False)
    async def file(request: Request, digest: str, name: str) -> Response:
        found = files.files.get(name)
        if found is None or digest != files.digest:
            raise Refusal(
                404, "there is no such file of the dashboard; GET / has the page with those there are"
            )
        return _file(request, found)


def accepts_html(accept: str) -> bool:
    """Whether who asks is a browser: it names ``text/html``, and not as what it does not take.

    Args:
        accept: the header.
    """
    for part in accept.lower().split(","):
        media_type, *parameters = (each.strip() for each in part.split(";"))
        if media_type == "text/html":
            return not any(
                each.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000") for each in parameters
            )
    return False


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def _file(request: Request, found: StaticFile) -> Response:
    headers = {
        "Cache-Control": _FOR_EVER,
        "ETag": f'"{found.tag}"',
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if found.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if not _takes_gzip(request):
        return Response(found.body, media_type=found.media_type, headers=headers)
    packed = {**headers, "Content-Encoding": "gzip"}
    return Response(found.packed, media_type=found.media_type, headers=packed)


def _index(app: FastAPI, member: str, version: str) -> Content:
    return {
        "rabbitkeeper": version,
        "member": member,
        "paths": {
            f"{method.upper()} {path}": about["summary"]
            for path, methods in app.openapi()["paths"].items()
            for method, about in methods.items()
        },
    }
