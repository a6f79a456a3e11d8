"""The kinds of value a stack file may hold: what each accepts, and what to do when it does not."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, Strict
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from aws_catalog import broker_nodes, database_classes, endpoint_services, instance_types, limits, regions
from settings import ipv4


@dataclass(frozen=True)
class Allowed:
    """The values a key takes, in a sentence for people and as a test; hung on a type with `Annotated`."""

    sentence: str
    accepts: Callable[[Any], bool]
    remedy: str | Callable[[Any], str]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: Any) -> Any:
        if self.accepts(value):
            return value
        remedy = self.remedy if isinstance(self.remedy, str) else self.remedy(value)
        raise PydanticCustomError("not_allowed", "{allowed}", {"allowed": self.sentence, "remedy": remedy})


def whole_number(low: int, high: int | None, unit: str = "") -> Allowed:
    """An integer from `low` to `high`, both included; `high` None means that nothing but reason limits it."""
    suffix = f" {unit}" if unit else ""
    if high is None:
        return Allowed(
            f"a whole number from {low} up{suffix and f' ({unit})'}",
            lambda number: number >= low,
            f"set it to {low} or more",
        )
    return Allowed(
        f"a whole number from {low:,} to {high:,}{suffix and f' ({unit})'}",
        lambda number: low <= number <= high,
        lambda number: f"lower it to at most {high:,}" if number > high else f"raise it to at least {low:,}",
    )


def number(low: float, high: float, unit: str) -> Allowed:
    """A number from `low` to `high`, both included, which may have a fraction."""
    return Allowed(
        f"a number from {low:,g} to {high:,g} ({unit})",
        lambda given: low <= given <= high,
        lambda given: f"lower it to at most {high:,g}" if given > high else f"raise it to at least {low:,g}",
    )


def at_least(low: int, what: str, *, at_most: int | None = None) -> Allowed:
    """A list with no entry twice and so many entries; `what` names them."""
    most = f", at most {at_most}" if at_most else ""

    def remedy(entries: tuple[str, ...]) -> str:
        repeated = sorted({entry for entry in entries if entries.count(entry) > 1})
        if repeated:
            return f"{', '.join(repeated)} is there twice; keep it once"
        return "leave some out" if at_most and len(entries) > at_most else f"give at least {low}"

    return Allowed(
        f"a list of at least {low} {what}{most}, none of them twice",
        lambda entries: low <= len(entries) <= (at_most or len(entries)) and len(set(entries)) == len(entries),
        remedy,
    )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, whatever its case and word separators, or None where nothing is alike."""
    plain = {_plain(candidate): candidate for candidate in known}
    alike = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.6)
    return plain[alike[0]] if alike else None


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


def _one_of(what: str, known: Iterable[str], where: str) -> Allowed:
    words = tuple(known)
    return Allowed(what, set(words).__contains__, lambda word: _nearest_or(word, words, where))


def _nearest_or(word: str, known: Iterable[str], where: str) -> str:
    alike = nearest(word, known)
    return f"did you mean {alike}? {where}" if alike else where


def _matching(pattern: str, sentence: str, remedy: str | Callable[[str], str]) -> Allowed:
    compiled = re.compile(pattern)
    return Allowed(sentence, lambda text: compiled.fullmatch(text) is not None, remedy)


def _region_remedy(text: str) -> str:
    partition = regions.partition(text)
    if partition in regions.COMMERCIAL_REGIONS_NEARBY:
        return (
            f"choose a region in the partition aws, for example {regions.COMMERCIAL_REGIONS_NEARBY[partition]}: the "
            f"program uses ARNs that start with arn:aws:, and {text} is in {partition}"
        )
    return _nearest_or(text, regions.ZONE_LETTERS, _BY_NAME.format("regions"))


# Celery's Redis transport uses these names itself: for unacknowledged messages, for bindings of queues to exchanges,
# and for the exchanges of events and commands (kombu/transport/redis.py, kombu/pidbox.py, celery/events/event.py).
_OF_CELERY = re.compile(r"unacked.*|_kombu.*|celeryev.*|.*\.pidbox")


def _is_queue_name(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,249}", text)) and not _OF_CELERY.fullmatch(text)


def _queue_remedy(text: str) -> str:
    if "," in text:
        return f"write [{', '.join(filter(None, map(str.strip, text.split(','))))}] for several queues"
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:240] or "heavy"
    if _OF_CELERY.fullmatch(plain):
        plain = f"{plain}-tasks" if plain.endswith(".pidbox") else f"tasks-{plain}"
    return f"rename the queue here and in the DAGs that use it, for example {plain}"


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


