from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from node.roles import Role
from tests.node import node_root
from tests.node.fake_server import Answer, serving
from tests.node.metadata import Metadata
from tests.node.programs import load, module
from tests.node.redis_server import Server

watch_services = load("watch-services")
database_lock = module("database.preparation_lock")
heartbeats = module("health.heartbeats")
service_health = module("health.verdict")
Service, NOTIFYING = module("health.services").Service, module("health.services").NOTIFYING
service_units = module("health.service_units")
service_log = module("service_log")

HOST = "10.0.0.1"
JOBS = ("SchedulerJob", "DagProcessorJob", "TriggererJob")
SETTINGS = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://u:p@127.0.0.1:1/airflow",
    "AIRFLOW__API__PORT": "1",
    "NODE_INSTANCE_ID": "i-1",
}
SERVICES = ("scheduler", "dag-processor", "triggerer", "api-server", "scaling", "lost-tasks")
# `systemctl show` prints what a test has prepared for each unit; other commands are recorded.
SYSTEMCTL = """#!/bin/sh
cd {folder}
verb=$1
shift 2
[ "$verb" = show ] || {{ echo "$verb $*" >>commands; exit; }}
for unit; do cat "$unit"; echo; done
"""


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the output of systemctl and the commands that it received."""
    program = tmp_path / "bin/systemctl"
    program.parent.mkdir()
    program.write_text(SYSTEMCTL.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return tmp_path


def show(systemd: Path, name: str, *, state: str = "active", since: float = 1.0, notified: float = 0.0) -> None:
    """Prepare what systemctl shows for a unit."""
    unit = f"airflow-{name}.service"
    (systemd / unit).write_text(
        f"NRestarts=0\nWatchdogTimestampMonotonic={int(notified * 1e6)}\nId={unit}\nActiveState={state}\n"
        f"ActiveEnterTimestampMonotonic={int(since * 1e6)}\n"
    )


def beat(metadata: Metadata, host: str = HOST, *, jobs: tuple[str, ...] = JOBS, age: float = 0) -> None:
    """Let Airflow's services write a heartbeat, `seconds` after their start."""
    metadata.execute(
        "INSERT INTO job (job_type, hostname, start_date, latest_heartbeat)"
        " SELECT job, %(host)s, now() - make_interval(secs => %(age)s), now() FROM unnest(%(jobs)s::text[]) AS job",
        {"jobs": list(jobs), "host": host, "age": age},
    )


def test_the_newest_heartbeat_of_each_service_of_this_host_is_read(metadata: Metadata):
    mine = heartbeats.Heartbeats(watch_services.connection_info(metadata.url), HOST)
    assert mine.read() == {}
    beat(metadata, jobs=("SchedulerJob", "TriggererJob"))
    before = mine.read()
    assert before.keys() == {"scheduler", "triggerer"}
    beat(metadata, "10.0.0.2")
    assert mine.read() == before
    beat(metadata, jobs=("TriggererJob",))
    after = mine.read()
    assert after["scheduler"] == before["scheduler"]
    assert after["triggerer"] != before["triggerer"]
    mine.close()


def test_a_master_that_prepares_the_database_is_seen(metadata: Metadata):
    """The boot step of that master holds a lock; other masters' services may wait for its migration."""
    found = heartbeats.Heartbeats(watch_services.connection_info(metadata.url), HOST)
    assert not found.is_database_being_prepared()
    with metadata.server.superuser() as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [database_lock.LOCK])
        assert found.is_database_being_prepared()
        connection.execute("SELECT pg_advisory_unlock(%s)", [database_lock.LOCK])
    assert not found.is_database_being_prepared()
    found.close()


def test_a_lost_connection_is_reopened(metadata: Metadata):
    found = heartbeats.Heartbeats(watch_services.connection_info(metadata.url), HOST)
    found.read()
    with metadata.server.superuser() as root:
        root.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'airflow-health'")
    with pytest.raises(psycopg.Error):
        found.read()
    assert found.read() == {}
    found.close()


def test_every_service_is_seen_as_systemd_shows_it(systemd: Path):
    services = [Service(name=name, threshold=1) for name in ("scheduler", "scaling")]
    show(systemd, "scheduler", state="activating", since=2.5)
    show(systemd, "scaling", notified=7)
    assert service_units.look(services) == {
        "scheduler": service_health.Unit(active_state="activating", since=2.5, restarts=0, notified=0),
        "scaling": service_health.Unit(active_state="active", since=1, restarts=0, notified=7),
    }


@pytest.mark.parametrize("answer", ["exit 1", "exec sleep 60", "true", "echo Id=airflow-scheduler.service"])
def test_an_invalid_response_of_systemd_is_an_error(answer: str, systemd: Path, monkeypatch: pytest.MonkeyPatch):
    (systemd / "bin/systemctl").write_text(f"#!/bin/sh\n{answer}\n")
    monkeypatch.setattr(service_units, "TIMEOUT_SECONDS", 0.2)
    with pytest.raises(service_units.SystemdError):
        service_units.look([Service(name="scheduler", threshold=1)])


