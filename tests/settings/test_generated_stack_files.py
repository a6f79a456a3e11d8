"""Generated stack files: a valid one gives a complete cluster, and any other causes faults that name their keys."""

from __future__ import annotations

import copy
import ipaddress
import json
import runpy
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aws_catalog import broker_nodes, database_classes, endpoint_services, instance_types, limits, regions
from engine.program import DEFAULT_CONFIG, deploy
from node.airflow_options import lookup
from node.environment import LOCKED_OPTIONS
from settings import Settings, schema
from settings.errors import SettingsError
from settings.sections.airflow_config import refusals, values
from settings.sections.database import budget
from settings.sections.provider import MOST_TAGS
from tests.stack_file import ROOT, content, load

_WORDS = st.from_regex(r"[a-z](-?[a-z0-9]){0,8}", fullmatch=True)
_SUBNETS = st.integers(0, 16**17 - 1).map(lambda number: f"subnet-{number:017x}")
_AMD64 = ("m7i.xlarge", "m7a.xlarge", "m6i.2xlarge", "c7i-flex.2xlarge", "r7i.large", "g5.xlarge")
_ARM64 = ("m7g.xlarge", "m8g.xlarge", "c7gn.2xlarge", "r8g.large", "x2gd.large")
_LARGE_CLASSES = [name for name in database_classes.MEMORY_GIB if database_classes.max_connections(name) >= 3000]
_OPTIONS = sorted(
    (section, option)
    for section, options in json.loads(lookup.REGISTRY.read_text())["options"].items()
    for option in options
)
_POOL_OPTIONS = sorted(values.POOL_OPTIONS)
# The rules on these depend on the rest of the stack file, or on each other.
_BOUND_OPTIONS = {
    ("common.io", "xcom_objectstorage_path"),
    ("common.io", "xcom_objectstorage_threshold"),
    ("operators", "default_queue"),
    ("core", "default_timezone"),
    ("core", "parallelism"),
    ("celery_broker_transport_options", "visibility_timeout"),
    ("secrets", "backend_kwargs"),
    ("workers", "secrets_backend_kwargs"),
}
_FREE_OPTIONS = [
    pair
    for pair in _OPTIONS
    if pair not in {*LOCKED_OPTIONS, *_POOL_OPTIONS, *_BOUND_OPTIONS} and refusals.refusal(*pair) is None
]
_NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(max_size=200).filter(str.isprintable)
_JSON = st.dictionaries(st.sampled_from(["a", "b"]), st.integers()).map(json.dumps)
_VALUES_BY_TYPE = {
    "boolean": st.booleans() | st.sampled_from(["t", "True", "FALSE", "0"]),
    "integer": st.integers() | st.integers().map(str),
    "seconds": st.integers(),
    "number": _NUMBERS | _NUMBERS.map(str),
    "json": _JSON,
    "import": st.just("my_package.my_module.my_name"),
    "string": _NUMBERS | st.booleans() | _TEXTS.filter(lambda text: "%%" not in text),
}


def _option_values(pair: tuple[str, str]) -> st.SearchStrategy[Any]:
    """Any value that an option may be set to."""
    if lookup.sensitive(*pair):
        return _JSON
    choices = lookup.choices(*pair)
    return st.sampled_from(choices) if choices else _VALUES_BY_TYPE[lookup.kind(*pair)]


_ROUGH = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def _lists(values: st.SearchStrategy[Any], *, least: int = 1, most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=least, max_size=most, unique=True)


@st.composite
def _networks(draw: st.DrawFn, *, prefixes: tuple[int, int]) -> str:
    """A private network without bits after its prefix."""
    block = ipaddress.IPv4Network(draw(st.sampled_from(["10.0.0.0/8", "172.16.0.0/12"])))
    address = draw(st.integers(int(block.network_address), int(block.broadcast_address)))
    return str(ipaddress.IPv4Network((address, draw(st.integers(*prefixes))), strict=False))


@st.composite
def _network(draw: st.DrawFn, region: str) -> dict[str, Any]:
    if draw(st.booleans()):
        subnets = draw(_lists(_SUBNETS, least=6, most=6))
        tiers = ("publicSubnetIds", "privateSubnetIds", "dataSubnetIds")
        cidrs = draw(_lists(_networks(prefixes=(16, 28))))
        existing: dict[str, Any] = {"vpcId": "vpc-0123456789abcdef0", "cidrs": cidrs}
        existing |= {tier: subnets[2 * place : 2 * place + 2] for place, tier in enumerate(tiers)}
        return {"existing": existing}
    return {
        "cidr": draw(_networks(prefixes=(16, 20))),
        "zones": draw(_lists(st.sampled_from(regions.zones(region)), least=2)),
        "natGateways": draw(st.sampled_from(["perZone", "single"])),
        "flowLogRetentionDays": draw(st.sampled_from(limits.LOG_GROUP_RETENTION_DAYS)),
        "interfaceEndpoints": draw(_lists(st.sampled_from(endpoint_services.SERVICES), least=0)),
    }


