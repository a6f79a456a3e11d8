"""Several labs on one machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

SAY = """
import json
from lab import cgroups, forwarding, host, hosts_file, namespace, network
print(json.dumps([
    hosts_file.MARK, str(host.STATE), str(host.DISKS), cgroups.CGROUP, namespace.HOST_LINK, namespace.HOST_TABLE,
    forwarding.COMMENT, str(network.HOST_END), str(network.LAB_END),
]))
"""
MARK = 0


def python(code: str, number: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AIRFLOW_LAB": number}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def names(number: str) -> list[Any]:
    return json.loads(python(SAY, number).stdout)


def test_two_labs_have_no_name_or_address_on_this_machine_in_common():
    labs = [names(""), names("1"), names("2")]
    assert len({name for lab in labs for name in lab}) == sum(len(set(lab)) for lab in labs)
    marks = [lab[MARK] for lab in labs]
    assert [sum(mark in line for line in marks) for mark in marks] == [1, 1, 1], "each finds its own lines by it"


@pytest.mark.parametrize("number", ["0", "10", "x"])
def test_another_number_is_refused_with_those_that_are_allowed(number: str):
    refused = python("import lab.host", number)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"AIRFLOW_LAB is '{number}'. It is a number from 1 to 9, or unset for the lab of `make lab`.\n"
    )