def test_an_api_server_that_responds_to_a_request_like_a_tasks_gives_its_signal():
    with serving(lambda _: Answer(200)) as server:
        api_server = watch_services.ApiServer(server.server_address[1])
        assert api_server.sign(100) == 100
        assert [request.path for request in server.requests] == ["/execution/health"]
        assert api_server.sign(105) == 100, "it logs each answer"
        assert api_server.sign(115) == 115
        server.answer = lambda _: Answer(503)
        assert api_server.sign(200) == 115
    assert api_server.sign(300) == 115, "the api-server does not listen"


@pytest.fixture
def watch(metadata: Metadata, systemd: Path) -> Iterator[watch_services.Watch]:
    """The watch of a master whose services have just been started."""
    found = watch_services.build(SETTINGS | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.url}, HOST)
    found.state_path = systemd / "state/state.json"
    found.api_server.sign = lambda now: now
    assert {service.name for service in found.services} == set(SERVICES)
    for name in SERVICES:
        show(systemd, name, since=1000)
    yield found
    found.heartbeats.close()


def test_the_state_says_what_is_wrong_with_each_service(watch: watch_services.Watch, metadata: Metadata, systemd: Path):
    lines: list[str] = []
    watch.log = service_log.ServiceLog(lines.append)
    for now in (1030.0, 1035.0, 1040.0):
        watch.clock = lambda now=now: now
        beat(metadata, jobs=("SchedulerJob", "TriggererJob"))
        for name in ("scaling", "lost-tasks"):
            show(systemd, name, since=1000, notified=now)
        watch.look()
    state = json.loads(watch.state_path.read_text())
    assert state["at"] == pytest.approx(time.time(), abs=30)
    assert state["troubles"] == {"dag-processor": "has given no signal since its start 40 s ago"}
    assert lines == [], "it has not been well yet"
    for now in (1045.0, 1050.0):
        watch.clock = lambda now=now: now
        beat(metadata)
        watch.look()
    assert json.loads(watch.state_path.read_text())["troubles"] == {}
    assert [json.loads(line)["event"] for line in lines] == ["all services work"]


def test_a_heartbeat_in_the_future_is_a_trouble_that_no_restart_follows(
    watch: watch_services.Watch, metadata: Metadata, systemd: Path
):
    for now in range(1030, 1700, 10):
        watch.clock = lambda now=now: float(now)
        beat(metadata)
        metadata.execute(
            "UPDATE job SET latest_heartbeat = now() + interval '1 h' WHERE job_type = 'TriggererJob' AND id ="
            " (SELECT max(id) FROM job WHERE job_type = 'TriggererJob')"
        )
        for name in ("scaling", "lost-tasks"):
            show(systemd, name, since=1000, notified=now)
        watch.look()
    troubles = json.loads(watch.state_path.read_text())["troubles"]
    assert troubles.keys() == {"triggerer"}
    assert re.match(r"has a heartbeat (3599|3600) s in the future; compare the clocks", troubles["triggerer"])
    assert not (systemd / "commands").exists(), "it would not set the clock"


def test_a_monitor_is_told_of_every_service_and_of_what_they_depend_on(
    watch: watch_services.Watch, metadata: Metadata, broker: Server
):
    file = module("airflow_node.metrics_file").MetricsFile(None)
    watch.report = module("health.node_checks").NodeReport(
        file, broker_url=broker.url, database_url=metadata.url, authorities="/nowhere"
    )
    for now in (1030.0, 1035.0):
        watch.clock = lambda now=now: now
        beat(metadata, jobs=JOBS[1:])
        watch.look()

    def passes(check: str) -> float | None:
        return file.registry.get_sample_value("airflow_node_check", {"check": check})

    assert {name for name in SERVICES if passes(name)} == {"api-server", "dag-processor", "triggerer"}
    assert (passes("database"), passes("broker"), passes("clock")) == (1, 1, 1)
    watch.heartbeats.close()
    watch.heartbeats = heartbeats.Heartbeats("postgresql://u:p@127.0.0.1:1/airflow", HOST)
    watch.look()
    assert (passes("database"), passes("broker")) == (0, 1)


def test_without_a_monitor_nothing_else_is_checked():
    assert watch_services.build(SETTINGS, HOST).report is None


def test_a_hung_service_is_restarted_through_systemd(watch: watch_services.Watch, metadata: Metadata, systemd: Path):
    lines: list[str] = []
    watch.log = service_log.ServiceLog(lines.append)
    for now in range(1030, 1400, 5):
        watch.clock = lambda now=now: float(now)
        beat(metadata, jobs=JOBS if now < 1060 else JOBS[1:])
        for name in ("scaling", "lost-tasks"):
            show(systemd, name, since=1000, notified=now)
        watch.look()
        if (systemd / "commands").exists():
            break
    assert (systemd / "commands").read_text() == "restart airflow-scheduler.service\n"
    [said] = [json.loads(line[3:]) for line in lines if "restarted" in line]
    assert said["unit"] == "airflow-scheduler.service"


