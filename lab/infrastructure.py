"""Everything around the nodes: the namespace, the network, the servers and the AWS account with its resources."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.recording import Recording
from lab import forwarding, host, image, network
from lab.addresses import plan_addresses
from lab.aws import account
from lab.certificates import CertificateAuthority
from lab.namespace import Namespace
from lab.node import NodeStorage
from lab.security_groups import PacketFilter
from lab.servers.dnsmasq import Dnsmasq
from lab.servers.haproxy import HAProxy
from lab.servers.metadata_service import MetadataService
from lab.servers.moto import Moto
from lab.servers.postgresql import PostgreSQL
from lab.servers.root import ServerRoot
from lab.servers.server import Server, Site, boot
from lab.servers.valkey import Valkey

LAYER = Path(__file__).with_name("layer")
BUNDLE = "etc/ssl/certs/ca-certificates.crt"


class Infrastructure:
    """The running lab without its nodes."""

    def __init__(self, recording: Recording, authority: CertificateAuthority, maximums: Mapping[str, int]) -> None:
        """Start everything. `maximums` are the largest sizes of the autoscaling groups that fit on this machine."""
        self.plan = plan_addresses(recording)
        network.refuse_overlap(self.plan.vpc)
        group = recording.of_type(account.GROUP)[0]
        _, _, _, self.region, self.account_id, *_ = group.outputs["arn"].split(":")
        self.ca_file = host.STATE / "ca.pem"
        self.ca_file.write_text(authority.certificate)
        self.namespace = Namespace()
        self._site = Site(
            recording=recording,
            plan=self.plan,
            region=self.region,
            account_id=self.account_id,
            authority=authority,
            ca_file=self.ca_file,
            namespace=self.namespace,
            root=ServerRoot(self.namespace),
        )
        try:
            self._start(maximums)
        except BaseException:
            self.namespace.close()
            raise

    def client(self, service: str, key: account.AccessKey | None = None) -> Any:
        """A boto3 client of the lab's account, by default the operator's, who may do everything."""
        return self.moto.client(service, key)

    @property
    def operator(self) -> account.AccessKey:
        """The key that may do everything."""
        return self.moto.operator

    def _start(self, maximums: Mapping[str, int]) -> None:
        servers = self._servers()
        self._connect(servers)
        self.namespace.make_disks()
        self._site.root.mount(image.build(image.SERVERS))
        boot(servers)
        secrets = {arn: value for server in servers for arn, value in server.secrets().items()}
        self.moto.fill(secrets=secrets, maximums=maximums)
        self.storage = NodeStorage(
            disks=host.DISKS / "nodes", lower=[self._layer(), image.build(image.NODE)], dhcp_hosts=self.dnsmasq.hosts
        )

    def _servers(self) -> list[Server]:
        """All servers, each after those that it needs."""
        self.metadata_service = MetadataService(self._site)
        self.haproxy = HAProxy(self._site)
        self.moto = Moto(self._site)
        self.postgresql = PostgreSQL(self._site)
        self.valkey = Valkey(self._site)
        servers = [self.metadata_service, self.haproxy, self.moto, self.postgresql, self.valkey]
        self.dnsmasq = Dnsmasq(self._site, [endpoint for server in servers for endpoint in server.endpoints()])
        return [*servers, self.dnsmasq]

    def _connect(self, servers: list[Server]) -> None:
        """Create the network, with the addresses of the servers in it."""
        endpoints = [endpoint for server in servers for endpoint in server.endpoints()]
        Path("/run/netns").mkdir(exist_ok=True)
        self.namespace.run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        network.connect_to_host(self.namespace, self.plan.vpc)
        forwarding.admit()
        network.make_router(self.namespace, self.plan, [endpoint.address for endpoint in endpoints])
        self.packet_filter = PacketFilter(self.namespace, self._site.recording, self.plan, endpoints)

    def _layer(self) -> Path:
        """The files that only the lab adds to a node, with the lab's authority among those that the node trusts."""
        layer, authority = host.STATE / "layer", self._site.authority.certificate
        shutil.copytree(LAYER, layer)
        bundle = layer / BUNDLE
        bundle.parent.mkdir(parents=True)
        bundle.write_text((image.NODE.path / BUNDLE).read_text() + authority)
        # This copy is for a node that rebuilds the bundle itself.
        own = layer / "usr/local/share/ca-certificates/airflow-lab.crt"
        own.parent.mkdir(parents=True)
        own.write_text(authority)
        return layer
