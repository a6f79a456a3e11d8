from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from node.roles import Role
from tests.node import node_root, postgresql, redis_server
from tests.node.metadata import Metadata
from tests.node.programs import module

aws_request = module("airflow_node.aws_request")
retry = module("airflow_node.retry")
metadata_service = module("airflow_node.metadata_service")


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[Role, Path]:
    """A root file system for each role, as systemd finds it on a node. No test changes one."""
    return {role: node_root.build(tmp_path_factory.mktemp(role), role) for role in Role}


@pytest.fixture
def aws_over_http(aws: boto3.Session, aws_server: str, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    """AWS for programs that have no SDK: their requests and the session's meet the same resources."""
    keys = metadata_service.Credentials(key="testing", secret="testing", token="testing")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setattr(metadata_service, "credentials", lambda *_: keys)
    monkeypatch.setattr(
        aws_request, "endpoint", lambda _service, bucket="": f"{aws_server}/{bucket}" if bucket else aws_server
    )
    return aws


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each wait of a program. No time passes, but its clock advances by them."""
    seconds: list[float] = []
    monkeypatch.setattr(retry, "wait", seconds.append)
    monkeypatch.setattr(retry, "clock", lambda: 1000.0 + sum(seconds))
    return seconds


@pytest.fixture(scope="session")
def server() -> Iterator[postgresql.Server]:
    """PostgreSQL's server."""
    found = postgresql.programs()
    if found is None:
        pytest.skip("PostgreSQL's server is not installed here")
    with postgresql.running(found) as running:
        yield running


@pytest.fixture
def metadata(server: postgresql.Server, monkeypatch: pytest.MonkeyPatch) -> Metadata:
    """A metadata database without rows."""
    # The tests' server speaks no TLS.
    for variable in ("PGSSLMODE", "PGSSLROOTCERT"):
        monkeypatch.delenv(variable, raising=False)
    found = Metadata(server)
    found.create()
    return found


@pytest.fixture(scope="session")
def broker() -> Iterator[redis_server.Server]:
    """The broker, which no test stops."""
    with redis_server.running() as running:
        yield running


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket on which systemd listens to its services."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield channel