def test_a_full_run_directory_does_not_prevent_a_restart(watch: watch_services.Watch, systemd: Path):
    lines: list[str] = []
    watch.log = service_log.ServiceLog(lines.append)
    watch.state_path = Path("/proc/state.json")
    for now in range(1030, 1700, 50):
        watch.clock = lambda now=now: float(now)
        watch.look()
    assert "restart airflow-scheduler.service" in (systemd / "commands").read_text()
    assert [line for line in lines if "writing the state failed" in line] == lines[:1]


def test_an_outage_of_the_database_is_logged_once(watch: watch_services.Watch):
    lines: list[str] = []
    watch.log = service_log.ServiceLog(lines.append)
    watch.heartbeats.close()
    watch.heartbeats = heartbeats.Heartbeats("postgresql://u:p@127.0.0.1:1/airflow", HOST)
    for now in (1030.0, 1035.0):
        watch.clock = lambda now=now: now
        watch.look()
    troubles = json.loads(watch.state_path.read_text())["troubles"]
    assert troubles["scheduler"].endswith("; the metadata database does not answer")
    assert len(lines) == 1


def test_every_service_of_a_master_is_watched(watch: watch_services.Watch, tmp_path: Path):
    target = (node_root.build(tmp_path / "root", Role.MASTER) / node_root.UNITS / "airflow-node.target").read_text()
    started = set(re.findall(r"airflow-[a-z-]+\.service", target)) - {
        "airflow-health.service",
        "airflow-in-service.service",
    }
    assert {service.unit for service in watch.services} == started


@pytest.mark.parametrize("name", NOTIFYING)
def test_systemd_itself_restarts_the_services_that_notify_it(name: str, tmp_path: Path):
    settings = node_root.settings(node_root.build(tmp_path, Role.MASTER), f"airflow-{name}.service")
    assert settings["Type"] == ["notify"]
    assert float(settings["WatchdogSec"][0]) <= watch_services.NOTIFYING_THRESHOLD


def test_airflows_own_thresholds_count():
    environment = SETTINGS | {
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "90",
        "AIRFLOW__DAG_PROCESSOR__HEALTH_CHECK_THRESHOLD": "0",
    }
    thresholds = {service.name: service.threshold for service in watch_services.build(environment, HOST).services}
    assert thresholds["scheduler"] == 90
    assert thresholds["dag-processor"] == 30, "too little would restart it all the time"
    assert thresholds["triggerer"] == 30


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The reports that the group receives."""
    told: list[dict[str, str]] = []
    monkeypatch.setattr(
        watch_services.autoscaling, "call", lambda action, _, **what: told.append({"Action": action, **what})
    )
    return told


def lose(watch: watch_services.Watch, metadata: Metadata, systemd: Path, lost: str) -> None:
    """Keep a service in a restart loop for half an hour, while the others work."""
    show(systemd, lost, state="activating", since=1000)
    for now in range(2000, 2000 + int(service_health.LOST_SECONDS) + 120, 59):
        watch.clock = lambda now=now: float(now)
        beat(metadata)
        for name in {"scaling", "lost-tasks"} - {lost}:
            show(systemd, name, since=1000, notified=now)
        watch.look()


def test_a_master_whose_services_do_not_recover_is_replaced(
    watch: watch_services.Watch, metadata: Metadata, systemd: Path, reports: list[dict[str, str]]
):
    beat(metadata, "10.0.0.2", age=3600)
    lose(watch, metadata, systemd, "triggerer")
    assert reports == [
        {
            "Action": "SetInstanceHealth",
            "InstanceId": "i-1",
            "HealthStatus": "Unhealthy",
            "ShouldRespectGracePeriod": "true",
        }
    ]


@pytest.mark.parametrize(
    ("jobs", "age"), [((), 0), (JOBS, 30), (JOBS[1:], 3600)], ids=["alone", "the other one's end as well", "it is ill"]
)
def test_a_master_is_never_replaced_for_a_trouble_that_another_one_has_too(
    jobs: tuple[str, ...],
    age: float,
    watch: watch_services.Watch,
    metadata: Metadata,
    systemd: Path,
    reports: list[dict[str, str]],
):
    beat(metadata, "10.0.0.2", jobs=jobs, age=age)
    lose(watch, metadata, systemd, "triggerer")
    assert reports == []


def test_a_master_is_not_replaced_for_a_service_without_heartbeats(
    watch: watch_services.Watch, metadata: Metadata, systemd: Path, reports: list[dict[str, str]]
):
    beat(metadata, "10.0.0.2", age=3600)
    lose(watch, metadata, systemd, "scaling")
    assert reports == []
