"""Following a fault's remedy literally makes the stack file valid, or leads to another fault."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from settings.errors import Fault, SettingsError
from tests.stack_file import REMOVED, changed, load

_POOL = "airflow:workerPools.default"
_DOMAIN = {"airflow:web.domain": "airflow.example.com", "airflow:web.hostedZoneId": "Z0123456789"}
_EXISTING = {
    "vpcId": "vpc-0123456789abcdef0",
    "cidrs": ["10.0.0.0/16"],
    "privateSubnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "dataSubnetIds": ["subnet-0123456789abcdef2", "subnet-0123456789abcdef3"],
}
_GPU = {"queues": ["gpu"], "instanceTypes": ["g5.xlarge"], "concurrency": 1, "minSize": 0, "maxSize": 1}
_MANY_WORKERS = {"airflow:workerPools.heavy.maxSize": 150}

# Patterns for what a remedy says to write. The first that matches is applied.
_WRITE = (
    r'put it in quotes: (".*")',
    r"did you mean ((?:airflow|aws):[\w.]+)\?",
    r"did you mean (\S+)\?",
    r"\bwrite (\[.*?\]|\{\}|[a-z]\w+: \S+|\S+?)(?=[:;,]? |[:;,]?$)",
    r"for example (\S+?)(?=[:;,]? |[:;,]?$)",
    r"to at (?:most|least) ([\d,]*\d(?:\.\d+)?)",
    r"to ([\d,]+) or more",
    r"the next accepted value is (\d+)",
    r"\bhas (\S+?),",
    r"use (\S+?);",
    r"shorten it by (\d+)",
)

# Each is valid after its remedy is applied.
_ONE_STEP: list[dict[str, Any]] = [
    {"aws:region": "eu-west-11"},
    {"airflow:cluster.name": "Air_Flow"},
    {"airflow:cluster.name": "a" * 26},
    {"airflow:cluster.protectData": "true"},
    {"airflow:cluster.protectData": "yes"},
    {"airflow:cluster.protectData": 1},
    {"airflow:cluster.nmae": "x"},
    {"airflow:cluster.frobnicate": "x"},
    {"airflow:network.cidr": "10.20.0.0/12"},
    {"airflow:network.cidr": "10.20.0.0"},
    {"airflow:network.cidr": "10.20.1.0/28"},
    {"airflow:network.cidr": "8.8.0.0/16"},
    {"airflow:network.cidr": ["10.20.0.0/16"]},
    {"airflow:network.cidr": "office"},
    {"airflow:network.cidr": "10.80.4.0/22", "airflow:database.instanceClass": "db.m7g.4xlarge", **_MANY_WORKERS},
    {"airflow:network.zones": ["eu-west-1a", "eu-west-1b", "eu-west-1a"]},
    {"airflow:network.natGateways": "per-zone"},
    {"airflow:network.natGateways": "Single"},
    {"airflow:network.flowLogRetentionDays": 45},
    {"airflow:network.flowLogRetentionDays": 5000},
    {"airflow:network.interfaceEndpoints": ["secretmanager"]},
    {"airflow:network.interfaceEndpoints": "secretsmanager"},
    {"airflow:network": {"existing": {**_EXISTING, "cidrs": ["10.0.1.0/16"]}}},
    {"airflow:network": {"existing": {**_EXISTING, "cidrs": ["10.0.0.0/12"]}}},
    {"airflow:network": {"existing": {**_EXISTING, "dataSubnetIds": ",".join(_EXISTING["dataSubnetIds"])}}},
    {"airflow:database.instanceClass": "m7g.large"},
    {"airflow:database.instanceClass": ["db.m7g.large"]},
    {"airflow:database.engineVersion": 17},
    {"airflow:database.engineVersion": "16.4"},
    {"airflow:database.allocatedStorageGib": 10},
    {"airflow:database.allocatedStorageGib": "100"},
    {"airflow:database.allocatedStorageGib": 100.5},
    {"airflow:database.maxAllocatedStorageGib": 105},
    {"airflow:database.backupRetentionDays": 40},
    {"airflow:database.storage": 100},
    {"airflow:database.password": "x"},
    {"airflow:broker.nodeType": "m7g.large"},
    {"airflow:broker.replicas": 6},
    {"airflow:broker.engine": "redis"},
    {"airflow:masters.instanceType": "m7i-large"},
    {"airflow:masters.instanceType": "M7i.Large"},
    {"airflow:masters.instanceType": "g5.large"},
    {"airflow:masters.instanceType": "m9z.large"},
    {"airflow:masters.instanceType": "mac2.metal"},
    {"airflow:masters.instanceType": ["m7i.large"]},
    {"airflow:masters.instanceType": "t3.small"},
    {"airflow:masters.instanceType": "t4g.small"},
    {"airflow:masters.minSize": 2},
    {"airflow:masters.count": 0},
    {f"{_POOL}.spotPercent": 0.7},
    {f"{_POOL}.spotPercent": "70%"},
    {f"{_POOL}.spotPercent": 101},
    {f"{_POOL}.spotPercent": True},
    {f"{_POOL}.spot": True},
    {f"{_POOL}.spot": False},
    {f"{_POOL}.desiredCapacity": 4},
    {f"{_POOL}.maxWorkers": 4},
    {f"{_POOL}.queues": "default"},
    {f"{_POOL}.minSize": 9},
    {f"{_POOL}.workersAhead": 9},
    {
        "airflow:database.instanceClass": "db.m7g.xlarge",
        "airflow:workerPools.heavy.instanceTypes": ["t3.medium"],
        "airflow:workerPools.heavy.concurrency": 36,
    },
    {f"{_POOL}.idleSeconds": 5},
    {f"{_POOL}.idleSeconds": "60s"},
    {f"{_POOL}.drainLimitHours": 48},
    {f"{_POOL}.drainLimitHours": 1.5},
    {f"{_POOL}.concurrency": REMOVED, f"{_POOL}.taskMemoryGib": "2"},
    {f"{_POOL}.concurrency": REMOVED, f"{_POOL}.taskMemoryGib": 30},
    {"airflow:workerPools.ML": _GPU},
    {"airflow:workerPools.gpu_pool": _GPU},
    {"airflow:workerPools.heavy.queues": ["-x"]},
    {"airflow:workerPools.heavy.queues": ["a, b"]},
    {"airflow:workerPools.heavy.queues": ["unacked"]},
    {"airflow:workerPools.heavy.queues": ["heavy", 7]},
    {"airflow:web.allowedCidrs": ["10.0.0.0/255.0.0.0"]},
    {"airflow:web.allowedCidrs": ["10.80.0.0/16", "127.0.0.0/8"]},
    {"airflow:web.allowedCidrs": ["10.80.0.7"]},
    {"airflow:web.allowedCidrs": ["10.0.0.0/8", "10.80.0.0/16"]},
    {"airflow:web.allowedCidrs": "10.80.0.0/16"},
    {**_DOMAIN, "airflow:web.domain": "https://airflow.example.com/"},
    {**_DOMAIN, "airflow:web.domain": "airflow.corp.local"},
    {**_DOMAIN, "airflow:web.hostedZoneId": "/hostedzone/Z0123456789"},
    {**_DOMAIN, "airflow:web.certificateArn": "arn:aws:acm:eu-west-1:111122223333:certificate/x"},
    {**_DOMAIN, "airflow:web.public": {"allowedCidrs": ["203.0.113.0/24", "100.64.0.0/10"]}},
    {**_DOMAIN, "airflow:web.public": True},
    {"airflow:retention.logGroupsDays": 8},
    {"airflow:retention.days": 8},
    {"aws:defaultTags.tags": {"aws:team": "data"}},
    {"aws:defaultTags.tags": {"Team ": "data"}},
    {"aws:defaultTags.tags": {"CostCenter": 1234}},
    {"aws:defaultTags.tags": {"Prod": True}},
    {"aws:allowedAccountIds": "111122223333"},
    {"aws:allowedAccountIds": ["111122223333", 444455556666]},
]


@pytest.mark.parametrize("changes", _ONE_STEP, ids=lambda case: " ".join(case))
def test_following_a_remedy_literally_removes_the_fault(changes: dict[str, Any]):
    config = changed(changes)
    (fault,) = _faults(config)
    _follow(fault, config)
    assert _faults(config) == (), f"followed: {fault}"


_BETTER: list[tuple[dict[str, Any], str]] = [
    ({"aws:region": "us-gov-west-1"}, "airflow:network.zones"),
    ({"airflow:cluster.accountId": 111122223334}, "airflow:cluster.accountId"),
    ({f"{_POOL}.instanceTypes": REMOVED, f"{_POOL}.instanceType": "m7i.large"}, f"{_POOL}.instanceTypes"),
    ({f"{_POOL}.concurrency": REMOVED, f"{_POOL}.slots": 16}, ""),
    ({"airflow:cluster.accountId": 1402433619}, "airflow:cluster.accountId"),
    ({"airflow:database.engineVersion": 17.1}, "airflow:database.engineVersion"),
    ({"airflow:workerPools.heavy": {**_GPU, "queues": "default"}}, "airflow:workerPools.heavy.queues"),
    ({"airflow:database.instanceClass": "db.t4g.micro"}, "airflow:database.instanceClass"),
]


@pytest.mark.parametrize(("changes", "next_key"), _BETTER)
def test_following_a_remedy_literally_leads_to_the_next_fault(changes: dict[str, Any], next_key: str):
    config = changed(changes)
    first = min(_faults(config), key=lambda fault: fault.key != list(changes)[-1])
    _follow(first, config)
    following = _faults(config)
    assert first not in following
    assert all(fault.key.startswith(next_key) for fault in following)


def _faults(config: dict[str, Any]) -> tuple[Fault, ...]:
    try:
        load(config)
    except SettingsError as error:
        return error.faults
    return ()


def _follow(fault: Fault, config: dict[str, Any]) -> None:
    """Apply the remedy literally, as if copying from it without further thought."""
    place, word = _place(config, fault.key)
    found = next((match for pattern in _WRITE if (match := re.search(pattern, fault.remedy))), None)
    if re.match(r"remove it|leave it out", fault.remedy):
        del place[word]
    elif moved := re.match(r"move it to (\S+?),", fault.remedy):
        to, new = _place(config, moved[1])
        to[new].append(place.pop(word))
    elif fault.remedy.startswith("put it in quotes,"):
        place[word] = str(place[word])
    elif found is None:
        raise AssertionError(f"the remedy cannot be followed literally: {fault}")
    elif fault.remedy.startswith("shorten"):
        place[word] = place[word][: -int(found[1])]
    elif fault.remedy.startswith("rename") and word not in ("name",) and isinstance(place, dict):
        place[found[1]] = place.pop(word)
    elif re.fullmatch(r"(airflow|aws):[\w.]+", found[1]):
        to, new = _place(config, found[1])
        to[new] = place.pop(word)
    elif setting := re.fullmatch(r"(\w+): (\S+)", found[1]):
        del place[word]
        place[setting[1]] = yaml.safe_load(setting[2])
    else:
        text = found[1].replace(",", "") if re.fullmatch(r"[\d,]+", found[1]) else found[1]
        written = yaml.safe_load(text)
        if isinstance(place, list) and isinstance(written, list):
            place[word : word + 1] = written
        else:
            place[word] = written


def _place(config: dict[str, Any], key: str) -> tuple[Any, Any]:
    """The mapping or list that contains a key, and the last part of the key."""
    full, *words = re.findall(r"^\w+:\w+|(?<=\.)[^.\[]+|(?<=\[)\d+(?=\])", key)
    place: Any = config
    path = [full, *(int(word) if word.isdecimal() else word for word in words)]
    for word in path[:-1]:
        place = place[word]
    return place, path[-1]
