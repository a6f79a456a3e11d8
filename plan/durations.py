"""How long `pulumi up` takes to create a stack: an estimate from the chain of resources that takes longest.

Pulumi creates a resource as soon as everything that it depends on exists, so that the longest chain decides. The
minutes are those that public logs of other projects show, none of which says all about its settings; nothing here was
measured with this program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.recording import Recording, Resource

_DATABASE = "aws:rds/instance:Instance"

# Fast and slow, in minutes.
MINUTES: Mapping[str, tuple[float, float]] = {
    # With one instance; most of the logs seen are between these.
    _DATABASE: (3.3, 8),
    # With TLS and AUTH, and a replica: https://github.com/hashicorp/terraform-provider-aws/pull/45518 and others
    "aws:elasticache/replicationGroup:ReplicationGroup": (6, 10),
    # https://github.com/DataBiosphere/azul/pull/5780
    "aws:lb/loadBalancer:LoadBalancer": (2.2, 2.9),
    "aws:ec2/natGateway:NatGateway": (1.4, 2.1),
}
# Two logs of slow instances, probably with a standby; RDS's documentation says up to 20.
WITH_STANDBY = (8.0, 20.0)
OTHERS = (0.03, 0.15)
"""Two to nine seconds: what most resources take, and what is assumed of those without public logs."""


@dataclass(frozen=True)
class Estimate:
    """The longest chain, first resource first, and what it takes, in minutes."""

    chain: Sequence[Resource]
    fast: float
    slow: float

    @property
    def deciding(self) -> Sequence[Resource]:
        """The resources of the chain that take minutes."""
        return [each for each in self.chain if _minutes(each) != OTHERS]


def creation(recording: Recording) -> Estimate | None:
    """The estimate for creating everything; None if there is nothing to create."""
    chains: dict[str, tuple[float, list[Resource]]] = {}
    for resource in recording.resources:  # each comes after what it depends on
        longest = max((chains[urn] for urn in _before(resource, chains)), key=lambda chain: chain[0], default=(0.0, []))
        own = _minutes(resource)[1] if resource.options.custom else 0.0
        chains[resource.urn] = (longest[0] + own, [*longest[1], *([resource] if resource.options.custom else [])])
    if not chains:
        return None
    slow, chain = max(chains.values(), key=lambda each: each[0])
    return Estimate(chain, sum(_minutes(each)[0] for each in chain), slow)


def lines(recording: Recording) -> list[str]:
    """The estimate as text; nothing if no resource takes minutes."""
    estimate = creation(recording)
    if estimate is None or not estimate.deciding:
        return []
    chain = " -> ".join(_written(each) for each in estimate.chain)
    return [
        f"`pulumi up` takes about {estimate.fast:.0f} to {estimate.slow:.0f} minutes, then nodes boot "
        "(an estimate from public logs, not measured)",
        f"  longest chain: {chain}",
    ]


def _before(resource: Resource, known: Iterable[str]) -> list[str]:
    known = set(known)
    return [urn for urn in (resource.parent, *resource.dependencies) if urn in known]


def _minutes(resource: Resource) -> tuple[float, float]:
    if resource.type == _DATABASE and resource.inputs.get("multiAz"):
        return WITH_STANDBY
    return MINUTES.get(resource.type, OTHERS)


def _written(resource: Resource) -> str:
    fast, slow = _minutes(resource)
    return resource.name if (fast, slow) == OTHERS else f"{resource.name} ({fast:.0f} to {slow:.0f} min)"
