"""The API's server on real loopback sockets: its port, its certificate, and its end."""

import contextlib
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from support.agent.api_server import server
from support.client.certificates import self_signed

from rabbitkeeper.agent.config import HttpConfig
from rabbitkeeper.agent.model.errors import AddressTaken
from rabbitkeeper.coordinator.model.errors import ConfigurationError

PATIENCE = 20.0  # seconds; not waited for when things work


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 signed by itself, and its key: its own authority."""
    folder = self_signed(tmp_path_factory.mktemp("pem"), "IP:127.0.0.1")
    lock = "openssl ec -in key.pem -aes128 -passout pass:secret -out locked.pem"
    subprocess.run(lock.split(), cwd=folder, check=True, capture_output=True)
    return folder


def mutual(pem: Path) -> dict[str, Path]:
    """Settings by which the server asks for a certificate of its own authority."""
    return {"certificate": pem / "cert.pem", "key": pem / "key.pem", "client_ca": pem / "cert.pem"}


def client(pem: Path, *, known: bool) -> ssl.SSLContext:
    """Who trusts the server, and is ``known`` by a certificate."""
    context = ssl.create_default_context(cafile=str(pem / "cert.pem"))
    if known:
        context.load_cert_chain(pem / "cert.pem", pem / "key.pem")
    return context


def test_it_serves_until_it_is_stopped(port: int) -> None:
    one = server(listen=f"127.0.0.1:{port}")
    one.listen()
    one.start()
    assert httpx.get(f"http://127.0.0.1:{port}/live", timeout=PATIENCE).status_code == 200
    one.stop()
    one.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/live", timeout=PATIENCE)


def test_fifty_open_dashboards_leave_room_for_everybody_else(start: Callable[..., None], port: int) -> None:
    start(listen=f"127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}"
    with contextlib.ExitStack() as viewers, httpx.Client(base_url=url, timeout=PATIENCE) as another:
        for _ in range(50):
            viewer = viewers.enter_context(httpx.Client(base_url=url, timeout=PATIENCE))
            listening = viewers.enter_context(viewer.stream("GET", "/events"))
            assert listening.status_code == 200
            assert next(listening.iter_text()).startswith("event: hello")
        assert another.get("/live").status_code == 200
        assert another.get("/", headers={"Accept": "text/html"}).status_code == 200


def test_the_port_is_free_again_at_once(start: Callable[..., None], port: int) -> None:
    test_it_serves_until_it_is_stopped(port)
    start(listen=f"127.0.0.1:{port}")
    assert httpx.get(f"http://127.0.0.1:{port}/live", timeout=PATIENCE).status_code == 200


def test_a_port_that_is_taken_is_said(port: int) -> None:
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(AddressTaken, match="agent cannot listen: Address already in use; give an"),
    ):
        server(listen=f"127.0.0.1:{port}").listen()


def test_one_that_was_taken_can_be_had_when_it_is_free(start: Callable[..., None], port: int) -> None:
    one = server(listen=f"127.0.0.1:{port}")
    with socket.create_server(("127.0.0.1", port)), pytest.raises(AddressTaken):
        one.listen()
    one.listen()
    one.start()
    try:
        assert httpx.get(f"http://127.0.0.1:{port}/live", timeout=PATIENCE).status_code == 200
    finally:
        one.stop()


def test_an_address_that_this_host_has_not_may_come_up_later() -> None:
    with pytest.raises(AddressTaken, match=r"http.listen is '192.0.2.1:8008', and there"):
        server(listen="192.0.2.1:8008").listen()


def test_with_a_certificate_it_speaks_tls(start: Callable[..., None], port: int, pem: Path) -> None:
    start(listen=f"127.0.0.1:{port}", certificate=pem / "cert.pem", key=pem / "key.pem")
    trusted = ssl.create_default_context(cafile=str(pem / "cert.pem"))
    url = f"https://127.0.0.1:{port}/live"
    assert httpx.get(url, verify=trusted, timeout=PATIENCE).status_code == 200
    with pytest.raises(httpx.TransportError):
        httpx.get(url, timeout=PATIENCE)  # nobody whom the system trusts


def test_with_an_authority_only_its_clients_are_answered(
    start: Callable[..., None], port: int, pem: Path
) -> None:
    start(listen=f"127.0.0.1:{port}", **mutual(pem))
    url = f"https://127.0.0.1:{port}/live"
    stranger, known = client(pem, known=False), client(pem, known=True)
    with pytest.raises(httpx.TransportError):
        httpx.get(url, verify=stranger, timeout=PATIENCE)
    assert httpx.get(url, verify=known, timeout=PATIENCE).status_code == 200


def test_files_that_are_no_certificate_are_said(port: int, pem: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.pem").write_text("nothing of the kind")
    for files in (
        {"certificate": tmp_path / "missing.pem"},
        {"certificate": tmp_path / "odd.pem"},
        {"certificate": pem / "cert.pem"},  # its key is in another file
        {"certificate": pem / "cert.pem", "key": pem / "locked.pem"},  # it has a passphrase
        {"certificate": pem / "cert.pem", "key": pem / "key.pem", "client_ca": tmp_path / "odd.pem"},
    ):
        with pytest.raises(ConfigurationError, match=r"^http.certificate \(.* cannot be used: .* give PEM"):
            server(listen=f"127.0.0.1:{port}", **files).listen()
    with socket.create_server(("127.0.0.1", port)):
        pass  # it was not kept


def test_with_verify_writes_only_who_changes_something_needs_a_certificate(
    start: Callable[..., None], port: int, pem: Path
) -> None:
    start(listen=f"127.0.0.1:{port}", **mutual(pem), verify="writes", token="t" * 20)
    url, bearer = f"https://127.0.0.1:{port}", {"Authorization": "Bearer " + "t" * 20}
    stranger, known = client(pem, known=False), client(pem, known=True)
    assert httpx.get(f"{url}/live", verify=stranger, timeout=PATIENCE).status_code == 200
    answer = httpx.post(f"{url}/pause", headers=bearer, verify=stranger, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["reason"]) == (
        403,
        "operations need a client certificate of the authority in http.client_ca",
    )
    answer = httpx.post(f"{url}/pause", headers=bearer, verify=known, timeout=PATIENCE)
    assert answer.json() == {"reason": "ZooKeeper is away"}  # it was let through


def test_a_certificate_and_a_token_are_taken_anew_while_it_serves(
    port: int, pem: Path, tmp_path: Path
) -> None:
    def config(token: str, certificate: Path) -> HttpConfig:
        return HttpConfig.model_validate(
            {
                "listen": f"127.0.0.1:{port}",
                "certificate": str(certificate),
                "key": str(pem / "key.pem"),
                "token": token,
            },
            context={"directory": Path()},
        )

    make = "openssl req -x509 -key key.pem -days 2 -subj /CN=two -addext subjectAltName=IP:127.0.0.1"
    make += " -out two.pem"
    subprocess.run(make.split(), cwd=pem, check=True, capture_output=True)
    one = server(
        listen=f"127.0.0.1:{port}", certificate=pem / "cert.pem", key=pem / "key.pem", token="a" * 20
    )
    one.listen()
    one.start()
    url = f"https://127.0.0.1:{port}/pause"

    def status(token: str, trusted: str) -> int | None:
        context = ssl.create_default_context(cafile=str(pem / trusted))
        try:
            return httpx.post(
                url, headers={"Authorization": f"Bearer {token}"}, verify=context, timeout=PATIENCE
            ).status_code
        except httpx.TransportError:
            return None

    try:
        assert status("a" * 20, "cert.pem") == 503
        with pytest.raises(ConfigurationError):
            one.adopt(config("b" * 20, tmp_path / "missing.pem"))
        assert status("a" * 20, "cert.pem") == 503  # nothing of it was taken
        one.adopt(config("b" * 20, pem / "two.pem"))
        assert status("b" * 20, "two.pem") == 503
        assert status("a" * 20, "two.pem") == 401
        assert status("b" * 20, "cert.pem") is None
    finally:
        one.stop()


def test_old_ciphers_and_versions_are_not_spoken(start: Callable[..., None], port: int, pem: Path) -> None:
    start(listen=f"127.0.0.1:{port}", certificate=pem / "cert.pem", key=pem / "key.pem")
    for ciphers in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"):  # no forward secrecy; no AEAD
        old = ssl.create_default_context(cafile=str(pem / "cert.pem"))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.set_ciphers(ciphers)
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain, pytest.raises(OSError):
            old.wrap_socket(plain, server_hostname="127.0.0.1")
