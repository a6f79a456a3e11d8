"""The lab's network: one bridge as the VPC's router, and a cable to this machine."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lab import host
from lab.addresses import AddressPlan
from lab.namespace import HOST_LINK, HOST_TABLE, Namespace
from lab.progress import LabError

BRIDGE = "vpc"
METADATA_ADDRESS = "169.254.169.254"
ROUTER_MAC = "06:00:00:00:00:01"
"""Without a fixed one, a bridge takes that of a port, and another when that port goes. Nodes would then send to an
address that does not exist, until their neighbour tables expire."""
# Link-local: they are used on this cable alone.
HOST_END, LAB_END = (IPv4Address("169.254.77.0") + 4 * host.NUMBER + end for end in (1, 2))


def refuse_overlap(vpc: IPv4Network) -> None:
    """Raise LabError when this machine has a route to addresses of the VPC already."""
    listed = subprocess.run(["ip", "-json", "route"], capture_output=True, text=True, env=host.ENVIRONMENT, check=True)
    for route in json.loads(listed.stdout):
        if route["dst"] != "default" and IPv4Network(route["dst"]).overlaps(vpc):
            raise LabError(
                f"This machine has a route to {route['dst']} (by {route.get('dev', 'another host')}), "
                f"which overlaps the stack's VPC {vpc}. "
                "Change airflow:network.cidr in a copy of the stack file, or remove the route while the lab runs."
            )


def connect_to_host(namespace: Namespace, vpc: IPv4Network) -> None:
    """Connect the VPC to this machine, and through its address to the internet."""
    _host(
        *("ip", "link", "add", HOST_LINK, "type", "veth", "peer", "name", "uplink"),
        *("netns", str(namespace.init_pid)),
    )
    _host("ip", "address", "add", f"{HOST_END}/30", "dev", HOST_LINK)
    _host("ip", "link", "set", HOST_LINK, "up")
    _host("ip", "route", "add", str(vpc), "via", str(LAB_END), "dev", HOST_LINK)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    _host("nft", "-f", "-", text=_masquerade(vpc))
    _ip(
        namespace,
        f"""
        link set lo up
        address add {LAB_END}/30 dev uplink
        link set uplink up
        route add default via {HOST_END}
    """,
    )


def make_router(namespace: Namespace, plan: AddressPlan, servers: Iterable[IPv4Address]) -> None:
    """Make the bridge with the routers' and servers' addresses; nodes reach each other through it, never directly."""
    addresses = [
        *(f"{subnet.router}/{subnet.cidr.prefixlen}" for subnet in plan.subnets.values()),
        *(f"{server}/32" for server in servers),
    ]
    _ip(namespace, f"link add {BRIDGE} address {ROUTER_MAC} type bridge\nlink set {BRIDGE} up")
    _ip(namespace, "\n".join(f"address add {address} dev {BRIDGE}" for address in addresses))
    sysctls = {
        "net.ipv4.ip_forward": 1,
        # Ports are isolated, so that security groups apply between neighbours in a subnet too; the router answers ARP.
        f"net.ipv4.conf.{BRIDGE}.proxy_arp_pvlan": 1,
        "net.ipv4.conf.all.send_redirects": 0,
        f"net.ipv4.conf.{BRIDGE}.send_redirects": 0,
    }
    for key, value in sysctls.items():
        namespace.run("sh", "-c", f"echo {value} > /proc/sys/{key.replace('.', '/')}")


def plug_in(namespace: Namespace, *, port: str, netns: str, mac: str) -> None:
    """Give a node its network interface: a network namespace of its own with `ens5` on a port of the bridge."""
    _ip(
        namespace,
        f"""
        netns add {netns}
        link add {port} type veth peer name ens5 address {mac} netns {netns}
        link set {port} master {BRIDGE} up
        link set {port} type bridge_slave isolated on
    """,
    )


def unplug(namespace: Namespace, *, port: str, netns: str) -> None:
    """Remove a node's interface, with the other end of the cable."""
    for command in (f"link delete {port}", f"netns delete {netns}"):
        with contextlib.suppress(LabError):  # the kernel may have removed them with the node's namespace
            _ip(namespace, command)


def set_cable(namespace: Namespace, *, port: str, connected: bool) -> None:
    """Disconnect a node's cable, or connect it again."""
    _ip(namespace, f"link set {port} {'up' if connected else 'down'}")


def _masquerade(vpc: IPv4Network) -> str:
    return f"""
        table inet {HOST_TABLE} {{
            chain out {{
                type nat hook postrouting priority srcnat;
                ip saddr {{ {vpc}, {LAB_END} }} oifname != "{HOST_LINK}" masquerade
            }}
            chain pass {{
                type filter hook forward priority filter;
                iifname "{HOST_LINK}" accept
                oifname "{HOST_LINK}" accept
            }}
        }}
    """


def _ip(namespace: Namespace, batch: str) -> None:
    namespace.run("ip", "-batch", "-", text="\n".join(line.strip() for line in batch.splitlines() if line.strip()))


def _host(*command: str, text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=host.ENVIRONMENT, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)} failed: {done.stderr.strip()}")
