"""The node's own address, for Airflow's `hostname_callable`."""

from __future__ import annotations

import socket

# The metadata service: every EC2 instance has a route to it, through its primary interface.
METADATA_SERVICE = "169.254.169.254"


def private_address() -> str:
    """The private IPv4 address under which other nodes reach this one. Live logs are read from it.

    The host name would need DNS, and on Debian's images /etc/hosts maps it to 127.0.1.1.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Connecting a datagram socket sends nothing; it only chooses the source address.
        probe.connect((METADATA_SERVICE, 80))
        return probe.getsockname()[0]
