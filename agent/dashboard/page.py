"""What the agent itself writes of the page: the frame, and a plain table of the group where there is no
JavaScript.

Pure. Everything that comes from the group is text: it is escaped here, whatever it holds, and nothing of it
becomes markup, a script, a style or a header.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template
from typing import Any
from urllib.parse import urlsplit

from rabbitkeeper.agent.dashboard.files import Files

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_MOST_ORIGINS = 64  # in a header, whose length servers and proxies bound
_COLUMNS = ("member", "state", "since", "why", "clients connect to", "site", "leads")


def content_policy(agents: Iterable[str]) -> str:
    """The Content-Security-Policy: nothing but the agent's own files, and nothing that stands in the page.

    Args:
        agents: URLs of the group's agents, as they say themselves. The page looks whether one is there when
            its own is gone; it reads nothing of their answers.
    """
    origins = sorted({origin for url in agents if (origin := origin_of(url)) is not None})[:_MOST_ORIGINS]
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            " ".join(("connect-src 'self'", *origins)),
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def origin_of(url: object) -> str | None:
    """The scheme, host and port of an agent's URL; None if it is none that a header may hold.

    Args:
        url: from a member's record, where anything may stand.
    """
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        port = None if parts is None else parts.port
    except ValueError:
        return None
    if parts is None or parts.scheme not in ("http", "https") or parts.username is not None:
        return None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    if _HOST.fullmatch(host) is None:
        return None
    return f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")


def render_page(
    files: Files, *, member: str, version: str, group: Mapping[str, Any], health: Mapping[str, Any]
) -> str:
    """The page.

    Args:
        files: its template, and under which name its files lie.
        member: whose agent shows it.
        version: the agent's.
        group: what ``/group`` answers: the group, or a reason why there is none to show.
        health: what ``/health`` answers. The page has both with it, so that it need not ask before it shows
            the group.
    """
    return Template(files.template).substitute(
        folder=f"dashboard/{files.digest}",
        member=_text(member),
        version=_text(version),
        group=_text(group.get("group", "")),
        group_answer=_json(group),
        health_answer=_json(health),
        plain=_plain(group),
    )


def _plain(group: Mapping[str, Any]) -> str:
    """What ``/group`` says, as a table."""
    if "members" not in group:
        return f"<p>{_text(group.get('reason', 'nothing is known of the group'))}</p>"
    parts = [f"<p>{sentence}</p>" for sentence in _sentences(group)]
    rows = "\n".join(_row(each) for each in _mappings(group["members"]))
    heads = "".join(f'<th scope="col">{head}</th>' for head in _COLUMNS)
    caption = f"The members of the group, as they were read {_text(group.get('age', '?'))} s ago"
    parts.append(
        f"<table><caption>{caption}</caption><thead><tr>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table>"
    )
    return "\n".join(parts)


def _sentences(group: Mapping[str, Any]) -> list[str]:
    lead, pause, problems = group.get("leader"), group.get("pause"), group.get("problems")
    told = []
    if isinstance(lead, Mapping):
        told.append(
            f"<strong>{_name(lead.get('name'))}</strong> leads since {_text(lead.get('since'))}, "
            f"epoch {_text(group.get('epoch'))}: {_text(lead.get('cause'))}."
        )
    else:
        told.append(f"<strong>Nobody leads.</strong> {_text(group.get('leader_unreadable') or '')}")
    if isinstance(pause, Mapping):
        told.append(
            f"Paused by {_name(pause.get('by'))} since {_text(pause.get('since'))}: "
            f"{_text(pause.get('reason') or 'no reason is given')}."
        )
    for key in ("switchover", "maintenance"):
        pending = group.get(key)
        if isinstance(pending, Mapping):
            told.append(
                f"Under way: {_text(pending.get('kind'))} {_text(pending.get('id'))}, "
                f"asked for by {_name(pending.get('by'))}."
            )
    told += [f"Problem: {_text(problem)}" for problem in problems or ()]
    return told


def _row(member: Mapping[str, Any]) -> str:
    tags = member.get("tags")
    site = tags.get("site") if isinstance(tags, Mapping) else None
    why = [*(member.get("reasons") or ()), *(member.get("warnings") or ())]
    cells = (
        _text(member.get("state")),
        _text(member.get("since")),
        _text("; ".join(str(each) for each in why)),
        _text(member.get("amqp") or member.get("amqps") or ""),
        _text(site or ""),
        "leads" if member.get("leader") else "",
    )
    head = f'<th scope="row">{_name(member.get("name"))}</th>'
    rest = "".join(
        f'<td data-head="{title}">{cell}</td>' for title, cell in zip(_COLUMNS[1:], cells, strict=True)
    )
    return f"<tr>{head}{rest}</tr>"


def _mappings(value: object) -> Sequence[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return escape(str(value), quote=True)


def _json(content: Mapping[str, Any]) -> str:
    """For an attribute, from which a script reads it."""
    return _text(json.dumps(content, ensure_ascii=False, separators=(",", ":")))


def _name(value: object) -> str:
    """A name whose direction of writing does not turn round what stands beside it."""
    return f"<bdi>{_text(value)}</bdi>"
