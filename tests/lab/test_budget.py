"""How much of the machine each node gets, and how many workers fit."""

from __future__ import annotations

import pytest

from engine.recording import Recording
from lab.budget import NEEDS_MIB, RESERVE_MIB, Budget, divide
from node.roles import Role

GIB = 1024
MASTERS, DEFAULT, HEAVY = "airflow-prod-masters", "airflow-prod-pool-default", "airflow-prod-pool-heavy"


def maximums(budget: Budget) -> tuple[int, int]:
    return budget.maximums[DEFAULT], budget.maximums[HEAVY]


def test_every_pool_fits_on_a_large_machine_at_its_maximum(recording: Recording):
    assert divide(recording, 64 * GIB).maximums == {MASTERS: 2, DEFAULT: 8, HEAVY: 4}


@pytest.mark.parametrize(
    ("available", "workers"), [(23, (4, 4)), (15, (2, 3)), (11, (1, 2))], ids=lambda given: str(given)
)
def test_on_a_smaller_machine_there_are_fewer_workers_but_one_of_each_pool(
    recording: Recording, available: int, workers: tuple[int, int]
):
    budget = divide(recording, available * GIB)
    assert maximums(budget) == workers
    assert not budget.shortage


@pytest.mark.parametrize("available", [10, 12, 16, 24, 32, 48])
def test_busy_nodes_together_never_need_more_than_their_limit(recording: Recording, available: int):
    budget = divide(recording, available * GIB)
    needed = sum(share.needs * share.maximum for share in budget.shares.values())
    assert needed <= budget.nodes == available * GIB - RESERVE_MIB


def test_on_too_small_a_machine_the_error_names_the_needed_memory(recording: Recording):
    shortage = divide(recording, 6 * GIB).shortage
    assert "needs 9.2 GiB of memory" in shortage
    assert "6.0 GiB is available here" in shortage


def test_a_nodes_limit_is_between_what_it_needs_and_the_smallest_instances_memory(recording: Recording):
    for share in divide(recording, 64 * GIB).shares.values():
        assert share.needs < share.limit < 8 * GIB


def test_a_worker_gets_memory_for_each_of_its_slots(recording: Recording):
    shares = divide(recording, 64 * GIB).shares
    assert shares[DEFAULT].limit - shares[HEAVY].limit == 12 * 192
    assert shares[MASTERS].needs == NEEDS_MIB[Role.MASTER].node


def test_the_summary_shows_the_limits_and_what_fits(recording: Recording):
    assert divide(recording, 23 * GIB).summary() == (
        "memory: 23.0 GiB here; 2 masters x 2.5 GiB, default up to 4 of 8 workers x 4.0 GiB, "
        "heavy up to 4 of 4 workers x 1.8 GiB; 21.0 GiB for all of them together"
    )