@st.composite
def _pools(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(_lists(_WORDS))
    queues = draw(_lists(_WORDS.filter(lambda word: word != "default"), least=len(names) - 1, most=len(names) - 1))
    pools: dict[str, Any] = {}
    for name, queue in zip(names, ["default", *queues], strict=True):
        low = draw(st.integers(0, 10))
        pools[name] = {
            "queues": [queue],
            "instanceTypes": draw(_lists(st.sampled_from(draw(st.sampled_from([_AMD64, _ARM64]))))),
            "minSize": low,
            "maxSize": draw(st.integers(max(1, low), 10)),
            "spotPercent": draw(st.integers(0, 100)),
            "idleSeconds": draw(st.integers(10, 86_400)),
            "drainLimitHours": draw(st.integers(1, limits.HOOK_HOURS - 1)),
            "bootLeadSeconds": draw(st.integers(10, 3600)),
        }
        pools[name] |= draw(_measures(pools[name]["instanceTypes"]))
        pools[name]["onDemandBase"] = draw(st.integers(0, pools[name]["maxSize"]))
        if draw(st.booleans()):
            pools[name]["workersAhead"] = draw(st.integers(0, pools[name]["maxSize"]))
    return pools


def _measures(types: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """How many tasks run on a worker: a number, or memory per task if the memory follows from the types' names."""
    by_number = st.integers(1, 20).map(lambda tasks: {"concurrency": tasks})
    if any(instance_types.memory_gib(kind) is None for kind in types):
        return by_number
    return by_number | st.floats(2, 7).map(lambda gib: {"taskMemoryGib": gib})


@st.composite
def _web(draw: st.DrawFn) -> dict[str, Any]:
    web: dict[str, Any] = {"allowedCidrs": [draw(_networks(prefixes=(8, 32)))]}
    if draw(st.booleans()):
        web |= {"domain": f"{draw(_WORDS)}.example.com", "hostedZoneId": "Z0123456789ABCDEFGHIJ"}
        if draw(st.booleans()):
            web["public"] = draw(st.sampled_from([{}, {"allowedCidrs": ["203.0.113.0/24"]}]))
    return web


def _by_section(options: dict[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for (section, option), value in options.items():
        sections.setdefault(section, {})[option] = value
    return sections


@st.composite
def _config(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Options of any section, with any value that fits on one line; sizes of connection pools stay small."""
    chosen = draw(_lists(st.sampled_from(_FREE_OPTIONS), least=0, most=8))
    options = {pair: draw(_option_values(pair)) for pair in chosen}
    sizes = st.integers(1, 3) | st.integers(1, 3).map(str)
    return _by_section(options | draw(st.dictionaries(st.sampled_from(_POOL_OPTIONS), sizes)))


@st.composite
def valid_stack_files(draw: st.DrawFn) -> dict[str, Any]:
    """A stack file without a fault, with any accepted values."""
    region = draw(st.sampled_from(sorted(regions.ZONE_LETTERS)))
    account = draw(st.text(string.digits, min_size=12, max_size=12))
    protected, storage = draw(st.booleans()), draw(st.integers(*limits.DATABASE_STORAGE_GIB))
    storage = min(storage, limits.DATABASE_STORAGE_GIB[1] * 10 // 11)
    return {
        "aws:region": region,
        "aws:allowedAccountIds": [account],
        "aws:defaultTags": {"tags": draw(st.dictionaries(_WORDS, _WORDS, max_size=MOST_TAGS))},
        "airflow:cluster": {"name": draw(_WORDS), "accountId": account, "protectData": protected},
        "airflow:network": draw(_network(region)),
        "airflow:database": {
            "instanceClass": draw(st.sampled_from(_LARGE_CLASSES)),
            "engineVersion": draw(st.sampled_from(["17", "17.6"])),
            "allocatedStorageGib": storage,
            "maxAllocatedStorageGib": limits.DATABASE_STORAGE_GIB[1],
            "multiAz": draw(st.booleans()),
            "backupRetentionDays": draw(st.integers(1 if protected else 0, 35)),
        },
        "airflow:broker": {
            "nodeType": draw(st.sampled_from(broker_nodes.NODE_TYPES)),
            "replicas": draw(st.integers(*limits.BROKER_REPLICAS)),
            "snapshotRetentionDays": draw(st.integers(*limits.BROKER_SNAPSHOT_RETENTION_DAYS)),
        },
        "airflow:masters": {
            "count": draw(st.integers(1, 10)),
            "instanceType": draw(st.sampled_from((*_AMD64, *_ARM64))),
        },
        "airflow:workerPools": draw(_pools()),
        "airflow:web": draw(_web()),
        "airflow:config": draw(_config()),
    }


_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | _networks(prefixes=(0, 32))
    | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10) | _WORDS, inner, max_size=3),
    max_leaves=5,
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a stack file."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, part in entries for path in ((*at, key), *_places(part, (*at, key)))]


_DAMAGED_OPTIONS = st.dictionaries(
    st.sampled_from(_OPTIONS) | st.tuples(_WORDS | st.text(max_size=10), _WORDS | st.text(max_size=10)),
    _ANYTHING | st.one_of(*_VALUES_BY_TYPE.values()) | _TEXTS,
    max_size=5,
).map(_by_section)


@st.composite
def damaged_stack_files(draw: st.DrawFn) -> dict[str, Any]:
    """A valid stack file with a few things removed, replaced or added."""
    config = copy.deepcopy(draw(st.just(content("prod")) | valid_stack_files()))
    if draw(st.booleans()):
        config["airflow:config"] = draw(_DAMAGED_OPTIONS)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_places(config) or [("airflow:cluster",)]))
        place = config
        for key in path[:-1]:
            place = place[key]
        match draw(st.sampled_from(["remove", "replace", "add"])):
            case "remove" if path[-1] in place or isinstance(place, list):
                del place[path[-1]]
            case "add" if isinstance(place, dict):
                prefix = "airflow:" if len(path) == 1 else ""
                place[prefix + draw(_WORDS | st.text(max_size=10))] = draw(_ANYTHING)
            case _:
                place[path[-1]] = draw(_ANYTHING)
    return config


def _assert_named(error: SettingsError) -> None:
    """Every fault names a key in the stack file and says what to do."""
    assert error.faults
    for fault in error.faults:
        assert fault.key.startswith(("airflow:", "aws:", "config:")), fault
        assert fault.given, fault
        assert fault.allowed, fault
        assert fault.remedy, fault
        assert "docs/settings.md" not in fault.remedy, f"a fault without a text of its own: {fault}"


@settings(_ROUGH, max_examples=8)
@given(valid_stack_files())
def test_a_valid_stack_file_gives_a_complete_cluster(config: dict[str, Any]):
    settings_read = load(config)
    _, recording = deploy(lambda: runpy.run_path(str(ROOT / "__main__.py")), config=config)
    groups = recording.of_type("aws:autoscaling/group:Group")
    assert len(groups) == 1 + len(settings_read.worker_pools), "one group of masters, and one for each pool"
    assert (
        budget(settings_read.masters, settings_read.worker_pools, settings_read.config).total
        <= settings_read.database.max_connections
    )


@settings(_ROUGH, max_examples=50)
@given(valid_stack_files())
def test_a_valid_stack_file_has_no_fault(config: dict[str, Any]):
    load(config)


@settings(_ROUGH, max_examples=150)
@given(damaged_stack_files())
def test_a_damaged_stack_file_causes_faults_that_name_their_keys(config: dict[str, Any]):
    try:
        load(config)
    except SettingsError as error:
        _assert_named(error)


@settings(_ROUGH, max_examples=60)
@given(st.dictionaries(st.sampled_from([schema.key_of((key,)) for key in schema.fields_by_key(Settings)]), _ANYTHING))
def test_any_content_of_the_sections_causes_faults_that_name_their_keys(config: dict[str, Any]):
    try:
        load(config)
    except SettingsError as error:
        _assert_named(error)


@settings(_ROUGH, max_examples=10)
@given(damaged_stack_files())
def test_a_damaged_stack_file_registers_nothing(config: dict[str, Any]):
    config = {**DEFAULT_CONFIG, **config}  # as the full stack file for a deployment
    try:
        load(config)
    except SettingsError:
        pass
    else:
        return  # a file that is still valid is the subject of another test

    def refused() -> None:
        with pytest.raises(SettingsError):
            runpy.run_path(str(ROOT / "__main__.py"))

    _, recording = deploy(refused, config=config)
    assert recording.resources == [], "Pulumi creates a resource as soon as it is registered"
