"""The account the cluster is built in, and the tags everything in it carries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aws_catalog import limits
from settings.errors import Fault, shown

if TYPE_CHECKING:
    from settings.stack import Settings

# The artifacts are S3 objects, and carry the stack's tags like every resource.
MOST_TAGS = limits.TAGS_PER_OBJECT


def account_is_allowed(settings: Settings) -> Iterator[Fault]:
    """`cluster.accountId` is one of `aws:allowedAccountIds`, if these are set."""
    account, allowed = settings.cluster.account_id, settings.allowed_account_ids
    if allowed and account not in allowed:
        yield Fault(
            key="airflow:cluster.accountId",
            given=shown(account),
            allowed=f"one of aws:allowedAccountIds: {', '.join(allowed)}",
            remedy="set the account of this stack in both keys",
        )


def tags_fit(settings: Settings) -> Iterator[Fault]:
    """There are no more tags than an S3 object allows, none of the program's own, and none that differ only in case."""
    tags = settings.tags
    if len(tags) > MOST_TAGS:
        yield Fault(
            key="aws:defaultTags.tags",
            given=f"{len(tags)} tags",
            allowed=f"at most {MOST_TAGS}: the nodes' artifacts carry them too, and S3 allows no more on an object",
            remedy=f"remove {len(tags) - MOST_TAGS}",
        )
    spellings = defaultdict(list)
    for tag in tags:
        spellings[tag.lower()].append(tag)
        if tag == "Name" or tag.lower().startswith("airflow:"):
            yield Fault(
                key=f"aws:defaultTags.tags.{tag}",
                given="a tag that the program sets itself",
                allowed="any key but Name and those starting with airflow:",
                remedy="choose another key; the console finds nodes by the program's tags",
            )
    for alike in spellings.values():
        if len(alike) > 1:
            yield Fault(
                key=f"aws:defaultTags.tags.{alike[1]}",
                given=" and ".join(alike),
                allowed="keys that differ not only in case: IAM treats these as the same",
                remedy="keep one of them",
            )
