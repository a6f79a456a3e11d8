from __future__ import annotations

import base64
import gzip
import json
import os
import random
import shlex
import string
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from node.environment import ENVIRONMENT_FILE, NodeEnvironment
from node.rootfs import FIRST_PROGRAMS, files_for
from node.user_data import (
    FIRST_BOOT_DEADLINE,
    INSTANCE_FILE,
    LIMIT_BYTES,
    STEPS,
    UserDataTooLarge,
    cloud_config,
    decode,
    user_data,
)
from tests.node.environment_file import parse
from tests.node.environments import BOTH, MASTER, WORKER, master, worker

both = pytest.mark.parametrize("environment", BOTH, ids=["master", "worker"])


def _document(environment: NodeEnvironment) -> dict:
    """The cloud-config as cloud-init reads it: unpacked, and as YAML. No test changes it."""
    return _parsed(gzip.decompress(base64.b64decode(user_data(environment))))


@cache  # PyYAML's own parser, which is cloud-init's, takes seconds for it
def _parsed(text: bytes) -> dict:
    return yaml.safe_load(text)


@both
def test_equal_settings_give_equal_bytes(environment: NodeEnvironment):
    assert user_data(environment) == user_data(environment)
    modified = base64.b64decode(user_data(environment))[4:8]
    assert modified == bytes(4), "gzip's header holds the time, if it is let"


@both
def test_it_fits_with_room_for_the_users_options(environment: NodeEnvironment):
    assert len(base64.b64decode(user_data(environment))) < LIMIT_BYTES * 9 / 10


def test_too_much_is_refused_with_its_size():
    noise = "".join(random.Random(1).choices(string.printable, k=20_000))  # noqa: S311 - incompressible, not secret
    with pytest.raises(UserDataTooLarge, match=r"user data for worker is [\d,]+ bytes gzipped; EC2 allows 16,384"):
        user_data(worker(config={"core": {"noise": noise}}))


@both
def test_cloud_init_reads_what_was_rendered(environment: NodeEnvironment):
    files = {file["path"]: file["content"] for file in _document(environment)["write_files"]}
    assert files[ENVIRONMENT_FILE] == environment.render()
    for file in files_for(environment.role):
        if file.in_user_data:
            assert files[file.path].encode() == file.content, f"{file.path} must arrive as it is"


def test_characters_that_yaml_refuses_reach_the_file():
    odd = "\x07 \x7f \x85 \u2028 \ufeff \ud7ff \U0001f600"
    (file,) = [
        file
        for file in _document(worker(config={"core": {"odd": odd}}))["write_files"]
        if file["path"] == ENVIRONMENT_FILE
    ]
    assert odd in file["content"]


@both
def test_the_programs_that_report_a_failure_do_not_come_from_the_network(environment: NodeEnvironment):
    files = {file["path"]: file for file in _document(environment)["write_files"]}
    assert files.keys() >= FIRST_PROGRAMS
    assert files["/usr/local/lib/airflow/report-failed-boot"]["permissions"] == "0755"


@both
def test_permissions_are_text_because_yaml_numbers_are_not_octal(environment: NodeEnvironment):
    assert {file["permissions"] for file in _document(environment)["write_files"]} == {"0644", "0755"}


@both
def test_it_decodes_into_its_files_and_commands(environment: NodeEnvironment):
    decoded = decode(user_data(environment))
    assert decoded[ENVIRONMENT_FILE] == environment.render()
    assert "systemctl start --no-block airflow-node.target" in decoded["bootcmd"]


@both
def test_a_boot_installs_no_package_of_debian(environment: NodeEnvironment):
    assert not {"packages", "package_update", "package_upgrade", "apt"} & _document(environment).keys()


