"""`airflow:cluster`: what the cluster is called and where it is, and the names that AWS allows."""

from __future__ import annotations

from collections.abc import Iterator

from aws_catalog import limits
from settings.errors import Fault, shown
from settings.section import Section
from settings.types import AccountId, Flag, Name


class ClusterSettings(Section):
    """The cluster's identity. Its name is the prefix of every physical name that a person or a machine has to type."""

    name: Name
    """Prefix of the names of buckets, secrets, groups, database and load balancers. At most 25 characters: the name of
    the public load balancer is the first to reach its limit (32); in regions with long names it is a bucket's (63). Do
    not change it in a running stack: the database would be renamed, and everything else replaced by empty resources
    (docs/moving-a-cluster.md)."""

    account_id: AccountId
    """The AWS account, in quotes; part of the bucket names, so that they are globally unique. Must be one of
    `aws:allowedAccountIds`, which stops Pulumi if the credentials belong to another account."""

    protect_data: Flag = True
    """Whether Pulumi and AWS refuse to delete what cannot be recreated (database, broker, log and DAG buckets, Fernet
    key) and the internal load balancer, and Pulumi refuses `pulumi destroy` before it deletes anything. To destroy a
    stack, set it to false and run `pulumi up` first."""


def account_is_allowed(cluster: ClusterSettings, allowed_account_ids: tuple[str, ...]) -> Iterator[Fault]:
    """`cluster.accountId` is one of `aws:allowedAccountIds`, if these are set."""
    if allowed_account_ids and cluster.account_id not in allowed_account_ids:
        yield Fault(
            key="airflow:cluster.accountId",
            given=shown(cluster.account_id),
            allowed=f"one of aws:allowedAccountIds: {', '.join(allowed_account_ids)}",
            remedy="set the account of this stack in both keys",
        )


# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html and
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
_RESERVED_STARTS = {"internal-": "a load balancer", "sthree-": "a bucket", "amzn-s3-demo-": "a bucket"}
_ACCOUNT_ID = "<account id>"


def cluster_name_length(cluster: ClusterSettings, region: str) -> Iterator[Fault]:
    """The cluster's name leaves room for the longest suffix of each physical name, the public load balancer's included.

    The public load balancer counts even if there is none yet: a name that is too long for it could not be changed
    later, because a new cluster name means a new database.
    """
    name = cluster.name
    # Twelve characters like every account id, so that a faulty account id does not hide a name that is too long.
    bucket = f"-{_ACCOUNT_ID}-{region}-access-logs"
    names = (
        (limits.LOAD_BALANCER_NAME_LENGTH, "-public", "a load balancer"),
        (limits.REPLICATION_GROUP_ID_LENGTH, "-broker", "a replication group"),
        (limits.BUCKET_NAME_LENGTH, bucket, "a bucket"),
        (limits.DATABASE_IDENTIFIER_LENGTH, "-metadata", "a database"),
        (limits.ROLE_NAME_LENGTH, f"-{region}-master", "a role"),
    )
    limit, suffix, what = min(names, key=lambda row: row[0] - len(row[1]))
    if len(name) + len(suffix) > limit:
        longest = limit - len(suffix)
        yield Fault(
            key="airflow:cluster.name",
            given=f"{shown(name)}, {len(name)} characters",
            allowed=f"at most {longest} characters: {what} is named <cluster>{suffix}, and AWS allows {limit} "
            "characters",
            remedy=f"shorten it by {len(name) - longest}",
        )


def cluster_name_start(cluster: ClusterSettings) -> Iterator[Fault]:
    """The cluster's name does not start with a prefix that AWS reserves: internal-, sthree-, amzn-s3-demo-."""
    name = cluster.name
    for start, what in _RESERVED_STARTS.items():
        if name.startswith(start):
            yield Fault(
                key="airflow:cluster.name",
                given=shown(name),
                allowed=f"a name that does not start with {start}: AWS refuses such names for {what}",
                remedy="choose a name that starts differently",
            )


RULES = (account_is_allowed, cluster_name_length, cluster_name_start)
