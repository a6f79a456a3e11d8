from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.node.programs import module

retry = module("airflow_node.retry")


class _Flaky:
    """Raises the errors, one after the other, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors: Iterator[Exception] = iter(errors)

    def __call__(self) -> str:
        for error in self.errors:
            raise error
        return "done"


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each wait; the clock advances by them."""
    seconds: list[float] = []
    monkeypatch.setattr(retry, "wait", seconds.append)
    monkeypatch.setattr(retry, "clock", lambda: sum(seconds))
    return seconds


def _with_retries(attempt: _Flaky, may_pass: bool = True, pauses: tuple[float, ...] = (1.0, 2.0)) -> str:
    return retry.call(attempt, what="Fetching", may_pass=lambda _: may_pass, pauses=pauses)


def test_a_temporary_error_is_retried(waited: list[float], capsys: pytest.CaptureFixture[str]):
    attempt = _Flaky(OSError("no route"), OSError("no route"))
    assert _with_retries(attempt) == "done"
    assert waited == [1.0, 2.0]
    assert capsys.readouterr().out == "Fetching: no route; trying again, for 0 s so far\n"


def test_a_long_wait_is_logged_once_a_minute(waited: list[float], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(OSError, match="no route"):
        _with_retries(_Flaky(*[OSError("no route")] * 99), pauses=(20.0,) * 12)
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert sum(waited) == 240


def test_a_lasting_error_is_raised_after_the_last_pause(waited: list[float]):
    attempt = _Flaky(*[OSError("no route")] * 9)
    with pytest.raises(OSError, match="no route"):
        _with_retries(attempt)
    assert waited == [1.0, 2.0]


def test_an_error_that_is_not_temporary_is_not_retried(waited: list[float]):
    attempt = _Flaky(OSError("no route"))
    with pytest.raises(OSError, match="no route"):
        _with_retries(attempt, may_pass=False)
    assert waited == []


def _pauses(waited: list[float], seconds: float) -> list[float]:
    """The pauses of one node that waits for `seconds`."""
    waited.clear()
    for delay in retry.backoff(seconds):
        retry.wait(delay)
    return list(waited)


def test_pauses_grow_to_half_a_minute_and_end_at_the_time_limit(waited: list[float]):
    pauses = _pauses(waited, 600)
    assert sum(pauses) == pytest.approx(600)
    assert max(pauses) <= retry.LONGEST_PAUSE_SECONDS
    assert sum(pauses[:4]) <= 1 + 2 + 4 + 8


def test_two_hundred_nodes_do_not_retry_at_the_same_time(waited: list[float]):
    asked = [moment for _ in range(200) for moment in itertools.accumulate(_pauses(waited, 600))]
    after_a_minute = Counter(int(moment) for moment in asked if 60 <= moment < 590)
    assert max(after_a_minute.values()) < 40, "the busiest second has a multiple of the 13 requests of an even one"
