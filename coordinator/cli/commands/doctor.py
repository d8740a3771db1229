"""``rabbitkeeper doctor``: looks at everything that a group depends on, and says what would help."""

import http.client
import json
import socket
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import click
from rich.text import Text

from rabbitkeeper.coordinator.cli.output import show, table
from rabbitkeeper.coordinator.cli.root import ChosenGroup, exposures
from rabbitkeeper.coordinator.model.addresses import is_loopback
from rabbitkeeper.coordinator.model.errors import RecordError
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.operations.log import read_operations
from rabbitkeeper.coordinator.policy.diagnosis import (
    ApiFacts,
    Evidence,
    Finding,
    ServerFacts,
    Severity,
    diagnose,
)
from rabbitkeeper.coordinator.policy.schedule import seconds_of
from rabbitkeeper.coordinator.store.reader import GroupReader
from rabbitkeeper.coordinator.store.store import Store
from rabbitkeeper.coordinator.tls import client_context

_TIMEOUT = 3.0  # seconds for each server and each agent
_ASKED = 6.0  # seconds of session timeout, the agents' default
_LARGEST = 1_000_000  # bytes of an answer that are read

T = TypeVar("T")
R = TypeVar("R")


@click.command("doctor")
@click.option(
    "--api-ca", metavar="FILE", help="PEM: the authority of the agents' HTTPS.  [default: the system's]"
)
@click.pass_obj
def command(chosen: ChosenGroup, api_ca: str | None) -> None:
    """Check ZooKeeper, the members, their agents and the settings; exit status 1 if something is wrong."""
    tls = client_context(api_ca, where="--api-ca") if api_ca is not None else None
    servers = _at_once(
        lambda address: _server(address, chosen.access.tls), _addresses(chosen.zookeeper or "")
    )
    with chosen.backend() as (backend, group):
        view = GroupReader(backend, group).read(watch=False)
        granted, unreadable = backend.timeout, _unreadable(Store(backend, group))
        exposed = exposures(backend, group, chosen.access.identity)
    evidence = Evidence(
        view=view,
        servers=servers,
        apis=_apis(view, tls),
        asked=_ASKED,
        granted=granted,
        unreadable=unreadable,
        wall=time.time(),
        exposed=exposed,
    )
    findings = diagnose(evidence)
    _show(chosen.output, group, findings, evidence)
    if any(finding.severity is Severity.PROBLEM for finding in findings):
        sys.exit(1)


def _show(output: str, group: str, findings: list[Finding], evidence: Evidence) -> None:
    made = table(f"group {group}", "", "about", "finding", "what would help")
    for finding in findings:
        style = "bold red" if finding.severity is Severity.PROBLEM else "yellow"
        made.add_texts(Text(finding.severity, style=style), finding.about, finding.sentence, finding.remedy)
    asked = (
        f"Asked: {len(evidence.servers)} ZooKeeper servers, {len(evidence.view.members)} members, "
        f"{len(evidence.apis)} agents' APIs."
    )
    notes = [asked] if findings else [asked, "Nothing is wrong."]
    content = {
        "group": group,
        "findings": [
            {
                "severity": finding.severity.value,
                "about": finding.about,
                "finding": finding.sentence,
                "remedy": finding.remedy,
            }
            for finding in findings
        ],
        "asked": {
            "zookeeper": [server.address for server in evidence.servers],
            "members": sorted(evidence.view.members),
            "apis": sorted(evidence.apis),
        },
    }
    show(output, content, made, notes)


def _at_once(look: Callable[[T], R], what: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(look, what))


def _addresses(hosts: str) -> list[str]:
    return [server for server in hosts.replace(" ", "").partition("/")[0].split(",") if server]


def _server(address: str, tls: ssl.SSLContext | None) -> ServerFacts:
    """Whether it takes a connection. That it also answers is seen by the backend, for the one it is with."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, "2181"
    host = host.strip("[]")
    try:
        with socket.create_connection((host, int(port)), timeout=_TIMEOUT) as plain:
            if tls is not None:
                with tls.wrap_socket(plain, server_hostname=host):
                    pass
    except (OSError, ValueError) as error:
        return ServerFacts(address, problem=getattr(error, "strerror", None) or str(error))
    return ServerFacts(address)


def _unreadable(store: Store) -> list[str]:
    found = []
    for read in (store.history, lambda: read_operations(store)):
        try:
            read()
        except RecordError as error:
            found.append(str(error))
    return found


def _apis(view: GroupView, tls: ssl.SSLContext | None) -> dict[str, ApiFacts]:
    urls = {
        name: member.record.api
        for name, member in sorted(view.members.items())
        if member.record.api is not None
    }
    return dict(zip(urls, _at_once(lambda url: _api(url, tls), urls.values()), strict=True))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What answers with a redirect is no agent; and nobody is to send the operator's host elsewhere."""

    def redirect_request(self, *_: object) -> None:
        return None


def _api(url: str, tls: ssl.SSLContext | None) -> ApiFacts:
    if not _is_plain(url):
        return ApiFacts(problem="its URL is not one of HTTP")
    # Agents are asked directly, whatever proxy the environment names, and nobody whom they name.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls), _NoRedirect
    )
    try:
        try:
            answer = opener.open(f"{url}/health", timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            answer = error  # 503 is an answer too: its broker does not serve
        with answer:
            told, here = json.loads(answer.read(_LARGEST)), time.time()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return ApiFacts(problem=str(getattr(error, "reason", None) or error))
    if not isinstance(told, dict):
        return ApiFacts(problem="it is not an agent that answers there")
    zookeeper = told.get("zookeeper")
    timeout = zookeeper.get("session_timeout") if isinstance(zookeeper, dict) else None
    return ApiFacts(
        clock_ahead=_ahead(told.get("at"), here),
        session_timeout=float(timeout) if isinstance(timeout, int | float) else None,
        token_in_clear=told.get("operations") is True and not _is_private(url),
    )


def _is_plain(url: str) -> bool:
    """Whether it is what an agent announces: whoever can write to ZooKeeper could announce anything."""
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return good and url.isprintable() and " " not in url and not ("@" in parts.netloc or parts.query)


def _is_private(url: str) -> bool:
    """Whether nobody on a network can read what is sent there."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def _ahead(at: object, here: float) -> float:
    """By how many seconds the agent's clock is ahead; 0 where it does not say the time."""
    then = seconds_of(str(at))
    return 0.0 if then is None else then - here
