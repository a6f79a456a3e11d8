"""The RDS instance classes that run PostgreSQL 17, their memory and how many connections that allows."""

from __future__ import annotations

from collections.abc import Mapping

from aws_catalog import instance_types

_TO_16XLARGE = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_TO_24XLARGE = (*_TO_16XLARGE, "24xlarge")

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Support.html, column PostgreSQL.
# Left out on purpose: m4, r4 and t2 (end with PostgreSQL 13), x1, x1e, x2iezn and z1d (Oracle, SQL Server or Db2).
_SIZES: Mapping[str, tuple[str, ...]] = {
    "t3": ("micro", "small", "medium", "large", "xlarge", "2xlarge"),
    "t4g": ("micro", "small", "medium", "large", "xlarge", "2xlarge"),
    "m5": _TO_24XLARGE,
    "m5d": _TO_24XLARGE,
    "m6g": _TO_16XLARGE,
    "m6gd": _TO_16XLARGE,
    "m6i": (*_TO_24XLARGE, "32xlarge"),
    "m6id": (*_TO_24XLARGE, "32xlarge"),
    "m6idn": (*_TO_24XLARGE, "32xlarge"),
    "m6in": (*_TO_24XLARGE, "32xlarge"),
    "m7g": _TO_16XLARGE,
    "m7i": (*_TO_24XLARGE, "48xlarge"),
    "m8g": (*_TO_24XLARGE, "48xlarge"),
    "m8gd": (*_TO_24XLARGE, "48xlarge"),
    "r5": _TO_24XLARGE,
    "r5b": _TO_24XLARGE,
    "r5d": _TO_24XLARGE,
    "r6g": _TO_16XLARGE,
    "r6gd": _TO_16XLARGE,
    "r6i": (*_TO_24XLARGE, "32xlarge"),
    "r6id": (*_TO_24XLARGE, "32xlarge"),
    "r6idn": (*_TO_24XLARGE, "32xlarge"),
    "r6in": (*_TO_24XLARGE, "32xlarge"),
    "r7g": _TO_16XLARGE,
    "r7i": (*_TO_24XLARGE, "48xlarge"),
    "r8g": (*_TO_24XLARGE, "48xlarge"),
    "r8gd": (*_TO_24XLARGE, "48xlarge"),
}

# A class has the memory of the EC2 instance type of its name:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html
MEMORY_GIB: Mapping[str, float] = {
    f"db.{family}.{size}": instance_types.memory_gib(f"{family}.{size}") or 0
    for family, sizes in _SIZES.items()
    for size in sizes
} | {
    **{f"db.x2g.{size}": 32 * factor for size, factor in zip(_TO_16XLARGE, (1, 2, 4, 8, 16, 24, 32), strict=True)},
    **{f"db.x2idn.{n}xlarge": 64 * n for n in (16, 24, 32)},
    **{f"db.x2iedn.{n}xlarge": 128 * n for n in (1, 2, 4, 8, 16, 24, 32)},
}

# RDS's own default, LEAST({DBInstanceClassMemory/9531392},5000):
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html#RDS_Limits.MaxConnections
BYTES_PER_CONNECTION = 9_531_392
MOST_CONNECTIONS = 5_000
_BYTES_PER_GIB = 2**30


def max_connections(instance_class: str) -> int:
    """How many connections a class can hold and still keep enough memory for PostgreSQL's caches.

    DBInstanceClassMemory in RDS's formula is what RDS's processes and the operating system leave. AWS does not publish
    how much they use. 256 MiB and 7 % are a cautious guess, so that the parameter group sets a little less than RDS
    would have chosen, rather than more.
    """
    left_gib = MEMORY_GIB[instance_class] * 0.93 - 0.25
    return min(int(left_gib * _BYTES_PER_GIB / BYTES_PER_CONNECTION), MOST_CONNECTIONS)


def classes_holding(connections: int, *, like: str) -> tuple[str, ...]:
    """The classes of the same family as `like` that can hold that many connections, smallest first."""
    family = like.rsplit(".", 1)[0]
    holding = [name for name in MEMORY_GIB if name.rsplit(".", 1)[0] == family and max_connections(name) >= connections]
    return tuple(sorted(holding, key=MEMORY_GIB.__getitem__))
