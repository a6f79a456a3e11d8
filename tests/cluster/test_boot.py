"""What stands after the first boot, on an empty database, with passwords that break what does not quote.

Needs a cluster that no other file has used.
"""

from __future__ import annotations

import base64
import gzip
import http.cookiejar
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from lab.cluster import Cluster
from lab.node import Node
from lab.stack import HOSTILE
from lab.workload import Workload
from node.roles import Role
from tests.cluster.conftest import PACKAGE

LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
SERVICES = {"api-server": 0, "scheduler": 0, "dag-processor": 3, "triggerer": 0}
"""How often each may have been restarted. When two dag-processors find the same new DAG at once, one of them ends on a
duplicate key in Airflow 3.3; systemd starts it again. There are several new files, and slow machines store them one by
one."""


def test_both_masters_and_the_monitor_pass_the_load_balancers_check(cluster: Cluster) -> None:
    behind = {node.instance.address for role in ("master", "monitor") for node in cluster.nodes(role=role)}
    assert len(behind) == 3
    targets = cluster.infrastructure.haproxy.target_groups
    cluster.wait(
        lambda: {target.address for target in targets.listing() if target.healthy} == behind,
        "all to pass the check, and nothing else",
    )


def test_the_first_nodes_install_airflow_from_the_lock(cluster: Cluster) -> None:
    """Nothing was published then, which a later node could unpack."""
    installed = [node for node in cluster.nodes() if "is installed from the lock" in node.journal("airflow-install")]
    assert installed


def test_nodes_install_the_debian_packages_of_the_stack_file_before_their_services_start(cluster: Cluster) -> None:
    for node in cluster.nodes(role="master"):
        assert f"Debian packages are installed: {PACKAGE}" in node.journal("airflow-setup.service")
        assert node.exec(PACKAGE, "--version").returncode == 0


def test_two_masters_come_up_on_an_empty_database_without_a_failed_unit(cluster: Cluster) -> None:
    for node in cluster.nodes():
        assert node.exec("systemctl --failed --no-legend").stdout == "", node.name
    for node in cluster.nodes(role="master"):
        assert node.unit("airflow-database.service")["Result"] == "success", node.name
        for unit, restarts in SERVICES.items():
            _wait_active(cluster, node, f"airflow-{unit}.service")
            again = int(node.unit(f"airflow-{unit}.service")["NRestarts"])
            assert again <= restarts, f"{node.name}: {node.journal(f'airflow-{unit}.service')[-4000:]}"


def _wait_active(cluster: Cluster, node: Node, unit: str) -> str:
    """The main process of a service, once it runs: it may be about to be started again."""

    def main_pid() -> str:
        shown = node.unit(unit, "ActiveState", "MainPID")
        return shown["MainPID"] if shown["ActiveState"] == "active" else ""

    return cluster.wait(main_pid, f"{unit} on {node.name} to run")


def test_no_process_of_an_api_server_is_slow_at_its_first_execution_call(cluster: Cluster) -> None:
    """Building the execution API at that call takes 3.5 s of CPU time, in which the process answers no other call."""
    for node in cluster.nodes(role="master"):
        asked = node.exec("curl --silent --output /dev/null --fail http://127.0.0.1:8080/execution/health")
        assert asked.returncode == 0, node.name
        first = cluster.wait(lambda node=node: _first_execution_calls(node), f"{node.name} to log a call")
        assert max(first.values()) < 3, f"{node.name}: {first}"


def _first_execution_calls(master: Node) -> dict[str, float]:
    """How long the first execution call of each process took, in seconds, by its id."""
    read = "journalctl --boot --unit=airflow-api-server --output=json --output-fields=MESSAGE,_PID"
    first: dict[str, float] = {}
    for entry in map(json.loads, master.exec(read).stdout.splitlines()):
        if "path=/execution" in entry["MESSAGE"]:
            took = re.search(r"duration_us=(\d+)", entry["MESSAGE"])
            first.setdefault(entry["_PID"], int(took[1]) / 1e6 if took else float("inf"))
    return first


