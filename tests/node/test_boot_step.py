from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.programs import module

boot_step = module("airflow_node.boot_step")


class _Flaky:
    """Fails with the errors, one after the other, then answers."""

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
    monkeypatch.setattr(boot_step, "wait", seconds.append)
    monkeypatch.setattr(boot_step, "clock", lambda: sum(seconds))
    return seconds


def _patiently(attempt: _Flaky, may_pass: bool = True, delays: tuple[float, ...] = (1.0, 2.0)) -> str:
    return boot_step.patiently(attempt, what="Fetching", may_pass=lambda _: may_pass, delays=delays)


def test_what_fails_for_a_moment_is_tried_again(waited: list[float], capsys: pytest.CaptureFixture[str]):
    attempt = _Flaky(OSError("no route"), OSError("no route"))
    assert _patiently(attempt) == "done"
    assert waited == [1.0, 2.0]
    assert capsys.readouterr().out == "Fetching: no route; trying again, for 0 s so far\n"


def test_a_long_wait_is_told_of_once_a_minute(waited: list[float], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(OSError, match="no route"):
        _patiently(_Flaky(*[OSError("no route")] * 99), delays=(20.0,) * 12)
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert sum(waited) == 240


def test_what_fails_for_good_is_not_tried_for_ever(waited: list[float]):
    attempt = _Flaky(*[OSError("no route")] * 9)
    with pytest.raises(OSError, match="no route"):
        _patiently(attempt)
    assert waited == [1.0, 2.0]


def test_an_error_that_cannot_pass_is_not_tried_again(waited: list[float]):
    attempt = _Flaky(OSError("no route"))
    with pytest.raises(OSError, match="no route"):
        _patiently(attempt, may_pass=False)
    assert waited == []


def _pauses(waited: list[float], seconds: float) -> list[float]:
    """The pauses of one node that waits for `seconds`."""
    waited.clear()
    for delay in boot_step.backoff(seconds):
        boot_step.wait(delay)
    return list(waited)


def test_pauses_grow_to_half_a_minute_and_end_with_the_patience(waited: list[float]):
    pauses = _pauses(waited, 600)
    assert sum(pauses) == pytest.approx(600)
    assert max(pauses) <= boot_step.LONGEST_DELAY_SECONDS
    assert sum(pauses[:4]) <= 1 + 2 + 4 + 8


def test_two_hundred_nodes_that_wait_for_the_same_thing_do_not_ask_in_step(waited: list[float]):
    asked = [moment for _ in range(200) for moment in itertools.accumulate(_pauses(waited, 600))]
    after_a_minute = Counter(int(moment) for moment in asked if 60 <= moment < 590)
    assert max(after_a_minute.values()) < 40, "the busiest second has a multiple of the 13 requests of an even one"


def test_a_step_tells_what_it_did_and_how_long_it_took(capsys: pytest.CaptureFixture[str]):
    assert boot_step.run("Installing Airflow", lambda: "Airflow is installed") == 0
    assert re.fullmatch(r"Airflow is installed \(\d+\.\d s\)\n", capsys.readouterr().out)


def test_a_failed_step_ends_with_one_sentence_and_no_traceback(capsys: pytest.CaptureFixture[str]):
    def step() -> str:
        raise boot_step.StepFailedError("the lock is gone.")

    assert boot_step.run("Installing Airflow", step) == 1
    assert re.fullmatch(r"Installing Airflow failed after \d+\.\d s: the lock is gone\.\n", capsys.readouterr().out)


def test_a_missing_variable_is_named():
    with pytest.raises(boot_step.StepFailedError, match=r"NODE_ARTIFACTS is missing in /etc/airflow/airflow\.env"):
        boot_step.required({"NODE_ARTIFACTS": ""}, "NODE_ARTIFACTS")


def test_a_long_message_keeps_its_beginning_and_its_end():
    line = boot_step.one_line("start\n" + "x" * 2000 + "\nend")
    assert len(line) < 420
    assert line.startswith("start x")
    assert line.endswith("x end")


def test_a_file_is_in_its_place_in_full_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "new/file"
    boot_step.write(target, b"old", 0o640)
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"old", 0o640)

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(boot_step.Path, "chmod", fail)
    with pytest.raises(OSError, match="the disk is full"):
        boot_step.write(target, b"new", 0o640)
    assert target.read_bytes() == b"old"
