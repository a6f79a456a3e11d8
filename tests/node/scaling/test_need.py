from __future__ import annotations

from scaling.need import LONGEST_GAP_SECONDS, RIPPLE_SECONDS, RecentNeed

WINDOW = 60


def watched(*needs: int, period: int = 10) -> RecentNeed:
    """A pool that has needed these numbers of workers, one per period."""
    need = RecentNeed(WINDOW)
    for number, needed in enumerate(needs):
        need.note(1000.0 + number * period, needed)
    return need


def test_no_worker_is_surplus_before_a_whole_window_was_observed():
    assert RecentNeed(WINDOW).worth_keeping() is None
    assert watched(*[3] * 6).worth_keeping() is None
    assert watched(*[3] * 7).worth_keeping() == 3


def test_what_was_needed_within_the_window_is_kept():
    assert watched(10, *[2] * 6).worth_keeping() == 10


def test_after_a_burst_only_the_window_counts():
    assert watched(10, *[2] * 7).worth_keeping() == 2


def test_what_a_steady_loads_ripple_needed_is_kept_for_longer():
    assert watched(12, *[10] * 7).worth_keeping() == 12
    assert watched(13, *[10] * 7).worth_keeping() == 10


def test_a_ripple_is_forgotten_in_the_end():
    passes = int(RIPPLE_SECONDS / 10)
    assert watched(11, *[10] * passes).worth_keeping() == 11
    assert watched(11, *[10] * (passes + 1)).worth_keeping() == 10


def test_nothing_is_kept_where_nothing_is_needed():
    assert watched(1, *[0] * 7).worth_keeping() == 0


def test_after_a_gap_the_window_starts_again():
    need = watched(*[3] * 20)
    blind_until = 1190.0 + LONGEST_GAP_SECONDS + 1
    need.note(blind_until, 1)
    assert need.worth_keeping() is None
    for second in range(10, WINDOW + 1, 10):
        need.note(blind_until + second, 1)
    assert need.worth_keeping() == 1
