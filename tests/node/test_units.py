from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from node.environment import ENVIRONMENT_FILE
from node.roles import Role
from node.user_data import FIRST_BOOT_DEADLINE, INSTANCE_FILE
from tests.node import node_root
from tests.node.programs import load, module

retry = module("airflow_node.retry")

STEPS = {role: role.definition.boot_steps for role in Role}
NEEDS = {
    "artifacts": [],
    "install": ["artifacts"],
    "setup": ["artifacts"],
    # After what a start script did, which must not read them.
    "secrets": ["artifacts", "setup"],
    "database": ["install", "secrets"],
    "admission": ["install", "secrets"],
    "volume": ["artifacts"],
}
# What the role's services wait for: the last steps that do not wait for each other.
LAST_STEPS = {
    Role.MASTER: ["database"],
    Role.WORKER: ["admission", "install", "secrets"],
    Role.MONITOR: ["setup", "volume"],
}
SERVICES = {role: role.definition.services for role in Role}
OF_AIRFLOW = [(role, service) for role in (Role.MASTER, Role.WORKER) for service in SERVICES[role]]
ALL_SERVICES = [(role, service) for role in Role for service in SERVICES[role]]
# Tenths of systemd's exposure level: a unit that gets worse fails. A worker runs other people's code, which may need
# what the others are refused.
WORST_EXPOSURE = {
    "airflow-worker.service": 42,
    # Makes the file system on a device.
    "airflow-volume.service": 25,
}
WORST_EXPOSURE_OF_OTHERS = 23

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed here")


