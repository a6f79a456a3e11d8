from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.node.lifecycle.node_of import ROOM, unit, worker
from tests.node.programs import module

senses = module("lifecycle.observer")
board_visit = module("lifecycle.registry_client")
metadata_service = module("lifecycle.metadata_service")

QUIET = metadata_service.Outlook()
GOING = metadata_service.Outlook(terminating=True)
AT_RISK = metadata_service.Outlook(rebalance=True)


class _Parts:
    """systemd, the worker, its tasks and the metadata service, which answers once with each of the outlooks."""

    def __init__(self, *outlooks: Any) -> None:
        self._outlooks: Iterator[Any] = iter(outlooks)
        self.asked = 0

    def look(self) -> tuple[Any, bool]:
        return unit(), False

    def read(self, now: float) -> Any:
        return worker("etl manual__1 load try 1", age=now)

    def running(self, found: Any) -> int:
        assert found == unit()
        return 1

    def outlook(self) -> Any:
        self.asked += 1
        answer = next(self._outlooks)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _senses(parts: Any) -> Any:
    return senses.Senses(unit=parts, worker_file=parts, tasks=parts, metadata=parts)


def _events(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]


def test_one_look_holds_what_every_source_says():
    bulletin = board_visit.Bulletin(retired=True, group=ROOM, queued=4)
    seen = _senses(_Parts(GOING)).look(7.0, bulletin)
    assert (seen.now, seen.unit, seen.running, seen.terminating) == (7.0, unit(), 1, True)
    assert (seen.retired, seen.group, seen.queued) == (True, ROOM, 4)
    assert seen.load == 1
    assert [each.name for each in seen.resources][-1] == "the memory"


def test_the_metadata_service_is_asked_every_few_seconds():
    parts = _Parts(*[QUIET] * 9)
    look = _senses(parts).look
    for now in range(0, 12, 2):
        look(float(now), board_visit.Bulletin())
    assert parts.asked == 3


def test_what_was_announced_stands_while_the_metadata_service_is_silent(capsys: pytest.CaptureFixture[str]):
    look = _senses(_Parts(GOING, OSError("timed out"), OSError("timed out"), GOING)).look
    assert all(look(now, board_visit.Bulletin()).terminating for now in (0.0, 4.0, 8.0, 12.0))
    assert _events(capsys) == ["metadata-service-silent", "metadata-service-answers"]


def test_a_recommendation_is_told_once_and_changes_nothing(capsys: pytest.CaptureFixture[str]):
    look = _senses(_Parts(QUIET, AT_RISK, AT_RISK)).look
    seen = [look(now, board_visit.Bulletin()) for now in (0.0, 4.0, 8.0)]
    assert _events(capsys) == ["rebalance-recommended"]
    assert all(one.reason_to_go is None for one in seen)
