"""The instance metadata service, version 2 only: each node reads the tree that the lab wrote for its address.

Runs as a process inside the lab's network: `python -m lab.servers.metadata_service DIRECTORY`. The directory holds
`<address>.json`, a mapping of paths below `/latest/` to text, read again at each request. Nodes cannot write there.
"""

from __future__ import annotations

import base64
import json
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

from lab import host
from lab.network import METADATA_ADDRESS
from lab.servers.server import Endpoint, PythonServer, Site

USER_DATA = "user-data.base64"
"""Key of the user data, the one value that is bytes."""
TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - the name of a header
LIFETIME_HEADER = f"{TOKEN_HEADER}-ttl-seconds"
LONGEST_LIFETIME = 21600  # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html

Tree = Mapping[str, str]


class MetadataService(PythonServer):
    """The service's process, and the directory from which it serves."""

    name = "metadata-service"
    module = "lab.servers.metadata_service"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.directory = host.STATE / "metadata"

    def endpoints(self) -> Sequence[Endpoint]:
        return [Endpoint(address=IPv4Address(METADATA_ADDRESS))]

    def install(self) -> None:
        host.make_private(self.directory)

    def arguments(self) -> Sequence[str | Path]:
        return [self.directory]


class Tokens:
    """Session tokens; each is valid for the address that requested it."""

    def __init__(self) -> None:
        self._holders: dict[str, tuple[str, float]] = {}

    def issue(self, address: str, lifetime: int) -> str:
        token = secrets.token_urlsafe(40)
        self._holders[token] = (address, time.monotonic() + lifetime)
        return token

    def accepts(self, address: str, token: str | None) -> bool:
        holder, end = self._holders.get(token or "", ("", 0.0))
        return holder == address and time.monotonic() < end


def look_up(tree: Tree, path: str) -> bytes | None:
    """The body for GET `path` (as in a URL): a value, a listing of what is below, or None for what does not exist."""
    _version, _, key = path.partition("?")[0].strip("/").partition("/")
    if not key:
        return b"dynamic\nmeta-data\nuser-data"
    if key == "user-data":
        return base64.b64decode(tree[USER_DATA]) if USER_DATA in tree else None
    if key in tree:
        return tree[key].encode()
    below = [other.removeprefix(f"{key}/") for other in tree if other.startswith(f"{key}/")]
    listing = {name.partition("/")[0] + ("/" if "/" in name else "") for name in below}
    return "\n".join(sorted(listing)).encode() if listing else None


class Handler(BaseHTTPRequestHandler):
    """Responds as EC2 does: 401 without a token, 404 for what does not exist."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "EC2ws", ""
    trees: Path
    tokens = Tokens()

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        lifetime = self.headers.get(LIFETIME_HEADER, "")
        if not self.path.startswith("/latest/api/token"):
            self._respond(404)
        elif not (lifetime.isdigit() and 1 <= int(lifetime) <= LONGEST_LIFETIME):
            self._respond(400)
        else:
            self._respond(
                200, self.tokens.issue(self.client_address[0], int(lifetime)).encode(), {LIFETIME_HEADER: lifetime}
            )

    def do_GET(self) -> None:
        address = self.client_address[0]
        if not self.tokens.accepts(address, self.headers.get(TOKEN_HEADER)):
            self._respond(401)
            return
        file = self.trees / f"{address}.json"
        found = look_up(json.loads(file.read_text()), self.path) if file.exists() else None
        self._respond(404) if found is None else self._respond(200, found)

    def _respond(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Log the request alone: responses hold credentials."""
        sys.stderr.write(f"{self.client_address[0]} {format % args}\n")


if __name__ == "__main__":
    Handler.trees = Path(sys.argv[1])
    ThreadingHTTPServer((METADATA_ADDRESS, 80), Handler).serve_forever()
