from __future__ import annotations

from tests.node.scaling.pools import Watch, in_state, working


def test_the_reason_names_the_tasks_that_need_a_raise():
    reason = Watch().look(desired=1, running=4, queued=6, expected=8, boot_seconds=45.2).reason
    assert reason == (
        "4 running and 6 queued tasks fill 3 workers, 8 expected tasks 2 more; asking for 5 instead of 1; "
        "5 workers not ready, a boot takes 45 s"
    )


def test_the_reason_names_what_limits_a_raise():
    assert "the maximum is 2" in Watch().look(desired=2, queued=40, maximum=2).reason
    assert "the minimum is 3" in Watch().look(desired=3, minimum=3).reason
    assert "20 more, of which workersAhead allows 3" in Watch().look(desired=0, expected=80).reason


def test_moves_name_the_workers():
    fleet = (working("i-1", 2), working("i-2", 1))
    assert "cordoning i-2, surplus for 60 s" in Watch().look_for(60, *fleet, running=3).reason
    assert "uncordoning i-3" in Watch().look(in_state("retired", "i-3"), queued=1).reason


def test_many_workers_are_counted():
    fleet = [working(f"i-{number}", 0) for number in range(5)]
    assert "cordoning 5 workers" in Watch().look_for(60, *fleet).reason


def test_the_reason_names_workers_that_take_no_more_tasks():
    reason = Watch().look(in_state("leaving", "i-1", 1), working("i-2", 4), running=4, queued=4).reason
    assert reason == (
        "4 running and 4 queued tasks fill 2 workers; 1 worker in service takes no more tasks; "
        "asking for 3 instead of 2; 1 worker not ready"
    )


def test_the_reason_names_the_pause_after_a_failed_launch():
    reason = Watch().look(desired=1, queued=12, launch_failure="no capacity").reason
    assert "launches fail (no capacity): not asking for 3 instead of 1 for another 30 s" in reason


def test_the_reason_of_a_quiet_pool_is_short():
    assert Watch().look().reason == "0 running and 0 queued tasks fill 0 workers"
