from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from tests.node.programs import module

launch_watch = module("scaling.launch_watch")


class Groups:
    """A substitute for Auto Scaling that counts the calls."""

    def __init__(self, failure: str | None) -> None:
        self.failure = failure
        self.asked: list[datetime] = []

    def launch_failure(self, name: str, since: datetime) -> str | None:
        assert name == "pool-default"
        self.asked.append(since)
        return self.failure


def group(in_service: int, desired: int) -> SimpleNamespace:
    return SimpleNamespace(in_service=range(in_service), sizes=SimpleNamespace(desired=desired))


def test_a_group_with_all_its_instances_is_not_asked_about():
    watch, groups = launch_watch.LaunchWatch("pool-default"), Groups("no capacity")
    assert [watch.failure(now, group(2, 2), groups) for now in range(0, 300, 10)] == [None] * 30
    assert groups.asked == []


def test_a_shortage_is_asked_about_once_it_lasts_and_not_in_every_pass():
    watch, groups = launch_watch.LaunchWatch("pool-default"), Groups("no capacity")
    answers = [watch.failure(now, group(1, 2), groups) for now in range(100, 170, 10)]
    assert answers == [None] * 3 + ["no capacity"] * 4
    assert len(groups.asked) == 2


def test_failures_from_before_the_shortage_are_not_asked_for():
    watch, groups = launch_watch.LaunchWatch("pool-default"), Groups(None)
    for now in range(0, 40, 10):
        watch.failure(now, group(1, 2), groups)
    (since,) = groups.asked
    assert timedelta(seconds=30) <= datetime.now(UTC) - since <= timedelta(seconds=70)


def test_a_shortage_that_is_over_is_forgotten():
    watch, groups = launch_watch.LaunchWatch("pool-default"), Groups("no capacity")
    for now in range(0, 40, 10):
        watch.failure(now, group(1, 2), groups)
    assert watch.failure(40, group(2, 2), groups) is None
    assert watch.failure(50, group(2, 3), groups) is None, "a new shortage has its own backoff"
