"""Until when the certificates of the cluster's servers are valid."""

from __future__ import annotations

import socket
import ssl
import struct

TIMEOUT_SECONDS = 3.0
# https://www.postgresql.org/docs/current/protocol-message-formats.html, SSLRequest
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def expiry(host: str, port: int, *, authorities: str | None = None, postgresql: bool = False) -> float:
    """When the server's certificate expires, in seconds since 1970.

    `authorities`: a file; None for the system's. OSError if the server does not answer, or its certificate is invalid.
    """
    context = ssl.create_default_context(cafile=authorities)
    with socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as plain:
        if postgresql:
            plain.sendall(SSL_REQUEST)
            if plain.recv(1) != b"S":
                raise ConnectionError(f"{host} refuses TLS")
        with context.wrap_socket(plain, server_hostname=host) as secure:
            certificate = secure.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
