"""The VPC's name server and DHCP server, Route 53's private zone included: dnsmasq."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path

from lab import host
from lab.addresses import AddressPlan
from lab.network import BRIDGE
from lab.progress import LabError
from lab.servers.server import Endpoint, Server, Site

DIRECTORY = Path("/srv/dhcp")
"""Where dnsmasq finds what the lab writes for it."""


class Dnsmasq(Server):
    """The name server of all endpoints.

    `hosts` is the directory with a file for each node: its hardware address, a comma and its IPv4 address.
    """

    name = "dnsmasq"

    def __init__(self, site: Site, others: Sequence[Endpoint]) -> None:
        """`others` are the endpoints of the other servers."""
        super().__init__(site)
        self._others = others
        self.hosts = host.STATE / "dhcp" / "hosts"

    def endpoints(self) -> Sequence[Endpoint]:
        return [Endpoint(address=self.site.plan.resolver)]

    def install(self) -> None:
        self.hosts.mkdir(parents=True)
        self.site.root.run("root", "mkdir", "-p", DIRECTORY)
        self.site.namespace.run("mount", "--bind", self.hosts.parent, f"{self.site.root.path}{DIRECTORY}")

    def command(self) -> Sequence[str | Path]:
        names = {name: endpoint.address for endpoint in self._others for name in endpoint.names}
        options = arguments(self.site.plan, names, region=self.site.region)
        return self.site.root.command("root", "dnsmasq", *options)


def arguments(plan: AddressPlan, names: dict[str, IPv4Address], *, region: str) -> list[str]:
    """dnsmasq's arguments: the VPC's DHCP and its names.

    `names` have one address each. All others under amazonaws.com lead to the lab's AWS, so that nothing in the lab
    ever calls the real one.
    """
    zone = f"{region}.compute.internal"
    return [
        *("--keep-in-foreground", "--log-facility=-", "--user=root", "--pid-file="),
        *("--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--domain-needed", "--no-ping", "--log-queries=extra"),
        *(f"--interface={BRIDGE}", "--except-interface=lo", "--bind-interfaces"),
        *(f"--server={server}" for server in _upstream_name_servers()),
        # local: a query for a name's IPv6 address gets no address, and is not forwarded to the real AWS's name server.
        *("--local=/internal/", "--local=/amazonaws.com/", f"--address=/amazonaws.com/{plan.aws}"),
        *(f"--address=/{name}/{address}" for name, address in names.items()),
        # cloud-init queries these to find out whether a name server invents answers.
        *("--local=/invalid/", "--local=/does-not-exist.example.com/", "--local=/instance-data/"),
        f"--synth-domain={zone},{plan.vpc},ip-",
        *("--dhcp-authoritative", f"--dhcp-hostsdir={DIRECTORY}/hosts", f"--dhcp-leasefile={DIRECTORY}/leases"),
        f"--dhcp-option=option:domain-name,{zone}",
        f"--dhcp-option=option:dns-server,{plan.resolver}",
        *_dhcp_ranges(plan),
    ]


def _dhcp_ranges(plan: AddressPlan) -> Iterator[str]:
    for number, subnet in enumerate(plan.subnets.values()):
        yield f"--dhcp-range=set:s{number},{subnet.router},static,{subnet.cidr.netmask},1h"
        yield f"--dhcp-option=tag:s{number},option:router,{subnet.router}"


def _upstream_name_servers() -> list[str]:
    """This machine's name servers, without those on the loopback interface, which the lab cannot reach."""
    for file in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if file.exists():
            words = [line.split() for line in file.read_text().splitlines() if line.startswith("nameserver")]
            servers = [word[1] for word in words if not word[1].startswith("127.") and ":" not in word[1]]
            if servers:
                return servers
    raise LabError(
        "This machine's name server listens on the loopback interface, where nodes cannot reach it. "
        "Put one with another IPv4 address into /etc/resolv.conf."
    )
