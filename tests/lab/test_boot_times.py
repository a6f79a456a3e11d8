"""The steps of a node's boot: how they are read and printed."""

from __future__ import annotations

from lab.boot_times import Boot, Step, parse_progress, parse_steps, table

SHOWN = """\
Id=airflow-install.service
InactiveExitTimestampMonotonic=120500000
ActiveEnterTimestampMonotonic=180000000
InactiveEnterTimestampMonotonic=0

Id=cloud-final.service
InactiveExitTimestampMonotonic=103000000
ActiveEnterTimestampMonotonic=120000000
InactiveEnterTimestampMonotonic=0

Id=airflow-boot-failed@x.service
InactiveExitTimestampMonotonic=0
ActiveEnterTimestampMonotonic=0
InactiveEnterTimestampMonotonic=0
"""


def test_steps_count_from_power_on_in_the_order_in_which_they_began():
    assert parse_steps(SHOWN, powered_on=100.0) == (
        Step(name="cloud-final", begin=3.0, end=20.0),
        Step(name="airflow-install", begin=20.5, end=80.0),
    )


def test_a_step_that_does_not_stay_active_ends_when_it_becomes_inactive():
    shown = SHOWN.replace("ActiveEnterTimestampMonotonic=180000000", "ActiveEnterTimestampMonotonic=0").replace(
        "InactiveEnterTimestampMonotonic=0", "InactiveEnterTimestampMonotonic=170000000", 1
    )
    assert parse_steps(shown, powered_on=100.0)[1] == Step(name="airflow-install", begin=20.5, end=70.0)


def test_the_table_shows_each_step_and_when_the_node_was_ready():
    boot = Boot(node="default-1", steps=(Step(name="airflow-install", begin=20.5, end=80.0),), ready=91.04)
    assert table([boot]).splitlines() == [
        "node       step             began  took",
        "default-1  airflow-install   20.5  59.5",
        "default-1  ready             91.0",
    ]


LISTED = "airflow-install.service activating start start Install Airflow from the hash lock\n"
JOURNAL = "[  191.746757] ip-10-80-0-4 airflow[909]: celery@ip-10-80-0-4 ready.     [celery.apps.worker]\n"


def test_the_unit_that_a_booting_node_is_starting_is_read():
    assert parse_progress(LISTED, powered_on=100.0) == ("airflow-install", None)
    assert parse_progress("", powered_on=100.0) == ("", None)


def test_a_worker_is_ready_at_the_time_in_its_journal():
    busy, ready = parse_progress(JOURNAL, powered_on=100.0)
    assert (busy, round(ready or 0, 3)) == ("", 91.747)
