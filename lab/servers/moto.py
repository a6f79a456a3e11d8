"""AWS's APIs: moto's server (`lab.aws.moto_server`), which clients reach through HAProxy's TLS front."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lab import host
from lab.aws import account
from lab.aws.account import AccessKey
from lab.progress import LabError
from lab.servers.server import PythonServer, Site

ADDRESS, PORT = "127.0.0.1", 5000
"""On the loopback interface of the lab's network: nodes reach it only through the TLS front."""
TLS_VERSION_HEADER = "X-Lab-Tls-Version"
"""Set by the TLS front on every request, whatever the client sent."""
_ENFORCE = """
import sys, urllib.request
url, plain = sys.argv[1] + "/moto-api/reset-auth", {"Content-Type": "text/plain"}
urllib.request.urlopen(urllib.request.Request(url, data=b"0", headers=plain)).read()
"""


class Moto(PythonServer):
    """The account. It holds its resources in memory, so they must be made again after a `stop`."""

    name = "moto"
    needs = ("haproxy",)  # its clients come through the TLS front
    module = "lab.aws.moto_server"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.operator = AccessKey(id="unchecked", secret="unchecked")  # noqa: S106 - nothing is checked before `fill`

    def install(self) -> None:
        settings = {
            "port": PORT,
            "account_id": self.site.account_id,
            "region": self.site.region,
            "secret_arns": account.secret_arns(self.site.recording),
            "volume_ids": [volume.id for volume in self.site.recording.of_type(account.VOLUME)],
        }
        self._settings_file.write_text(json.dumps(settings))

    def arguments(self) -> Sequence[str | Path]:
        return [self._settings_file]

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), "MOTO_ACCOUNT_ID": self.site.account_id}

    def check(self) -> None:
        try:
            self.client("sts").get_caller_identity()
        except (BotoCoreError, ClientError) as failure:
            raise LabError(str(failure)) from failure

    def client(self, service: str, key: AccessKey | None = None) -> Any:
        """A boto3 client of the account, by default the operator's, who may do everything."""
        key = key or self.operator
        return boto3.client(
            service,
            endpoint_url=f"https://{self.site.plan.aws}",
            region_name=self.site.region,
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            verify=str(self.site.ca_file),
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}, connect_timeout=5),
        )

    def fill(self, *, secrets: Mapping[str, str], maximums: Mapping[str, int]) -> None:
        """Make the program's resources, then enforce permissions.

        `secrets` are values that AWS itself stores, by ARN; `maximums` the largest sizes of the autoscaling groups.
        """
        self.operator = account.fill(self.site.recording, self.client, secrets=secrets, maximums=maximums)
        self.site.namespace.run(sys.executable, "-c", _ENFORCE, f"http://{ADDRESS}:{PORT}")

    @property
    def _settings_file(self) -> Path:
        return host.STATE / "moto.json"
