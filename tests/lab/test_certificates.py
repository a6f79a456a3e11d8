"""The lab's certificate authority, before clients that verify as strictly as Python 3.13."""

from __future__ import annotations

import socket
import ssl
import threading
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from lab.certificates import CertificateAuthority

NAME = "airflow-prod-metadata.c9xk2m4example.eu-west-1.rds.amazonaws.com"


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


def handshake(authority: CertificateAuthority, trusted: str, folder: Path, expected: str) -> None:
    """Connect to a server with a certificate for NAME and 127.0.0.1, as a client that expects the name `expected`."""
    chain = folder / "server.pem"
    chain.write_text("".join(authority.issue([NAME, "*.eu-west-1.amazonaws.com"], [IPv4Address("127.0.0.1")])))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)
    client = ssl.create_default_context(cadata=trusted)
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # the default since Python 3.13, which the nodes have
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except (ssl.SSLError, ConnectionError):
            theirs.close()  # the client did not like what it saw

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(ours, server_hostname=expected).close()
    finally:
        ours.close()
        thread.join()


@pytest.mark.parametrize("expected", [NAME, "sts.eu-west-1.amazonaws.com", "127.0.0.1"])
def test_strict_clients_accept_the_server(authority: CertificateAuthority, tmp_path: Path, expected: str):
    handshake(authority, authority.certificate, tmp_path, expected)


def test_another_name_is_refused(authority: CertificateAuthority, tmp_path: Path):
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority, authority.certificate, tmp_path, "example.com")


def test_another_labs_authority_is_refused(authority: CertificateAuthority, tmp_path: Path):
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority, CertificateAuthority().certificate, tmp_path, NAME)
