"""The throughput benchmark compares with Airflow's own values, reads usage from cgroups, and tells missed goals."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from bench.throughput import report
from bench.throughput.measurements import CHAINS, DAGS, Batch, Start, chain_files
from bench.throughput.report import Releases, Results
from bench.throughput.usage import Usage, machine_seconds, usage_of
from bench.throughput.variants import AIRFLOWS_OWN, PYTHON_PATH, Variant
from lab.cgroups import CGROUP
from tests.node.environments import MASTER, WORKER, master

UNIT = "airflow-scheduler.service"
MIB = 1 << 20


def results(*, queued: float, per_minute: float, retried: int = 0) -> Results:
    batch = Batch(tasks=60, seconds=3600 / per_minute, retried=retried, cpu={"airflow-worker": 6.0, "other": 3.0})
    starts = [Start(running=queued, ended=queued + 0.2)] * 3
    return Results(first=starts, next=starts, warm=starts, batches={"many tasks": batch})


def test_airflows_defaults_differ_from_what_the_program_sets():
    set_by_program = master(task_slots=144).variables() | WORKER.variables()
    assert set(AIRFLOWS_OWN) <= set(set_by_program), "renamed, or no longer set: compare with the option's new name"
    assert [name for name, value in AIRFLOWS_OWN.items() if set_by_program[name] == value] == []


def test_modules_that_replace_those_of_a_node_come_before_them():
    before, after = AIRFLOWS_OWN["PYTHONPATH"].split(":")
    assert after == MASTER.variables()["PYTHONPATH"] == PYTHON_PATH
    assert before.startswith("/run/"), "gone with the node"
    assert dict(Variant.PROGRAM.variables) == {}


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.py")), ids=lambda path: path.name)
def test_dags_of_the_benchmark_are_python(path: Path):
    assert "@dag(" in path.read_text()
    ast.parse(path.read_text())


def test_the_dags_with_chains_are_files_of_their_own():
    assert len(CHAINS) == 50
    assert set(chain_files()) == {f"{dag}.py" for dag in CHAINS}


def processes(proc: Path, **ticks: tuple[int, int, int, int]) -> None:
    """Processes with this time of their own, in user mode and in the kernel, and of the children that they reaped."""
    for pid, times in ticks.items():
        folder = proc / pid.removeprefix("pid")
        folder.mkdir(parents=True)
        fields = ["S", *["0"] * 10, *map(str, times), *["0"] * 10]
        (folder / "stat").write_text(f"{folder.name} (name) of) {' '.join(fields)}\n")


def test_usage_is_read_from_cgroups_of_version_2(tmp_path: Path):
    own = tmp_path / CGROUP / "master-1/payload/system.slice" / UNIT
    (own / "below").mkdir(parents=True)
    (tmp_path / "cgroup.controllers").touch()
    (own / "cgroup.procs").write_text("10\n12\n")
    (own / "below/cgroup.procs").write_text("11\n")
    (own / "memory.stat").write_text("anon 100\nfile 50\n")
    (own / "memory.peak").write_text("400\n")
    second = os.sysconf("SC_CLK_TCK")
    processes(tmp_path / "proc", pid10=(second, second, 2 * second, 0), pid11=(second // 2, 0, 0, 0))
    # 12 has ended.
    assert usage_of("master-1", UNIT, tmp_path, tmp_path / "proc") == Usage(seconds=4.5, peak=400, anonymous=100)


def test_usage_is_read_from_cgroups_of_version_1(tmp_path: Path):
    for hierarchy, files in {
        "systemd": {"cgroup.procs": "10\n"},
        "memory": {"memory.max_usage_in_bytes": "400\n", "memory.stat": "rss 7\ntotal_rss 100\n"},
    }.items():
        own = tmp_path / hierarchy / CGROUP / "master-1/system.slice" / UNIT
        own.mkdir(parents=True)
        for name, content in files.items():
            (own / name).write_text(content)
    processes(tmp_path / "proc", pid10=(0, 0, 0, os.sysconf("SC_CLK_TCK")))
    assert usage_of("master-1", UNIT, tmp_path, tmp_path / "proc") == Usage(seconds=1, peak=400, anonymous=100)


def test_a_service_without_a_cgroup_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "cgroup.controllers").touch()
    with pytest.raises(FileNotFoundError, match=f"{UNIT} has no cgroup below .*/master-1"):
        usage_of("master-1", UNIT, tmp_path)


def test_time_that_the_machine_was_idle_or_waited_for_disks_is_not_used(tmp_path: Path):
    second = os.sysconf("SC_CLK_TCK")
    stat = tmp_path / "stat"
    stat.write_text(f"cpu  {second} {second} {second} {90 * second} {50 * second} {second} {second} 0 0 0\ncpu0 1 1\n")
    assert machine_seconds(stat) == 5


@pytest.mark.parametrize(("queued", "verdict"), [(0.10, "<= 0.5x met"), (0.11, "<= 0.5x MISSED")])
def test_the_time_in_the_queue_must_be_half_of_that_with_airflows_defaults(queued: float, verdict: str):
    rows = list(report.rows(results(queued=queued, per_minute=100), results(queued=0.2, per_minute=100)))
    assert [row.verdict for row in rows[:3]] == [verdict] * 3


@pytest.mark.parametrize(("per_minute", "verdict"), [(150, ">= 1.5x met"), (149, ">= 1.5x MISSED")])
def test_the_throughput_must_be_half_as_much_again(per_minute: float, verdict: str):
    *_, row = report.rows(results(queued=1, per_minute=per_minute), results(queued=1, per_minute=100))
    assert (row.program, row.airflow, row.verdict) == (pytest.approx(per_minute), pytest.approx(100), verdict)


def test_one_slow_publication_of_twenty_is_not_the_95th_percentile():
    found = Releases(publications=[5.0] * 19 + [60.0], among_files=[Start(running=0.1, ended=0.32)])
    lines = "\n".join(report.releases(found, results(queued=0.1, per_minute=100)))
    assert "5.0 s  <= 15 s met" in lines
    assert "20 ms  < 50 ms met" in lines
    found.publications[0], found.among_files[0] = 60.0, Start(running=0.1, ended=0.36)
    lines = "\n".join(report.releases(found, results(queued=0.1, per_minute=100)))
    assert "60.0 s  <= 15 s MISSED" in lines
    assert "60 ms  < 50 ms MISSED" in lines


def test_the_processor_time_of_a_task_is_split_by_service():
    both = dict.fromkeys(Variant, results(queued=1, per_minute=100))
    first, _ = report.processor_time(both)
    assert first == "this program, many tasks: 150 ms = worker 100  other 50"


def test_memory_is_the_peak_and_what_is_left_of_it():
    usage = {"airflow-scheduler": Usage(seconds=1, peak=1500 * MIB, anonymous=300 * MIB)}
    assert report.memory(usage) == "scheduler 1,500 (300)"


def test_retried_tasks_are_reported():
    both = {
        Variant.PROGRAM: results(queued=1, per_minute=1),
        Variant.AIRFLOW: results(queued=1, per_minute=1, retried=2),
    }
    assert report.retried(both) == ["2 of 60 tasks were retried: Airflow's defaults, many tasks"]
