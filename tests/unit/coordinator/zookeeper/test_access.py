"""Who one is to ZooKeeper, and what is put on the znodes that one creates."""

import subprocess
from pathlib import Path

import pytest

from rabbitkeeper.coordinator.backend.access import BackendAccess, check_identity
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.tls import client_context
from rabbitkeeper.coordinator.zookeeper.access import check_reader, digest_id
from rabbitkeeper.coordinator.zookeeper.client import build

_SELF_SIGNED = "openssl req -x509 -newkey rsa:2048 -passout pass:secret -subj /CN=one"


def test_a_digest_is_what_zookeeper_makes_of_it() -> None:
    # From ZooKeeper's own documentation of the digest scheme.
    assert digest_id(("super", "test")) == "super:D/InIHSb7yEEbrWz8b9l71RjZJU="


def test_without_an_identity_znodes_are_open() -> None:
    client, _ = build("127.0.0.1:1", 6.0, BackendAccess())
    assert client.default_acl is None
    assert not client.auth_data


def test_with_an_identity_it_may_do_everything_and_readers_may_read() -> None:
    access = BackendAccess(("super", "test"), ("digest:client:x", "x509:CN=app, O=us"))
    client, _ = build("127.0.0.1:1", 6.0, access)
    assert [(acl.id.scheme, acl.id.id, acl.acl_list) for acl in client.default_acl] == [
        ("digest", "super:D/InIHSb7yEEbrWz8b9l71RjZJU=", ["ALL"]),
        ("digest", "client:x", ["READ"]),
        ("x509", "CN=app, O=us", ["READ"]),
    ]
    assert "test" not in repr(access)


@pytest.mark.parametrize(("user", "password"), [("", "x"), ("a:b", "x"), ("a", "")])
def test_an_identity_that_zookeeper_could_not_tell_apart_is_refused(user: str, password: str) -> None:
    with pytest.raises(ConfigurationError, match="is not valid"):
        check_identity(user, password)


@pytest.mark.parametrize(
    "reader", ["world:anyone", "digest:client:D/InIHSb7yEEbrWz8b9l71RjZJU=", "x509:CN=app", "ip:10.0.0.0/8"]
)
def test_readers_are_named_as_acls_do(reader: str) -> None:
    assert check_reader(reader) == reader


@pytest.mark.parametrize("reader", ["anyone", "digest:client", "digest:client:secret", "ldap:me", "x509:"])
def test_other_readers_are_refused_with_what_would_do(reader: str) -> None:
    with pytest.raises(ConfigurationError, match="openssl dgst"):
        check_reader(reader)


def test_files_that_hold_no_certificate_are_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigurationError, match=r"zookeeper\.tls\.ca .*ca\.pem\) does not hold"):
        client_context(tmp_path / "ca.pem", where="zookeeper.tls")
    with pytest.raises(ConfigurationError, match=r"tls\.certificate .*No such file"):
        client_context(None, tmp_path / "none.pem")
    with pytest.raises(ConfigurationError, match="give both or neither"):
        client_context(None, None, tmp_path / "key.pem")


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    certificate, key = tmp_path / "one.crt", tmp_path / "one.key"
    subprocess.run(
        [*_SELF_SIGNED.split(), "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with pytest.raises(ConfigurationError, match="passphrase") as refused:
        client_context(None, certificate, key)
    assert "secret" not in str(refused.value)