def test_a_supervisor_has_loaded_what_its_first_task_needs(cluster: Cluster, work: Workload) -> None:
    """Loading it takes a second of processor time in each; all others have forked from a process that has loaded it."""
    [worker] = cluster.nodes(pool="default")
    assert "Loaded for all supervisors" in worker.journal("airflow-worker.service")
    before = _processor_seconds_of_supervisors(worker)
    work.wait_ended(work.start("default", 0))
    used = {pid: now - before[pid] for pid, now in _processor_seconds_of_supervisors(worker).items()}
    assert 0 < max(used.values()) < 0.5, used


def _processor_seconds_of_supervisors(worker: Node) -> dict[str, float]:
    """Without those of their tasks, by the supervisor's id."""
    main = worker.unit("airflow-worker.service", "MainPID")["MainPID"]
    found: dict[str, float] = {}
    for line in worker.exec("cat /proc/[0-9]*/stat").stdout.splitlines():
        pid, _, rest = line.partition(" ")
        _, parent, *fields = rest.rpartition(")")[2].split()
        if parent == main:
            found[pid] = (int(fields[9]) + int(fields[10])) / os.sysconf("SC_CLK_TCK")
    return found


ASK_UVICORN = """
import asyncio, os, sys
os.environ["FORWARDED_ALLOW_IPS"] = sys.argv[1]
import uvicorn
async def tell(scope, receive, send): print(scope["client"][0], scope["scheme"])
config = uvicorn.Config(tell, interface="asgi3", log_config=None)
config.load()
headers = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https")]
for proxy in sys.argv[2:]:
    scope = {"type": "http", "client": (proxy, 1), "scheme": "http", "headers": headers}
    asyncio.run(config.loaded_app(scope, None, None))
"""


def test_the_api_servers_uvicorn_trusts_load_balancers_in_every_range_of_the_vpc(cluster: Cluster) -> None:
    """An existing VPC may have several; a redirect from a load balancer in one that is left out leads to http."""
    [node, *_] = cluster.nodes(role="master")
    ranges, proxies = "10.80.0.0/16,100.64.0.0/16", ("10.80.1.1", "100.64.9.9", "100.65.0.1")
    asked = node.exec("/opt/airflow/venv/bin/python", "-c", ASK_UVICORN, ranges, *proxies)
    believed = "203.0.113.9 https"
    assert asked.stdout.splitlines() == [believed, believed, "100.65.0.1 http"], asked.stderr


def test_what_a_service_writes_to_temporary_folders_goes_to_the_disk(cluster: Cluster) -> None:
    """Tasks and DAG files run in these services. A tmpfs there would use up the memory of the others."""
    for node in cluster.nodes():
        for service in Role(node.instance.tags["airflow:role"]).definition.services:
            pid = _wait_active(cluster, node, f"airflow-{service}.service")
            seen = node.exec(f"nsenter --target {pid} --mount stat --file-system --format %T / /tmp /var/tmp")
            [disk, *temporary] = seen.stdout.splitlines()
            assert temporary == [disk, disk], f"{node.name}: {service}: {seen}"
        assert node.exec("systemctl is-enabled tmp.mount").stdout.strip() == "masked", "nor after the next boot"


def test_cloud_init_ends_without_an_error_on_every_node(cluster: Cluster) -> None:
    """A node may be ready before cloud-init has ended."""
    for node in cluster.nodes():
        status = cluster.wait(lambda node=node: _end_of_cloud_init(node), f"it to end on {node.name}")
        assert (status["status"], status["errors"], status["recoverable_errors"]) == ("done", [], {}), node.name


def _end_of_cloud_init(node: Node) -> dict[str, Any]:
    """What cloud-init says about the boot; empty as long as it runs."""
    status = json.loads(node.exec("cloud-init status --format=json").stdout)
    return {} if status["status"] in ("not run", "not started", "running") else status


def test_each_step_of_the_boot_says_on_the_console_what_it_has_done(cluster: Cluster) -> None:
    """Nobody can log in to read the journal. On the console, systemd's own lines come before each of them."""
    for node in cluster.nodes():
        airflow = ("Airflow is ", "secrets are in /run/airflow/secrets.env")
        steps = ("The volume vol-",) if node.instance.tags["airflow:role"] == Role.MONITOR else airflow
        for step in ("artifacts are here and verified", *steps):
            _wait_console(cluster, node, step)
    for master in cluster.nodes(role="master"):
        _wait_console(cluster, master, "the database ")  # prepared by this master or by the other
        assert "alembic" not in master.console, "Airflow's own messages are for the journal"


