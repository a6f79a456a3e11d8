"""The alarms on the NAT gateways."""

from __future__ import annotations

import pulumi

from components.alarm import Alarm, Watch

# From this share on, AWS itself advises to act on a NAT gateway's dropped packets:
# https://docs.aws.amazon.com/vpc/latest/userguide/metrics-dimensions-nat-gateway.html
_DROPPED_PERCENT = 0.01


def nat_alarms(zone: str, gateway_id: pulumi.Input[str]) -> list[Alarm]:
    """Alarms on a NAT gateway. Tasks, and nodes that install packages, use it for all that is outside of the VPC."""
    of = Watch("AWS/NATGateway", {"NatGatewayId": gateway_id}, f"nat-{zone[-1]}", "network.md")
    dropped = Alarm(
        name=f"nat-{zone[-1]}-drops-packets",
        severity="warning",
        broken=f"The NAT gateway in {zone} has dropped packets for a quarter of an hour: connections of tasks to"
        " systems outside of the VPC are slow or break.",
        runbook="network.md#dropped-packets",
        metrics={
            "dropped": of.metric("PacketsDropCount", "Sum"),
            "sent": of.metric("PacketsInFromSource", "Sum"),
            "received": of.metric("PacketsInFromDestination", "Sum"),
        },
        expression="100 * dropped / (sent + received + 1)",
        above=_DROPPED_PERCENT,
        periods=3,
    )
    ports = of.alarm(
        "ports",
        "critical",
        f"The NAT gateway in {zone} has no port left for a destination: new connections of tasks to it fail.",
        of.metric("ErrorPortAllocation", "Sum"),
        above=0,
        periods=2,
        runbook="port-allocation",
    )
    return [dropped, ports]
