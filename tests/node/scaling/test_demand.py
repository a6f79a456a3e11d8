from __future__ import annotations

import pytest

from tests.node.metadata import Metadata
from tests.node.programs import module

demand = module("scaling.demand")


def read(metadata: Metadata) -> demand.Demand:
    """What the scaling service finds."""
    with metadata.connect() as connection:
        return demand.read_demand(connection)


def test_running_and_queued_tasks_are_counted_by_queue(metadata: Metadata):
    metadata.add_tasks(3, "running")
    metadata.add_tasks(4, "queued")
    metadata.add_tasks(5, "queued", queue="heavy")
    found = read(metadata)
    assert (found.running_in(["default"]), found.queued_in(["default"])) == (3, 4)
    assert (found.running_in(["heavy"]), found.queued_in(["heavy"])) == (0, 5)
    assert found.queued_in(["default", "heavy"]) == 9


@pytest.mark.parametrize(
    "state", ["scheduled", "deferred", "up_for_retry", "up_for_reschedule", "success", "failed", None]
)
def test_a_task_that_waits_for_something_else_than_a_worker_is_no_demand(metadata: Metadata, state: str):
    metadata.add_tasks(100, state)
    assert read(metadata) == demand.Demand(running={}, queued={})


def test_a_queue_without_a_pool_is_found(metadata: Metadata):
    metadata.add_tasks(2, "queued", queue="defualt")
    metadata.add_tasks(1, "queued")
    metadata.add_tasks(1, "running", queue="a pool that is gone")
    assert read(metadata).unserved({"default"}) == {"defualt": 2}


def test_of_many_queues_without_a_pool_those_with_the_most_tasks_are_named():
    queued = {f"q{number}": number for number in range(1, 1000)}
    found = demand.Demand(running={}, queued=queued).unserved({"q999"})
    assert list(found)[:2] == ["q998", "q997"]
    assert len(found) == 20
