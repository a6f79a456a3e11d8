"""The keys of Pulumi's AWS provider that the program reads too: the region, the tags and the allowed accounts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Annotated

from aws_catalog import limits, regions
from settings.errors import Fault
from settings.types import Allowed, in_catalog, nearest_or


def _region_remedy(text: str) -> str:
    partition = regions.partition(text)
    if partition in regions.COMMERCIAL_REGIONS_NEARBY:
        return (
            f"choose a region in the partition aws, for example {regions.COMMERCIAL_REGIONS_NEARBY[partition]}: the "
            f"program uses ARNs that start with arn:aws:, and {text} is in {partition}"
        )
    return nearest_or(text, regions.ZONE_LETTERS, in_catalog("regions"))


# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Tag.html reserves rds: in addition to aws:.
_RESERVED_TAG = re.compile(r"(?i:aws|rds):")


def _is_tag_text(text: str, length: int) -> bool:
    plain = re.fullmatch(rf"[\w .:/=+@-]{{0,{length}}}", text)
    return bool(plain) and not _RESERVED_TAG.match(text)


def _tag_key_remedy(text: str) -> str:
    plain = re.sub(r"[^\w .:/=+@-]+", "-", text)[: limits.TAG_KEY_LENGTH].strip(" -")
    while _RESERVED_TAG.match(plain):
        plain = _RESERVED_TAG.sub("", plain, count=1).strip()
    return f"rename the tag, for example {plain or 'Team'}"


Region = Annotated[
    str, Allowed("a region of the commercial partition", regions.ZONE_LETTERS.__contains__, _region_remedy)
]
TagKey = Annotated[
    str,
    Allowed(
        f"1 to {limits.TAG_KEY_LENGTH} letters, digits, spaces and _ . : / = + - @, no space at either end, not "
        "starting with aws: or rds:",
        lambda text: bool(text) and text == text.strip() and _is_tag_text(text, limits.TAG_KEY_LENGTH),
        _tag_key_remedy,
    ),
]
TagValue = Annotated[
    str,
    Allowed(
        f"up to {limits.TAG_VALUE_LENGTH} letters, digits, spaces and _ . : / = + - @, not starting with aws: or rds:",
        lambda text: _is_tag_text(text, limits.TAG_VALUE_LENGTH),
        "shorten it, or leave the other characters out",
    ),
]
# The artifacts are S3 objects, and carry the stack's tags like every resource.
MOST_TAGS = limits.TAGS_PER_OBJECT


def tags_fit(tags: Mapping[str, str]) -> Iterator[Fault]:
    """There are no more tags than an S3 object allows, none of the program's own, and none that differ only in case."""
    tags = tags
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


RULES = (tags_fit,)
