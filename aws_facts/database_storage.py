"""The performance that gp3 storage of RDS for PostgreSQL includes, and the values that RDS accepts for it.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage
"""

from __future__ import annotations

from dataclasses import dataclass

# From this size on RDS spreads the storage over four volumes, and its performance can be set.
STRIPED_FROM_GIB = 400


@dataclass(frozen=True)
class Performance:
    """IOPS, and MiB per second."""

    iops: int
    throughput: int


_SINGLE_VOLUME = Performance(iops=3_000, throughput=125)
_STRIPED = Performance(iops=12_000, throughput=500)
_MOST = Performance(iops=64_000, throughput=4_000)


def included(gib: int) -> Performance:
    """The performance of storage of this size at no extra charge."""
    return _SINGLE_VOLUME if gib < STRIPED_FROM_GIB else _STRIPED


def refusal(gib: int, *, iops: int | None, throughput: int | None) -> str | None:
    """The error with which RDS refuses such storage, None if it accepts it. A value of None is not sent to RDS."""
    if gib < STRIPED_FROM_GIB and (iops or throughput):
        return (
            "You can't specify IOPS or storage throughput for engine postgres and a storage size less than "
            f"{STRIPED_FROM_GIB}."
        )
    for what, value, least, most in (
        ("iops", iops, _STRIPED.iops, _MOST.iops),
        ("storage throughput", throughput, _STRIPED.throughput, _MOST.throughput),
    ):
        if value is not None and not least <= value <= most:
            return f"Invalid {what} value for engine name postgres and storage type gp3: {value}"
    return None