def _analyze(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", arguments[0], f"--root={root}", *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _settings(roots: dict[Role, Path], role: Role, unit: str) -> dict[str, list[str]]:
    return node_root.settings(roots[role], f"airflow-{unit}.service")


@needs_systemd
@pytest.mark.parametrize("role", Role)
def test_systemd_finds_nothing_wrong(roots: dict[Role, Path], role: Role):
    result = _analyze(roots[role], "verify", *node_root.units(roots[role]))
    assert (result.returncode, result.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("fault", ["KillMode=mixd", "Restrat=always"])
def test_systemd_would_find_a_misspelt_directive(tmp_path: Path, fault: str):
    root = node_root.build(tmp_path, Role.WORKER)
    unit = root / node_root.UNITS / "airflow-worker.service"
    unit.write_text(f"{unit.read_text()}{fault}\n")
    assert ", ignoring" in _analyze(root, "verify", "airflow-worker.service").stderr


@needs_systemd
@pytest.mark.parametrize("role", Role)
def test_no_unit_is_more_exposed_than_it_has_to_be(roots: dict[Role, Path], role: Role):
    for unit in node_root.units(roots[role]):
        if unit.endswith(".service"):
            worst = WORST_EXPOSURE.get(unit, WORST_EXPOSURE_OF_OTHERS)
            result = _analyze(roots[role], "security", "--offline=true", "--no-pager", f"--threshold={worst}", unit)
            assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("role", Role)
def test_each_step_waits_for_what_it_needs_and_for_nothing_else(roots: dict[Role, Path], role: Role):
    for step in STEPS[role]:
        settings = _settings(roots, role, step)
        for directive in ("Requires", "After"):
            words = " ".join(settings.get(directive, [])).split()
            waits_for = {word for word in words if word.startswith("airflow-")}
            assert waits_for == {f"airflow-{needed}.service" for needed in NEEDS[step]}, f"{directive} of {step}"


@pytest.mark.parametrize("role", Role)
def test_a_failed_step_has_the_node_replaced(roots: dict[Role, Path], role: Role):
    for step in STEPS[role]:
        settings = _settings(roots, role, step)
        assert settings["OnFailure"] == ["airflow-boot-failed@%n.service"]
        assert settings["Type"] == ["oneshot"]
        assert settings["RemainAfterExit"] == ["yes"], "a step that is done must not run again for each dependent"


def test_a_node_that_cannot_report_itself_turns_itself_off(roots: dict[Role, Path]):
    settings = _settings(roots, Role.WORKER, "boot-failed@")
    assert settings["FailureAction"] == ["poweroff"]
    assert "OnFailure" not in settings
    assert settings["StandardOutput"] == ["journal+console"], "the console outlives the node"


@pytest.mark.parametrize("role", Role)
def test_the_deadline_of_the_first_boot_ends_when_cloud_init_has_done_its_part(roots: dict[Role, Path], role: Role):
    (command,) = _settings(roots, role, "artifacts")["ExecStartPost"]
    timer = re.search(r"--unit=(\S+)", FIRST_BOOT_DEADLINE)
    assert timer
    assert command == f"-+/usr/bin/systemctl stop {timer.group(1)}.timer", "a working node must not be turned off later"


@pytest.mark.parametrize("role", Role)
def test_a_step_that_hangs_fails(roots: dict[Role, Path], role: Role):
    for step in STEPS[role]:
        timeout = _settings(roots, role, step)["TimeoutStartSec"]
        if step == "database":
            assert timeout == ["infinity"], "another master's migration takes as long as it takes"
        else:
            assert re.fullmatch(r"\d+min", timeout[0])


@pytest.mark.parametrize(("role", "service"), ALL_SERVICES)
def test_a_service_is_restarted_however_often_it_ends(roots: dict[Role, Path], role: Role, service: str):
    settings = _settings(roots, role, service)
    assert settings["Restart"] == ["always"]
    assert settings["RestartSec"] == ["5"]
    assert settings["StartLimitIntervalSec"] == ["0"], "a scheduler exits at once during an outage of the database"


@pytest.mark.parametrize(("role", "service"), ALL_SERVICES)
def test_a_service_starts_with_the_node_and_after_its_last_step(roots: dict[Role, Path], role: Role, service: str):
    target = (roots[role] / node_root.UNITS / "airflow-node.target").read_text()
    assert re.search(rf"^Wants=.*\bairflow-{service}\.service\b", target, re.MULTILINE)
    settings = _settings(roots, role, service)
    for last in LAST_STEPS[role]:
        assert f"airflow-{last}.service" in " ".join(settings["Requires"]).split()
        assert f"airflow-{last}.service" in " ".join(settings["After"]).split()
    assert "network-online.target" in " ".join(settings["After"]).split(), "it must stop before the network does"


@pytest.mark.parametrize(("role", "service"), ALL_SERVICES)
def test_nothing_of_airflow_runs_as_root(roots: dict[Role, Path], role: Role, service: str):
    settings = _settings(roots, role, service)
    assert settings["User"] == ["airflow"]
    assert settings["CapabilityBoundingSet"] == [""]
    assert settings["NoNewPrivileges"] == ["yes"]


def test_what_watches_over_the_services_may_restart_them_and_nothing_else_of_root(roots: dict[Role, Path]):
    settings = _settings(roots, Role.MASTER, "health")
    assert "User" not in settings, "systemd listens to root alone"
    assert settings["CapabilityBoundingSet"] == [""]
    assert (settings["Type"], settings["Restart"]) == (["notify"], ["always"])
    assert int(settings["WatchdogSec"][0]) > 0, "the supervisor itself needs a watchdog"


@pytest.mark.parametrize(("role", "service"), ALL_SERVICES)
def test_a_service_sees_the_processes_it_supervises(roots: dict[Role, Path], role: Role, service: str):
    hidden = {"ProtectProc", "ProcSubset"} & _settings(roots, role, service).keys()
    assert not hidden, "task processes are not dumpable, and hidden ones count as dead"


@pytest.mark.parametrize(("role", "service"), OF_AIRFLOW)
def test_a_service_gets_the_settings_and_its_secrets_and_nothing_else(
    roots: dict[Role, Path], role: Role, service: str
):
    files = _settings(roots, role, service)["EnvironmentFile"]
    # Scaling has to know which of the masters it is.
    instance = [INSTANCE_FILE] if service == "scaling" else []
    assert files == [ENVIRONMENT_FILE, *instance, "/run/airflow/secrets.env"], (
        "the last one wins, and a missing one is an error"
    )


def test_only_the_database_step_gets_the_admins_secrets_and_only_while_it_runs(roots: dict[Role, Path]):
    holders = [
        unit
        for unit in node_root.units(roots[Role.MASTER])
        if "/run/airflow/database.env" in node_root.text(roots[Role.MASTER], unit.replace("@example", "@"))
    ]
    assert holders == ["airflow-database.service"]
    settings = _settings(roots, Role.MASTER, "database")
    removal = ["+/usr/bin/rm -f /run/airflow/database.env"]
    assert settings["ExecStartPre"] == ["+/usr/local/lib/airflow/fetch-secrets database"]
    assert settings["ExecStartPost"] == removal
    assert settings["ExecStopPost"] == removal, "after a failure, too"
    assert settings["User"] == ["airflow"]


def test_a_stopping_worker_lets_its_tasks_finish(roots: dict[Role, Path]):
    settings = _settings(roots, Role.WORKER, "worker")
    assert settings["KillMode"] == ["mixed"], "a signal to every process of the group kills the tasks"
    assert settings["KillSignal"] == ["SIGTERM"], "Celery's warm shutdown"
    assert "TimeoutStopSec" not in settings, "the rendered drop-in has it"


def test_a_stopping_worker_cancels_its_queues_before_it_gets_the_signal(roots: dict[Role, Path]):
    [command] = _settings(roots, Role.WORKER, "worker")["ExecStop"]
    worker_report = load("python/worker_report.py")
    assert f"touch {worker_report.STOPPING_FILE};" in command
    assert worker_report.STOPPING_FILE.parent == worker_report.STATE_FILE.parent, "gone with the unit's directory"
    seconds = float(command.rstrip("'").rpartition("sleep ")[2])
    assert seconds > worker_report.PERIOD_SECONDS + 1, "its turn, and the longest that a blocking read takes"


def test_a_worker_can_write_its_state_for_as_long_as_it_runs(roots: dict[Role, Path]):
    settings = _settings(roots, Role.WORKER, "worker")
    worker_report = load("python/worker_report.py")
    assert [f"/run/{name}" for name in settings["RuntimeDirectory"]] == [str(worker_report.STATE_FILE.parent)]
    assert "RuntimeDirectoryPreserve" not in settings, "what a killed worker said last must not look like a ready one"
    assert "RuntimeDirectoryMode" not in settings, "others read it"


@needs_systemd
def test_tasks_cannot_fill_run(roots: dict[Role, Path]):
    """systemd mounts it before the worker, because its runtime directory is there."""
    where = load("python/worker_report.py").STATE_FILE.parent
    escaped = subprocess.run(["systemd-escape", "--path", "--suffix=mount", where], capture_output=True, text=True)
    unit = (roots[Role.WORKER] / node_root.UNITS / escaped.stdout.strip()).read_text()
    assert f"Where={where}\n" in unit
    assert "Type=tmpfs\n" in unit
    assert re.search(r"^Options=size=\dM,nr_inodes=\d+,", unit, re.MULTILINE)


@pytest.mark.parametrize(("role", "service"), [(Role.WORKER, "worker"), (Role.MASTER, "dag-processor")])
def test_code_that_uses_up_the_memory_ends_alone(roots: dict[Role, Path], role: Role, service: str):
    assert _settings(roots, role, service)["OOMPolicy"] == ["continue"], "systemd's default stops the whole service"


def test_files_of_tasks_in_temporary_folders_and_in_shared_memory_are_removed_with_the_workers_service(
    roots: dict[Role, Path],
):
    worker = _settings(roots, Role.WORKER, "worker")
    assert (worker["PrivateTmp"], worker["RemoveIPC"]) == (["yes"], ["yes"])


def test_a_worker_consumes_the_queues_of_its_pool(roots: dict[Role, Path]):
    (command,) = _settings(roots, Role.WORKER, "worker")["ExecStart"]
    program, *options = command.split(" --")
    assert program == "/opt/airflow/venv/bin/airflow celery worker"
    assert options[-1] == "queues ${NODE_QUEUES}"


def test_workers_do_not_read_each_others_heartbeats(roots: dict[Role, Path]):
    (command,) = _settings(roots, Role.WORKER, "worker")["ExecStart"]
    assert {"--without-gossip", "--without-mingle"} <= set(command.split()), "it grows with their number squared"


def test_the_api_server_trusts_the_load_balancers_headers(roots: dict[Role, Path]):
    (command,) = _settings(roots, Role.MASTER, "api-server")["ExecStart"]
    assert command.endswith("airflow api-server --proxy-headers"), "else all people share one count of failed logins"


def test_airflows_user_cannot_log_in(roots: dict[Role, Path]):
    line = (roots[Role.WORKER] / "etc/sysusers.d/airflow.conf").read_text().splitlines()[-1]
    assert line == 'u airflow - "Apache Airflow" /var/lib/airflow /usr/sbin/nologin'


@pytest.mark.parametrize(("role", "step"), [(role, step) for role in Role for step in STEPS[role]])
def test_the_console_shows_what_a_step_waits_for(roots: dict[Role, Path], role: Role, step: str):
    assert _settings(roots, role, step)["StandardOutput"] == ["journal+console"], (
        "there is no login to read the journal"
    )


@pytest.mark.parametrize("step", ["artifacts", "setup", "install", "secrets"])
def test_systemd_lets_a_step_retry_aws_until_its_time_is_up(roots: dict[Role, Path], step: str):
    (limit,) = _settings(roots, Role.WORKER, step)["TimeoutStartSec"]
    minutes, retry_minutes = int(limit.removesuffix("min")), retry.LIMIT_SECONDS / 60
    assert minutes >= retry_minutes + 5, "the last request needs its time as well"
    assert minutes < 45, "the first boot's deadline"


@pytest.mark.parametrize("role", Role)
def test_every_program_that_a_unit_starts_is_on_the_node(roots: dict[Role, Path], role: Role):
    for unit in (file for file in node_root.unit_files(roots[role]) if file.suffix == ".service"):
        for program in re.findall(r"^Exec\w+=[+!@:-]*(\S+)", unit.read_text(), re.MULTILINE):
            assert (roots[role] / program.lstrip("/")).stat().st_mode & 0o111, f"{unit.name} starts {program}"


def test_the_administrators_command_line_is_valid_shell(roots: dict[Role, Path]):
    script = roots[Role.MASTER] / "usr/local/bin/airflow"
    shellcheck = Path(sys.executable).with_name("shellcheck")
    result = subprocess.run([str(shellcheck), str(script)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("role", Role)
def test_a_node_says_that_it_is_in_service_and_fails_if_it_cannot(roots: dict[Role, Path], role: Role):
    target = (roots[role] / node_root.UNITS / "airflow-node.target").read_text()
    assert re.search(r"^Wants=.*\bairflow-in-service\.service\b", target, re.MULTILINE)
    settings = _settings(roots, role, "in-service")
    assert settings["OnFailure"] == ["airflow-boot-failed@%n.service"]
    assert settings["Type"] == ["exec"], "the target, and with it cloud-init's last stage, would wait for it"
    assert not {"Restart", "TimeoutStartSec"} & settings.keys(), "its own limit counts"
    waits_for = " ".join(settings["After"]).split()
    assert "airflow-database.service" not in waits_for, "a long migration needs its heartbeats"


def test_the_console_shows_why_a_worker_takes_no_tasks_yet(roots: dict[Role, Path]):
    settings = _settings(roots, Role.WORKER, "admission")
    assert settings["StandardOutput"] == ["journal+console"]
    limit = load("await-admission").LIMIT_SECONDS / 60
    assert int(settings["TimeoutStartSec"][0].removesuffix("min")) > limit, "systemd would give no reason"


def test_masters_publish_their_version_when_they_are_in_service(roots: dict[Role, Path]):
    drop_in = roots[Role.MASTER] / node_root.UNITS / "airflow-in-service.service.d/10-publish.conf"
    assert re.search(r"^OnSuccess=.*\bairflow-announce\.service\b", drop_in.read_text(), re.MULTILINE)
    settings = _settings(roots, Role.MASTER, "announce")
    assert settings["Restart"] == ["on-failure"], "workers of a new Airflow wait for it"
    assert settings["User"] == ["airflow"]


def test_a_changed_password_restarts_each_service_that_has_it_and_nothing_with_it(roots: dict[Role, Path]):
    """Units that are not services read it at their next start, as the database step must: see renew-secrets."""
    renewal = load("renew-secrets")
    root, restarted = roots[Role.MASTER], {renewal.FIRST, *renewal.OTHERS}
    names = [file.name for file in node_root.unit_files(root) if file.suffix == ".service"]
    settings = {name: node_root.settings(root, name) for name in names}
    have = {name for name, each in settings.items() if "/run/airflow/secrets.env" in each.get("EnvironmentFile", [])}
    assert restarted == {name for name in have if settings[name]["Type"] != ["oneshot"]}
    for name, each in settings.items():
        needs = {
            unit for key in ("Requires", "BindsTo", "PartOf") for line in each.get(key, []) for unit in line.split()
        }
        assert not needs & restarted, f"{name} would be restarted, too"
    assert settings["airflow-renew-secrets.service"]["ReadWritePaths"] == ["/run/airflow"]


def test_masters_publish_when_they_are_in_service_and_have_nothing_else_to_do(roots: dict[Role, Path]):
    drop_in = roots[Role.MASTER] / node_root.UNITS / "airflow-in-service.service.d/10-publish.conf"
    assert re.search(r"^OnSuccess=.*\bairflow-publish\.service\b", drop_in.read_text(), re.MULTILINE)
    settings = _settings(roots, Role.MASTER, "publish")
    assert (settings["CPUSchedulingPolicy"], settings["IOSchedulingClass"]) == (["idle"], ["idle"])
    assert "OnFailure" not in settings, "other nodes can do without"
    assert not (roots[Role.WORKER] / node_root.UNITS / "airflow-publish.service").exists()


def test_masters_build_environments_of_pools_when_they_have_nothing_else_to_do(roots: dict[Role, Path]):
    settings = _settings(roots, Role.MASTER, "pool-environment")
    assert (settings["CPUSchedulingPolicy"], settings["IOSchedulingClass"]) == (["idle"], ["idle"])
    assert "OnFailure" not in settings, "workers can do without"
    timer = node_root.text(roots[Role.MASTER], "airflow-pool-environment.timer")
    assert "OnUnitInactiveSec=2min" in timer
    assert "RandomizedDelaySec=1min" in timer, "masters should not build the same"


def test_only_the_installation_of_a_pools_environment_runs_as_root(roots: dict[Role, Path]):
    settings = _settings(roots, Role.MASTER, "pool-environment")
    programs = "/usr/local/lib/airflow"
    assert settings["User"] == ["airflow"]
    assert settings["ExecStart"] == [
        f"!{programs}/build-pool-environment /tmp/environments",
        f"{programs}/publish-environment /tmp/environments",
    ]
    assert settings["PrivateTmp"] == ["yes"], "systemd empties it when the unit ends"
    assert settings["CapabilityBoundingSet"] == [""]