@both
def test_the_node_starts_as_soon_as_its_files_are_written(environment: NodeEnvironment):
    (line,) = [line for line in _document(environment)["bootcmd"] if "airflow-node.target" in line]
    words = shlex.split(line)
    assert "--no-block" in words, "cloud-init would wait for itself"
    assert "--property=After=cloud-init-network.service" in words, "that stage writes the files"
    assert "--property=DefaultDependencies=no" in words, "sysinit.target waits for cloud-init"
    assert "--property=OnFailure=airflow-boot-failed@airflow-start.service" in words
    assert words[-1].split(" && ") == list(STEPS), "one that fails ends it, so that the failure is seen"


def test_nothing_that_aws_decides_is_in_it():
    text = cloud_config(MASTER) + cloud_config(WORKER)
    for word in ("rds.amazonaws.com:", "cache.amazonaws.com", "arn:aws", "vpc-", "sg-", "subnet-"):
        assert word not in text, "a preview could not show it"


def test_the_deadline_of_the_first_boot_waits_for_no_unit_that_waits_for_cloud_init():
    for option in ("--timer-property", "--property"):
        assert f" {option}=DefaultDependencies=no" in FIRST_BOOT_DEADLINE, "sysinit.target waits for cloud-init"


@both
def test_the_node_stores_its_instance_id(environment: NodeEnvironment, tmp_path: Path):
    """cloud-init runs each line of bootcmd with INSTANCE_ID in its environment."""
    (line,) = [line for line in _document(environment)["bootcmd"] if INSTANCE_FILE in line]
    line = line.replace("/etc/airflow", str(tmp_path / "airflow"))
    subprocess.run(["sh", "-c", line], env={"PATH": os.environ["PATH"], "INSTANCE_ID": "i-0123456789"}, check=True)
    assert parse((tmp_path / "airflow/instance.env").read_text()) == {"NODE_INSTANCE_ID": "i-0123456789"}


MONITOR = "http://airflow-prod.internal:8428/api/v1/write"


def test_with_a_monitor_airflows_services_on_masters_send_their_metrics_to_the_node_itself():
    written = decode(user_data(master(metrics_url=MONITOR)))
    for service in ("api-server", "scheduler", "dag-processor", "triggerer"):
        drop_in = written[f"/etc/systemd/system/airflow-{service}.service.d/20-metrics.conf"]
        lines = set(drop_in.splitlines())
        assert "Environment=AIRFLOW__METRICS__OTEL_ON=True" in lines
        assert f"Environment=OTEL_SERVICE_NAME=airflow-{service}" in lines
        assert "Environment=OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://127.0.0.1:8429/opentelemetry/v1/metrics" in lines


def test_commands_and_boot_steps_send_none_because_they_would_wait_at_their_end():
    written = decode(user_data(master(metrics_url=MONITOR)))
    assert "OTEL" not in written["/etc/airflow/airflow.env"]
    named = {path.split("/")[4] for path in written if path.endswith("20-metrics.conf")}
    assert named == {f"airflow-{service}.service.d" for service in MASTER.role.definition.metered_services}


def test_tasks_send_none_because_each_would_be_slower_and_a_series_of_its_own():
    assert "OTEL" not in json.dumps(decode(user_data(worker(metrics_url=MONITOR))))


def test_a_stack_file_may_turn_airflows_metrics_off():
    node = master(metrics_url=MONITOR, config={"metrics": {"otel_on": False}})
    written = decode(user_data(node))
    # systemd reads an EnvironmentFile= after each Environment=.
    assert 'AIRFLOW__METRICS__OTEL_ON="False"' in written["/etc/airflow/airflow.env"]


@both
def test_without_a_monitor_no_file_and_no_variable_is_about_metrics(environment: NodeEnvironment):
    written = decode(user_data(environment))
    assert not [path for path in written if "metrics" in path]
    assert "NODE_METRICS" not in written["/etc/airflow/airflow.env"]
    assert "OTEL" not in json.dumps(written)


def test_a_monitors_user_data_fits_as_well():
    assert len(base64.b64decode(user_data(master(metrics_url=MONITOR)))) < LIMIT_BYTES - 1_000
