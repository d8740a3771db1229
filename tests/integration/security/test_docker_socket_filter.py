"""What the proxy between an agent and the Docker engine lets through: HAProxy before an engine of ours."""

import http.client
import os
import shutil
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from support.source_tree import ROOT
from support.waiting import wait_for

HAPROXY = os.environ.get("HAPROXY") or shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
CONTAINER = "demo-broker1-1"
EXEC_ID = "0123456789abcdef" * 4

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="needs haproxy")


class Engine(BaseHTTPRequestHandler):
    """Stands for Docker's engine: says yes to everything that reaches it."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    do_POST = do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names of http.server

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("docker", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._path))


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("docker")
    text = (ROOT / "compose/images/docker-socket.cfg").read_text()
    for before, after in (("/run/docker/docker.sock", "front"), ("/var/run/docker.sock", "engine")):
        assert f"unix@{before}" in text
        text = text.replace(f"unix@{before}", f"unix@{folder}/{after}")
    (folder / "proxy.cfg").write_text(text)
    with socketserver.ThreadingUnixStreamServer(str(folder / "engine"), Engine) as engine:
        threading.Thread(target=engine.serve_forever, args=(0.05,), daemon=True).start()
        assert HAPROXY is not None
        child = subprocess.Popen(
            [HAPROXY, "-db", "-f", folder / "proxy.cfg"],
            env={**os.environ, "BROKER_CONTAINER": CONTAINER},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for((folder / "front").exists, "its socket")
            yield folder / "front"
        finally:
            child.terminate()
            child.wait()
            engine.shutdown()


def status(proxy: Path, method: str, path: str, body: bytes = b"") -> int:
    connection = Connection(proxy)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/version", b""),
        ("GET", f"/v1.44/containers/{CONTAINER}/json", b""),
        ("GET", f"/containers/{CONTAINER}/logs?tail=100", b""),
        ("POST", f"/v1.44/containers/{CONTAINER}/start", b""),
        ("POST", f"/containers/{CONTAINER}/kill?signal=SIGKILL", b""),
        ("POST", f"/containers/{CONTAINER}/exec", b'{"Cmd": ["rabbitmqctl", "status"], "User": ""}'),
        ("POST", f"/containers/{CONTAINER}/exec", b'{"Privileged": false, "Cmd": ["p0P0@`"]}\n'),
        ("POST", f"/exec/{EXEC_ID}/start", b'{"Detach": false}'),
        ("GET", f"/exec/{EXEC_ID}/json", b""),
    ],
)
def test_what_the_driver_needs_goes_through(proxy: Path, method: str, path: str, body: bytes) -> None:
    assert status(proxy, method, path, body) == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/containers/json"),
        ("GET", "/containers/other/json"),
        ("GET", f"/containers/{CONTAINER}/json/../../other/json"),
        ("GET", f"/containers/{CONTAINER}%2fjson"),
        ("GET", f"/containers/{CONTAINER}/json/"),
        ("GET", f"//containers/{CONTAINER}/json"),
        ("GET", f"/v1.44/v1.44/containers/{CONTAINER}/json"),
        ("GET", f"/containers/{CONTAINER}/archive?path=/etc/shadow"),
        ("POST", f"/containers/{CONTAINER}/json"),
        ("POST", f"/containers/{CONTAINER}/update"),
        ("POST", f"/containers/{CONTAINER}/attach"),
        ("POST", "/containers/create"),
        ("POST", "/build"),
        ("DELETE", f"/containers/{CONTAINER}"),
        ("PUT", f"/containers/{CONTAINER}/archive"),
        ("GET", "/exec/abc/json"),
        ("POST", f"/exec/{EXEC_ID}/resize"),
    ],
)
def test_nothing_else_does(proxy: Path, method: str, path: str) -> None:
    assert status(proxy, method, path) == 403


@pytest.mark.parametrize(
    "body",
    [
        b'{"Cmd": ["x"], "Privileged": true}',
        b'{"Cmd": ["x"], "pRIVILEGED"\n:\ttrue}',
        b'{"Cmd": ["x"], "User": "root"}',
        b'{"Cmd": ["x"], "user" : "0"}',
        b'{"Cmd": ["x"], "Us\\u0065r": "root"}',
        '{"Cmd": ["x"], "U\u017fer": "root"}'.encode(),  # a long s, which folds to s
        '{"Cmd": ["\u212a"]}'.encode(),  # Kelvin's sign, which folds to k: no name of ours has one
        b'{"Cmd": ["x"], "Us\xffer": "root"}',
        b'{"Cmd": ["x"]}\0{"User": "root"}',
        b'{"Cmd": ["x"]}\0',
        b'{"Cmd": ["\x7f"]}',
        b"",
        b'{"Cmd": ["' + b"x" * 20000 + b'"]}',
    ],
)
def test_no_body_asks_for_more_than_the_container_has(proxy: Path, body: bytes) -> None:
    assert status(proxy, "POST", f"/containers/{CONTAINER}/exec", body) == 403
