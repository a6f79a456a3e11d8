from __future__ import annotations

import pytest

from aws_catalog.database_storage import Performance, included, refusal


@pytest.mark.parametrize(
    ("gib", "does"), [(20, Performance(3_000, 125)), (399, Performance(3_000, 125)), (400, Performance(12_000, 500))]
)
def test_storage_from_400_gib_on_includes_four_times_the_performance(gib: int, does: Performance):
    assert included(gib) == does


@pytest.mark.parametrize(
    ("gib", "iops", "throughput", "said"),
    [
        (399, None, None, None),
        (399, 3_000, None, "You can't specify IOPS"),
        (399, None, 125, "You can't specify IOPS"),
        (400, None, None, None),
        (400, 3_000, None, "Invalid iops value for engine name postgres and storage type gp3: 3000"),
        (400, 12_000, 125, "Invalid storage throughput value"),
        (400, 12_000, 500, None),
        (400, 64_001, 500, "Invalid iops value"),
    ],
)
def test_rds_refuses_what_the_size_does_not_allow(gib: int, iops: int | None, throughput: int | None, said: str | None):
    answer = refusal(gib, iops=iops, throughput=throughput)
    assert answer is None if said is None else said in (answer or "")
