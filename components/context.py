"""What all parts of a cluster have in common."""

from __future__ import annotations

from dataclasses import dataclass

from settings import RetentionSettings, Settings


@dataclass(frozen=True, kw_only=True)
class Context:
    """The cluster that a component belongs to.

    Attributes:
        cluster: the cluster's name, with which physical names start.
        protect: whether AWS and Pulumi refuse to delete data and what tasks depend on.
        retention: how long logs and buckets keep what is in them.
    """

    cluster: str
    account_id: str
    region: str
    protect: bool
    retention: RetentionSettings

    @classmethod
    def of(cls, settings: Settings) -> Context:
        """The context of the stack's cluster."""
        return cls(
            cluster=settings.cluster.name,
            account_id=settings.cluster.account_id,
            region=settings.region,
            protect=settings.cluster.protect_data,
            retention=settings.retention,
        )

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource in the cluster's account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"
