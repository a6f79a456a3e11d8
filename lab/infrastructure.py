"""Everything around the nodes: the namespace, the network, the servers and the AWS account with its resources."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from engine.recording import Recording
from lab import forwarding, host, image, load_balancer, network
from lab.addresses import plan_addresses
from lab.aws import account
from lab.certificates import CertificateAuthority
from lab.load_balancer import Targets
from lab.namespace import Namespace
from lab.node import NodeStorage
from lab.progress import LabError
from lab.security_groups import PacketFilter
from lab.servers import Broker, Database, ServerRoot, start_broker, start_database
from lab.stack import hostile_admin_password

REPOSITORY = Path(__file__).resolve().parent.parent
LAYER = Path(__file__).with_name("layer")
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
ENFORCE = """
import urllib.request
url, plain = "http://{}:{}/moto-api/reset-auth", {{"Content-Type": "text/plain"}}
urllib.request.urlopen(urllib.request.Request(url, data=b"0", headers=plain)).read()
"""


ATTACHED = ("plan", "region", "account_id", "database", "broker", "ca_file", "namespace", "operator", "root", "targets")


class Infrastructure:
    """The running lab without its nodes."""

    def __getstate__(self) -> dict[str, Any]:
        """For another process: what is used of a lab that runs, not what builds it."""
        return {name: getattr(self, name) for name in ATTACHED}

    def __init__(self, recording: Recording, authority: CertificateAuthority, maximums: Mapping[str, int]) -> None:
        """Start everything. `maximums` are the largest sizes of the autoscaling groups that fit on this machine."""
        self.recording = recording
        self._maximums = maximums
        self.plan = plan_addresses(recording)
        network.refuse_overlap(self.plan.vpc)
        group = recording.of_type("aws:autoscaling/group:Group")[0]
        _, _, _, self.region, self.account_id, *_ = group.outputs["arn"].split(":")
        self.authority = authority
        self.database = Database.from_recording(recording, self.plan.database, hostile_admin_password())
        self.broker = Broker.from_recording(recording, self.plan.broker)
        self.metadata = host.make_private(host.STATE / "metadata")
        self.ca_file = host.STATE / "ca.pem"
        self.ca_file.write_text(self.authority.certificate)
        self.namespace = Namespace()
        try:
            self._start()
        except BaseException:
            self.namespace.close()
            raise

    def client(self, service: str, key: account.AccessKey | None = None) -> Any:
        """A boto3 client of the lab's account, by default the operator's, who may do everything."""
        key = key or self.operator
        return boto3.client(
            service,
            endpoint_url=f"https://{self.plan.aws}",
            region_name=self.region,
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            verify=str(self.ca_file),
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}, connect_timeout=5),
        )

    def _start(self) -> None:
        self._connect()
        self.namespace.make_disks()
        self.root = ServerRoot(self.namespace, image.build(image.SERVERS))
        self._start_name_server()
        self._start_aws()
        clients = [self.plan.vpc, IPv4Network(network.HOST_END)]
        start_database(self.root, self.database, clients, self.authority)
        start_broker(self.root, self.broker, self.authority)
        self._fill_account()
        self.storage = NodeStorage(
            disks=host.DISKS / "nodes", lower=[self._layer(), image.build(image.NODE)], dhcp_hosts=self._dhcp_hosts
        )
        self.targets = Targets(self.namespace.view(Path(f"{self.root.path}{load_balancer.CONTROL}")))

    def _connect(self) -> None:
        Path("/run/netns").mkdir(exist_ok=True)
        self.namespace.run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        network.connect_to_host(self.namespace, self.plan.vpc)
        forwarding.admit()
        network.make_router(self.namespace, self.plan)
        self.packet_filter = PacketFilter(self.namespace, self.recording, self.plan)

    def _start_name_server(self) -> None:
        self._dhcp_hosts = host.STATE / "dhcp" / "hosts"
        self._dhcp_hosts.mkdir(parents=True)
        names = {
            self.database.name: self.plan.database,
            self.broker.name: self.plan.broker,
            **load_balancer.names(self.recording, self.plan),
        }
        inside = Path("/srv/dhcp")
        self.root.run("root", "mkdir", "-p", inside)
        self.namespace.run("mount", "--bind", self._dhcp_hosts.parent, f"{self.root.path}{inside}")
        command = network.name_server_command(self.plan, names, region=self.region, hosts=inside / "hosts")
        self.root.start("dnsmasq", "root", *command)

    def _start_aws(self) -> None:
        self._start_python("metadata", "lab.imds", self.metadata)
        settings = {
            "port": load_balancer.MOTO_PORT,
            "account_id": self.account_id,
            "region": self.region,
            "secret_arns": account.secret_arns(self.recording),
        }
        file = host.STATE / "moto.json"
        file.write_text(json.dumps(settings))
        self._start_python("moto", "lab.aws.moto_server", file)
        home = load_balancer.HOME
        names = load_balancer.aws_names(self.region)
        self.root.write(f"{home}/aws.pem", "".join(self.authority.issue(names, [self.plan.aws])))
        if domains := load_balancer.domains(self.recording):
            self.root.write(f"{home}/domain.pem", "".join(self.authority.issue(domains)))
        self.root.write(f"{home}/haproxy.cfg", load_balancer.configuration(self.recording, self.plan))
        self.root.start("haproxy", "root", "haproxy", "-db", "-f", f"{home}/haproxy.cfg")

    def _start_python(self, name: str, module: str, *arguments: Path) -> None:
        environment = {"PYTHONPATH": str(REPOSITORY), "MOTO_ACCOUNT_ID": self.account_id, "PYTHONUNBUFFERED": "1"}
        with (host.make_private(host.LOGS) / f"{name}.log").open("ab") as log:
            self.namespace.start(sys.executable, "-m", module, *arguments, log=log, environment=environment)

    def _fill_account(self) -> None:
        """Make the program's resources, then let moto ask everybody for permission."""
        self.operator = account.AccessKey(id="unchecked", secret="unchecked")  # noqa: S106 - nothing is checked yet
        self._wait_for_account()
        self.operator = account.fill(
            self.recording, self.client, database_admin=self.database.managed_secret, maximums=self._maximums
        )
        address = ENFORCE.format(load_balancer.MOTO_ADDRESS, load_balancer.MOTO_PORT)
        self.namespace.run(sys.executable, "-c", address)

    def _wait_for_account(self, timeout: float = 60) -> None:
        end = time.monotonic() + timeout
        sts = self.client("sts")
        while True:
            try:
                sts.get_caller_identity()
            except (BotoCoreError, ClientError) as failure:
                if time.monotonic() > end:
                    raise LabError(f"The lab's AWS did not come up ({failure}). Logs: {host.LOGS}") from None
                time.sleep(0.2)
            else:
                return

    def _layer(self) -> Path:
        """The files that only the lab adds to a node, with the lab's authority among those that the node trusts."""
        layer = host.STATE / "layer"
        shutil.copytree(LAYER, layer)
        bundle = layer / BUNDLE
        bundle.parent.mkdir(parents=True)
        bundle.write_text((image.NODE.path / BUNDLE).read_text() + self.authority.certificate)
        # Found again when the node itself rebuilds the bundle.
        own = layer / "usr/local/share/ca-certificates/airflow-lab.crt"
        own.parent.mkdir(parents=True)
        own.write_text(self.authority.certificate)
        return layer
