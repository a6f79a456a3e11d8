from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.node.lifecycle.node_of import LARGE_GROUP, unit, worker
from tests.node.programs import module

observation = module("lifecycle.observation")

QUIET = observation.Notices()
TERMINATING = observation.Notices(terminating=True)
AT_RISK = observation.Notices(rebalance=True)


class _Unit:
    def read(self) -> tuple[Any, bool]:
        return unit(), False


class _StateFile:
    def read(self, now: float) -> Any:
        return worker("etl manual__1 load try 1", age=now)


class _Tasks:
    def count(self, found: Any) -> int:
        assert found == unit()
        return 1


class _MetadataService:
    """Answers once with each of the notices."""

    def __init__(self, *notices: Any) -> None:
        self._notices: Iterator[Any] = iter(notices)
        self.requests = 0

    def read(self) -> Any:
        self.requests += 1
        answer = next(self._notices)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _observer(metadata_service: _MetadataService) -> Any:
    return observation.Observer(unit=_Unit(), state_file=_StateFile(), tasks=_Tasks(), notices=metadata_service)


def _events(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]


def test_an_observation_holds_what_every_source_reports():
    snapshot = observation.RegistrySnapshot(cordoned=True, group=LARGE_GROUP, queued=4)
    seen = _observer(_MetadataService(TERMINATING)).observe(7.0, snapshot)
    assert (seen.now, seen.unit, seen.running, seen.terminating) == (7.0, unit(), 1, True)
    assert (seen.cordoned, seen.group, seen.queued) == (True, LARGE_GROUP, 4)
    assert seen.load == 1
    assert [each.name for each in seen.resources][-1] == "the memory"


def test_the_metadata_service_is_read_every_few_seconds():
    service = _MetadataService(*[QUIET] * 9)
    observe = _observer(service).observe
    for now in range(0, 12, 2):
        observe(float(now), observation.RegistrySnapshot())
    assert service.requests == 3


def test_a_termination_holds_while_the_metadata_service_is_unreachable(capsys: pytest.CaptureFixture[str]):
    observe = _observer(_MetadataService(TERMINATING, OSError("timed out"), OSError("timed out"), TERMINATING)).observe
    assert all(observe(now, observation.RegistrySnapshot()).terminating for now in (0.0, 4.0, 8.0, 12.0))
    assert _events(capsys) == ["metadata-service-unreachable", "metadata-service-reachable"]


def test_a_rebalance_recommendation_is_logged_once_and_changes_nothing(capsys: pytest.CaptureFixture[str]):
    observe = _observer(_MetadataService(QUIET, AT_RISK, AT_RISK)).observe
    seen = [observe(now, observation.RegistrySnapshot()) for now in (0.0, 4.0, 8.0)]
    assert _events(capsys) == ["rebalance-recommended"]
    assert all(one.reason_to_end is None for one in seen)