def _wait_console(cluster: Cluster, node: Node, text: str) -> None:
    cluster.wait(lambda: text in node.console, f"the console of {node.name} to show {text!r}")


def test_cloud_init_takes_the_user_data_for_a_valid_cloud_config(cluster: Cluster) -> None:
    for node in cluster.nodes():
        valid = node.exec("cloud-init schema --system")
        assert valid.returncode == 0, f"{node.name}: {valid.stdout}{valid.stderr}"


def test_a_node_installs_security_updates_without_a_reboot_and_says_which_it_lacks(cluster: Cluster) -> None:
    for node in (cluster.nodes(role="master")[0], cluster.nodes(role="worker")[0]):
        settings = node.exec("apt-config dump").stdout
        assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
        assert 'Unattended-Upgrade::Automatic-Reboot "false";' in settings
        started = node.exec("systemctl start airflow-updates.service", timeout=300)
        assert started.returncode == 0, f"{node.name}: {started.stderr}{node.journal('airflow-updates.service')}"
        said = cluster.wait(lambda node=node: _updates(node), f"{node.name} to say it")
        assert json.loads(said[-1]).keys() == {"event", "up_days", "security_updates_missing", "reboot_required"}


def _updates(node: Node) -> list[str]:
    """What the node has reported about its updates."""
    return node.exec("journalctl --unit airflow-updates --output cat _TRANSPORT=stdout").stdout.splitlines()


def test_nodes_boot_from_exactly_the_user_data_that_the_program_renders(cluster: Cluster) -> None:
    rendered = {
        template.inputs["userData"] for template in cluster.recording.of_type(LAUNCH_TEMPLATE)
    }  # base64 of gzip, as the launch template holds it
    unpacked = {gzip.decompress(base64.b64decode(packed)).decode() for packed in rendered}
    for node in cluster.nodes():
        assert node.instance.user_data in rendered, node.name
        assert node.exec("cloud-init query userdata").stdout.rstrip("\n") in {text.rstrip("\n") for text in unpacked}


def test_the_passwords_are_as_hostile_as_they_can_be(cluster: Cluster) -> None:
    secrets = cluster.boto3("secretsmanager")
    for key in ("database-dsn", "result-backend"):
        url = secrets.get_secret_value(SecretId=cluster.recording.exports["secrets"][key])["SecretString"]
        assert HOSTILE in urllib.parse.unquote(url), "the lab must prove what a plain password would not"


def test_the_database_has_the_roles_and_settings_that_airflow_asks_for(cluster: Cluster) -> None:
    wanted = {"client_encoding=utf8", "default_transaction_isolation=read committed", "TimeZone=UTC"}
    rows = cluster.psql("SELECT rolname, rolconfig FROM pg_roles WHERE rolname IN ('airflow', 'celery_results')")
    found = {role: {setting.replace("timezone=", "TimeZone=") for setting in settings or ()} for role, settings in rows}
    assert {role: settings & wanted for role, settings in found.items()} == {
        "airflow": wanted,
        "celery_results": wanted,
    }


def test_every_connection_to_the_database_uses_tls(cluster: Cluster) -> None:
    plain = cluster.psql(
        "SELECT usename, client_addr FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        " WHERE NOT ssl AND client_addr IS NOT NULL"
    )
    assert plain == []


def test_failed_logins_are_counted_by_both_masters_together(cluster: Cluster) -> None:
    """Five in forty seconds are allowed. Each master counting for itself would let twice as many through."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    page = opener.open(f"{cluster.url}/auth/login/", timeout=30).read().decode()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    form = {"username": "admin", "password": "wrong", "csrf_token": token.group(1) if token else ""}
    answers = []
    for _ in range(9):
        try:
            answers.append(opener.open(f"{cluster.url}/auth/login/", urllib.parse.urlencode(form).encode(), 30).status)
        except urllib.error.HTTPError as error:
            answers.append(error.code)
    assert answers.count(429) == 4, answers
