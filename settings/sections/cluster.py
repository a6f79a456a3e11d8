"""Names that the cluster's and the pools' names are part of, and the lengths AWS allows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aws_catalog import limits
from settings.errors import Fault, shown

if TYPE_CHECKING:
    from settings.stack import Settings

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html and
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
_RESERVED_STARTS = {"internal-": "a load balancer", "sthree-": "a bucket", "amzn-s3-demo-": "a bucket"}
# Pulumi ends the names it makes up with a hyphen and seven characters.
_MADE_UP_TAIL = 8
_ACCOUNT_ID = "<account id>"


def cluster_name_length(settings: Settings) -> Iterator[Fault]:
    """The cluster's name leaves room for the longest suffix of each physical name, the public load balancer's included.

    That one counts even if there is none yet: a name that is too long for it could not be changed later, since a new
    cluster name means a new database.
    """
    name = settings.cluster.name
    # Twelve characters like every account id, so that a faulty account id does not hide a name that is too long.
    bucket = f"-{_ACCOUNT_ID}-{settings.region}-access-logs"
    names = (
        (limits.LOAD_BALANCER_NAME_LENGTH, "-public", "a load balancer"),
        (limits.REPLICATION_GROUP_ID_LENGTH, "-broker", "a replication group"),
        (limits.BUCKET_NAME_LENGTH, bucket, "a bucket"),
        (limits.DATABASE_IDENTIFIER_LENGTH, "-metadata", "a database"),
        (limits.ROLE_NAME_LENGTH, f"-{settings.region}-master", "a role"),
    )
    limit, suffix, what = min(names, key=lambda row: row[0] - len(row[1]))
    if len(name) + len(suffix) > limit:
        longest = limit - len(suffix)
        yield Fault(
            key="airflow:cluster.name",
            given=f"{shown(name)}, {len(name)} characters",
            allowed=f"at most {longest} characters: {what} is named <cluster>{suffix}, and AWS allows it {limit}",
            remedy=f"shorten it by {len(name) - longest}",
        )


def cluster_name_start(settings: Settings) -> Iterator[Fault]:
    """The cluster's name does not start with a prefix that AWS reserves: internal-, sthree-, amzn-s3-demo-."""
    name = settings.cluster.name
    for start, what in _RESERVED_STARTS.items():
        if name.startswith(start):
            yield Fault(
                key="airflow:cluster.name",
                given=shown(name),
                allowed=f"a name that does not start with {start}: AWS refuses such names for {what}",
                remedy="choose a name that starts differently",
            )


def pool_name_length(settings: Settings) -> Iterator[Fault]:
    """A pool's name leaves room in the names of its Auto Scaling group and its launch template."""
    group, template = f"{settings.cluster.name}-pool-", "pool--template"
    names = (
        (limits.AUTOSCALING_GROUP_NAME_LENGTH - len(group), f"the autoscaling group {group}<pool>"),
        (
            limits.LAUNCH_TEMPLATE_NAME_LENGTH - len(template) - _MADE_UP_TAIL,
            "the launch template pool-<pool>-template",
        ),
    )
    longest, where = min(names)
    for pool in settings.worker_pools:
        if len(pool) > longest:
            yield Fault(
                key=f"airflow:workerPools.{pool}",
                given=f"a name of {len(pool)} characters",
                allowed=f"at most {longest} characters, or AWS finds {where} too long",
                remedy=f"shorten it by {len(pool) - longest}",
            )
