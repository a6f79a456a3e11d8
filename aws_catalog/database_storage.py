"""The included performance of gp3 storage in RDS for PostgreSQL, and the values that RDS accepts.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage
"""

from __future__ import annotations

from dataclasses import dataclass

# From this size, RDS stripes the storage across four volumes, and its performance can be set.
STRIPED_FROM_GIB = 400


@dataclass(frozen=True)
class Performance:
    """IOPS, and throughput in MiB/s."""

    iops: int
    throughput: int


_SINGLE_VOLUME = Performance(iops=3_000, throughput=125)
_STRIPED = Performance(iops=12_000, throughput=500)
_MOST = Performance(iops=64_000, throughput=4_000)


def included(gib: int) -> Performance:
    """The performance that storage of this size includes at no extra charge."""
    return _SINGLE_VOLUME if gib < STRIPED_FROM_GIB else _STRIPED


def refusal(gib: int, *, iops: int | None, throughput: int | None) -> str | None:
    """The error that RDS returns for such storage; None if RDS accepts it. Values of None are not sent to RDS."""
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
