from __future__ import annotations

from scaling.launch_backoff import FIRST_SECONDS, LONGEST_SECONDS, LaunchBackoff

FAILURE = "InsufficientInstanceCapacity"


def test_a_group_that_launches_may_be_raised_at_any_time():
    assert LaunchBackoff().seconds_left(0.0, None) == 0.0


def test_after_a_failure_the_group_is_not_raised_for_a_while():
    backoff = LaunchBackoff()
    assert backoff.seconds_left(100.0, FAILURE) == FIRST_SECONDS
    assert backoff.seconds_left(110.0, FAILURE) == FIRST_SECONDS - 10.0
    assert backoff.seconds_left(100.0 + FIRST_SECONDS, FAILURE) == 0.0


def test_every_failed_request_doubles_the_pause_up_to_some_minutes():
    backoff, now, rests = LaunchBackoff(), 0.0, []
    for _ in range(8):
        rests.append(backoff.seconds_left(now, FAILURE))
        now += rests[-1]
        backoff.asked(now)
    assert rests[:4] == [30.0, 60.0, 120.0, 240.0]
    assert rests[-1] == LONGEST_SECONDS


def test_a_success_ends_the_pause():
    backoff = LaunchBackoff()
    backoff.seconds_left(0.0, FAILURE)
    backoff.asked(30.0)
    assert backoff.seconds_left(31.0, None) == 0.0
    assert backoff.seconds_left(32.0, FAILURE) == FIRST_SECONDS
