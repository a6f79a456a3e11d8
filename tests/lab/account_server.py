"""The lab's AWS for a test: moto's server over HTTP, with the program's resources in it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from engine.recording import Recording
from lab.aws import account
from lab.aws.account import AccessKey
from lab.aws.fleet import Fleet
from lab.budget import divide
from lab.instance import Instance
from lab.servers.moto import ADDRESS, TLS_VERSION_HEADER
from lab.servers.server import REPOSITORY

REGION, ACCOUNT = "eu-west-1", "111122223333"
MEMORY_MIB = 23 << 10
"""Enough for half of the workers that the prod stack may have."""
DATABASE_ADMIN = json.dumps({"username": "admin", "password": "p'\"$x"})
"""What RDS stores in the secret that it manages."""


class Aws:
    """The running account. Clients' requests look as if they had passed the TLS front, unless `tls` is empty."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://{ADDRESS}:{port}"
        self.operator = AccessKey(id="unchecked", secret="unchecked")

    def client(self, service: str, key: AccessKey | None = None, token: str = "", tls: str = "TLSv1.3") -> Any:
        key = key or self.operator
        made = boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            aws_session_token=token or None,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

        def pass_the_front(request: Any, **_: object) -> None:
            request.headers["X-Forwarded-Proto"] = "https" if tls else "http"
            request.headers[TLS_VERSION_HEADER] = tls or "-"

        made.meta.events.register("before-send", pass_the_front)
        return made

    @property
    def fleet(self) -> Fleet:
        return Fleet(self.client, region=REGION, account_id=ACCOUNT)

    def instance(self, role: str) -> Instance:
        return next(instance for instance in self.fleet.instances().values() if instance.tags["airflow:role"] == role)

    def of_node(self, role: str, service: str, tls: str = "TLSv1.3") -> Any:
        """A client with the credentials that a node of the role gets from its metadata service."""
        return self.of_instance(self.instance(role), service, tls)

    def of_instance(self, instance: Instance, service: str, tls: str = "TLSv1.3") -> Any:
        """A client with the credentials that the instance gets from its metadata service."""
        given = self.fleet.credentials(instance)
        key = AccessKey(id=given.access_key_id, secret=given.secret_access_key)
        return self.client(service, key, given.session_token, tls)


@contextmanager
def served(recording: Recording, folder: Path) -> Generator[Aws]:
    """The running account with the program's resources, and permissions enforced."""
    with socket.create_server((ADDRESS, 0)) as probe:
        port = probe.getsockname()[1]
    settings = folder / "settings.json"
    given = {"port": port, "region": REGION, "account_id": ACCOUNT, "secret_arns": account.secret_arns(recording)}
    given["volume_ids"] = [volume.id for volume in recording.of_type(account.VOLUME)]
    settings.write_text(json.dumps(given))
    server = subprocess.Popen(
        [sys.executable, "-m", "lab.aws.moto_server", settings],
        env={**os.environ, "MOTO_ACCOUNT_ID": ACCOUNT, "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        log = server.stderr
        assert log is not None
        assert any("Running on" in line for line in log), "moto's server did not start"
        threading.Thread(target=log.read, daemon=True).start()  # a full pipe would stop the server
        yield _filled(Aws(port), recording)
    finally:
        server.terminate()
        server.wait()


def _filled(aws: Aws, recording: Recording) -> Aws:
    aws.operator = account.fill(
        recording,
        aws.client,
        secrets={secret["secretArn"]: DATABASE_ADMIN for secret in account.managed_secrets(recording)},
        maximums=divide(recording, MEMORY_MIB).maximums,
    )
    connection = http.client.HTTPConnection(aws.endpoint.removeprefix("http://"), timeout=10)
    connection.request("POST", "/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
    assert connection.getresponse().status == 200
    return aws


def refusal(call: Callable[[], object]) -> str:
    """The error with which AWS refuses a call."""
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value)
