"""The metadata service, called over HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.servers.metadata_service import LIFETIME_HEADER, TOKEN_HEADER, USER_DATA, Handler, Tokens, look_up

TREE = {
    "meta-data/instance-id": "i-1",
    "meta-data/iam/security-credentials/airflow-worker": "{}",
    "meta-data/placement/region": "eu-west-1",
    USER_DATA: base64.b64encode(b"\x1f\x8b packed").decode(),
}


class Client:
    """A client of the service as an instance with the address 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self._port = port

    def request(self, method: str, path: str, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def token(self, lifetime: str = "60") -> str:
        status, body = self.request("PUT", "/latest/api/token", **{LIFETIME_HEADER: lifetime})
        assert status == 200
        return body.decode()

    def get(self, path: str) -> tuple[int, bytes]:
        return self.request("GET", path, **{TOKEN_HEADER: self.token()})


@pytest.fixture
def imds(tmp_path: Path) -> Iterator[Client]:
    (tmp_path / "127.0.0.1.json").write_text(json.dumps(TREE))
    (tmp_path / "127.0.0.2.json").write_text(json.dumps({"meta-data/instance-id": "i-2"}))
    handler = type("HandlerOfThisTest", (Handler,), {"trees": tmp_path, "log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Client(server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


def test_without_a_token_the_status_is_401(imds: Client):
    assert imds.request("GET", "/latest/meta-data/instance-id")[0] == 401, "version 1 of the service is off"
    assert imds.request("GET", "/latest/meta-data/instance-id", **{TOKEN_HEADER: "invented"})[0] == 401


def test_a_token_is_valid_only_for_the_instance_that_requested_it():
    tokens = Tokens()
    token = tokens.issue("10.80.0.4", 60)
    assert tokens.accepts("10.80.0.4", token)
    assert not tokens.accepts("10.80.0.5", token)


def test_a_token_expires():
    tokens = Tokens()
    assert not tokens.accepts("10.80.0.4", tokens.issue("10.80.0.4", 0))


@pytest.mark.parametrize("lifetime", ["", "0", "21601", "soon"])
def test_a_token_needs_a_lifetime_that_ec2_accepts(imds: Client, lifetime: str):
    assert imds.request("PUT", "/latest/api/token", **{LIFETIME_HEADER: lifetime})[0] == 400


def test_an_instance_reads_its_own_tree(imds: Client):
    assert imds.get("/latest/meta-data/instance-id") == (200, b"i-1")
    assert imds.get("/2021-03-23/meta-data/placement/region") == (200, b"eu-west-1")
    assert imds.get("/latest/meta-data/spot/instance-action")[0] == 404


def test_user_data_is_served_byte_for_byte(imds: Client):
    assert imds.get("/latest/user-data") == (200, b"\x1f\x8b packed")


def test_a_path_above_values_lists_what_is_below():
    assert look_up(TREE, "/latest/meta-data/") == b"iam/\ninstance-id\nplacement/"
    assert look_up(TREE, "/latest/meta-data/iam/security-credentials/") == b"airflow-worker"
    assert look_up(TREE, "/latest/") == b"dynamic\nmeta-data\nuser-data"
    assert look_up({}, "/latest/user-data") is None