def _instance_type_remedy(text: str) -> str:
    if instance_types.exists(text.lower()):
        return f"write {text.lower()}"
    family = text.lower().partition(".")[0]
    if family.startswith("mac"):
        return "choose another family, for example m7i.large; Mac instances do not run Linux"
    if sizes := instance_types.sizes_by_family().get(family):
        alike = nearest(text, [f"{family}.{size}" for size in sizes])
        return f"did you mean {alike}? {family} has {', '.join(sizes)}"
    alike = nearest(text, sorted(instance_types.all_types()))
    newer = "if it is new in AWS, add it to aws_catalog/instance_types.txt"
    return f"did you mean {alike}? {newer}" if alike else newer


def _log_retention_remedy(days: int) -> str:
    longer = [accepted for accepted in limits.LOG_GROUP_RETENTION_DAYS if accepted >= days]
    if not longer:
        return (
            f"lower it to at most {limits.LOG_GROUP_RETENTION_DAYS[-1]} days, the longest that CloudWatch Logs allows"
        )
    return f"the next accepted value is {longer[0]}"


def _name_remedy(text: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).lstrip("-0123456789").strip("-")
    return f"rename it, for example {plain or 'airflow'}"


# Endings for which no certificate authority may issue certificates
# (https://www.iana.org/assignments/special-use-domain-names), and others that companies use internally and that cannot
# be registered.
_PRIVATE_ENDINGS = frozenset(
    {
        *("arpa", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain"),
        *("localhost", "mail", "onion", "private", "test"),
    }
)
_HOST_NAME = re.compile(
    rf"(?=.{{4,{limits.CERTIFICATE_NAME_LENGTH}}}$)(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]"
)


def _is_public_name(text: str) -> bool:
    return bool(_HOST_NAME.fullmatch(text)) and text.rpartition(".")[2] not in _PRIVATE_ENDINGS


def _domain_remedy(text: str) -> str:
    ending = text.rpartition(".")[2]
    if ending in _PRIVATE_ENDINGS:
        return (
            f"choose a name in a domain that you own, for example airflow.example.com: .{ending} cannot be registered"
        )
    bare = re.sub(r"^[a-z]+://|[:/].*$|\.$", "", text.strip().lower())
    return f"write {bare}" if _is_public_name(bare) else "give a full host name, for example airflow.example.com"


_BY_NAME = "the list is in aws_catalog/{}.py; if it is new in AWS, add it there"

Number = Annotated[int, Strict()]
Amount = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Region = Annotated[
    str, Allowed("a region of the commercial partition", regions.ZONE_LETTERS.__contains__, _region_remedy)
]
AccountId = Annotated[
    str,
    _matching(
        r"\d{12}",
        "an AWS account id: 12 digits, in quotes",
        '`aws sts get-caller-identity --query Account` prints it; keep leading zeros, as in "012345670123"',
    ),
]
NAME = (
    r"[a-z](?:-?[a-z0-9])*",
    "lower-case letters, digits and single hyphens; starts with a letter, ends with a letter or digit",
)
ClusterName = Annotated[str, _matching(*NAME, _name_remedy)]
PoolName = Annotated[str, _matching(*NAME, _name_remedy)]
QueueName = Annotated[
    str,
    Allowed(
        "up to 250 letters, digits, dots, hyphens and underscores (Airflow joins a worker's queues with commas), no "
        "hyphen or dot at the start; Celery reserves names that start with unacked, _kombu or celeryev, or end in "
        ".pidbox",
        _is_queue_name,
        _queue_remedy,
    ),
]
Cidr = Annotated[str, Allowed("an IPv4 network such as 10.80.0.0/16", ipv4.is_network, ipv4.remedy)]
VpcCidr = Annotated[str, Allowed("a private IPv4 network (RFC 1918) from /16 to /22", ipv4.is_own_vpc, ipv4.vpc_remedy)]
ExistingVpcCidr = Annotated[
    str, Allowed("the VPC's IPv4 network, from /16 to /28", ipv4.is_existing_vpc, ipv4.existing_vpc_remedy)
]
VpcId = Annotated[
    str,
    _matching(
        r"vpc-(?:[0-9a-f]{8}|[0-9a-f]{17})",
        "a VPC id: vpc- and 8 or 17 hexadecimal digits",
        "copy it from the VPC page",
    ),
]
SubnetId = Annotated[
    str,
    _matching(
        r"subnet-(?:[0-9a-f]{8}|[0-9a-f]{17})",
        "a subnet id: subnet- and 8 or 17 hexadecimal digits",
        "copy it from the VPC page",
    ),
]
ImageId = Annotated[
    str,
    _matching(
        r"ami-(?:[0-9a-f]{8}|[0-9a-f]{17})",
        "an AMI id: ami- and 8 or 17 hexadecimal digits",
        "use the id of a Debian 13 image in this region, or leave the key out and let `make node-image` write it",
    ),
]
HostedZoneId = Annotated[
    str,
    _matching(
        r"Z[A-Z0-9]{1,31}",
        "a Route 53 hosted zone id: Z and up to 31 capital letters and digits",
        lambda text: (
            f"write {text.removeprefix('/hostedzone/')}"
            if text.startswith("/hostedzone/Z")
            else "`aws route53 list-hosted-zones` prints it; leave out the prefix /hostedzone/"
        ),
    ),
]
PackageIndexUrl = Annotated[
    str,
    _matching(
        r"https://[A-Za-z0-9.-]+(?::\d{1,5})?/[A-Za-z0-9._~%+:/-]*",
        "the https:// address of a package index (its simple API), without a user name or password in it",
        "write it like https://packages.example.com/simple/; credentials belong in credentialsSecret",
    ),
]


def _secret_name_remedy(text: str) -> str:
    """An ARN ends in a hyphen and six characters that Secrets Manager has added to the name."""
    if name := re.fullmatch(r"arn:aws:secretsmanager:[^:]*:[^:]*:secret:([A-Za-z0-9/_+=.@-]+)-[A-Za-z0-9]{6}", text):
        return f"give its name, not its ARN: {name[1]}"
    return "check the name with `aws secretsmanager list-secrets`"


SecretName = Annotated[
    str,
    _matching(
        # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html: Name
        r"[A-Za-z0-9/_+=.@-]{1,512}",
        "the name of a secret in Secrets Manager: letters, digits and /_+=.@-, at most 512 characters",
        _secret_name_remedy,
    ),
]
DomainName = Annotated[
    str,
    Allowed(
        f"a public host name in lower case, at most {limits.CERTIFICATE_NAME_LENGTH} characters (ACM), without scheme, "
        "port, wildcard or final dot",
        _is_public_name,
        _domain_remedy,
    ),
]
DatabaseClass = Annotated[
    str,
    _one_of(
        "an RDS instance class that runs PostgreSQL 17, for example db.m7g.large",
        database_classes.MEMORY_GIB,
        _BY_NAME.format("database_classes"),
    ),
]
EngineVersion = Annotated[
    str,
    _matching(
        r"17(?:\.[1-9]\d?)?",
        'PostgreSQL 17, in quotes: "17" for the newest minor version, or one such as "17.6"',
        'write "17", or pin a minor version such as "17.6": Airflow 3.3 and the parameter group are tested with 17',
    ),
]
BrokerNodeType = Annotated[
    str,
    _one_of(
        "an ElastiCache node type of a current generation, for example cache.m7g.large",
        broker_nodes.NODE_TYPES,
        _BY_NAME.format("broker_nodes"),
    ),
]
InstanceType = Annotated[
    str,
    Allowed(
        "an EC2 instance type that runs Linux, for example m7i.large",
        instance_types.exists,
        _instance_type_remedy,
    ),
]
LogRetentionDays = Annotated[
    int,
    Strict(),
    Allowed(
        f"one of {', '.join(map(str, limits.LOG_GROUP_RETENTION_DAYS))} (days; CloudWatch Logs accepts no others)",
        limits.LOG_GROUP_RETENTION_DAYS.__contains__,
        _log_retention_remedy,
    ),
]
Zone = Annotated[
    str,
    _matching(
        r"[a-z]{2}(?:-[a-z]+)+-\d[a-z]",
        "an availability zone: the region and a letter, for example eu-west-1a",
        "write the zone's name, not its id (euw1-az1); Local Zones have no RDS",
    ),
]
EndpointService = Annotated[
    str,
    _one_of(
        "a service with an interface endpoint, for example secretsmanager",
        endpoint_services.SERVICES,
        _BY_NAME.format("endpoint_services"),
    ),
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
