"""The cluster's name in this machine's hosts file."""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from lab import hosts_file

ADDRESS = IPv4Address("10.80.15.244")


@pytest.mark.parametrize("before", ["", "127.0.0.1 localhost\n", "127.0.0.1 localhost"])
def test_the_line_is_added_and_removed(tmp_path: Path, before: str):
    hosts = tmp_path / "hosts"
    hosts.write_text(before)
    hosts_file.add("airflow-prod.internal", ADDRESS, hosts)
    assert any(line.split()[:2] == [str(ADDRESS), "airflow-prod.internal"] for line in hosts.read_text().splitlines())
    hosts_file.remove(hosts)
    assert hosts.read_text().rstrip("\n") == before.rstrip("\n")


def test_a_line_that_a_killed_lab_left_is_replaced(tmp_path: Path):
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    hosts_file.add("airflow-prod.internal", IPv4Address("10.80.0.1"), hosts)
    hosts_file.add("airflow-prod.internal", ADDRESS, hosts)
    assert hosts.read_text().count("airflow-prod.internal") == 1


def test_other_lines_stay(tmp_path: Path):
    hosts = tmp_path / "hosts"
    hosts.write_text("10.0.0.1 airflow-prod.internal # mine\n")
    hosts_file.remove(hosts)
    assert hosts.read_text() == "10.0.0.1 airflow-prod.internal # mine\n"


def test_two_labs_that_write_at_the_same_time_lose_no_line(tmp_path: Path):
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    code = "import sys; from pathlib import Path; from ipaddress import IPv4Address; from lab import hosts_file\n" + (
        "for last in range(100): hosts_file.add('lab', IPv4Address(last), Path(sys.argv[1]))"
    )
    labs = [
        subprocess.Popen([sys.executable, "-c", code, hosts], env={**os.environ, "AIRFLOW_LAB": number})
        for number in ("1", "2")
    ]
    assert [lab.wait(60) for lab in labs] == [0, 0]
    assert len(hosts.read_text().splitlines()) == 3
