"""Whether Airflow can read the values in `airflow:config`, and whether they fit the cluster."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator

from node.airflow_options import lookup
from node.environment import config_text
from settings import schema
from settings.errors import Fault, shown
from settings.sections.airflow_config import refusals
from settings.sections.airflow_config.types import Config, OptionValue, options
from settings.sections.masters import MasterSettings
from settings.sections.worker_pools import WorkerPools, most_task_slots
from settings.types import nearest

Option = tuple[str, str]

_TIME_ZONE: Option = ("core", "default_timezone")
_PARALLELISM: Option = ("core", "parallelism")
_VISIBILITY_TIMEOUT: Option = ("celery_broker_transport_options", "visibility_timeout")
_XCOM_PATH: Option = ("common.io", "xcom_objectstorage_path")
_XCOM_THRESHOLD: Option = ("common.io", "xcom_objectstorage_threshold")
_S3_FOLDER = re.compile(r"s3://[a-z0-9][a-z0-9.-]+/[^/].*")
_DEFAULT_QUEUE = "default"

# Options that count towards the connection budget, and the smallest value that makes sense for each.
POOL_OPTIONS = {
    ("database", "sql_alchemy_pool_size"): 1,
    ("database", "sql_alchemy_max_overflow"): 0,
    ("api", "workers"): 1,
}

_TRUE = ("t", "true", "1")
_FALSE = ("f", "false", "0")
_MEANT_AS_TRUE = ("yes", "y", "on", "enabled", "enable")
_MEANT_AS_FALSE = ("no", "n", "off", "disabled", "disable")
# `%%(name)s`, `{%% if ... %%}`. An odd number of percent signs is a literal one before `%(name)s`.
_FROM_AIRFLOW_CFG = re.compile(r"(?<!%)(%%)+\(|\{%%|%%\}")
_OBJECT_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def options_can_be_read(config: Config) -> Iterator[Fault]:
    """Each option has a value that Airflow can read as the option's type; otherwise no service would start."""
    for (section, option), value in _values(config):
        kind = lookup.kind(section, option)
        if config_text(value).lower() in lookup.words(section, option):
            continue
        if kind in _READABLE and not _READABLE[kind](config_text(value)):
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given="a string that is not JSON" if kind == "json" else shown(value),
                allowed=_ALLOWED[kind],
                remedy=_advice(kind, config_text(value)),
            )


def options_are_among_choices(config: Config) -> Iterator[Fault]:
    """Options with a fixed set of values have one of these; Airflow checks them whenever a service starts."""
    for (section, option), value in _values(config):
        choices = lookup.choices(section, option)
        words = lookup.words(section, option)
        if choices and value not in ("", *choices) and config_text(value).lower() not in words:
            meant = next((choice for choice in choices if choice and choice == config_text(value).upper()), None)
            meant = meant or nearest(config_text(value), filter(None, choices))
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given=shown(value),
                allowed=", ".join(filter(None, choices)),
                remedy=f"did you mean {meant}?" if meant else "write one of these",
            )


def time_zone_exists(config: Config) -> Iterator[Fault]:
    """The default time zone exists; Airflow silently replaces an unknown one with UTC."""
    value = dict(_values(config)).get(_TIME_ZONE)
    if value is None or value == "system" or config_text(value).lower() == "utc":
        return
    zones = lookup.time_zones()
    if value not in zones:
        meant = nearest(config_text(value), zones)
        yield Fault(
            key=schema.key_of(("config", *_TIME_ZONE)),
            given=shown(value),
            allowed="the name of a time zone in the IANA database, for example Europe/Berlin; utc; system",
            remedy=f"write the name exactly as in the database; did you mean {meant}?"
            if meant
            else "write the name exactly as in the database",
        )


def percent_signs_are_single(config: Config) -> Iterator[Fault]:
    """No value is copied from airflow.cfg with its doubled percent signs: values here are not interpolated, so logs
    would show `%(asctime)s` instead of the time."""
    for (section, option), value in _values(config):
        if _FROM_AIRFLOW_CFG.search(config_text(value)):
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given="a string with %%",
                allowed="single percent signs: they are doubled only in airflow.cfg",
                remedy="write % instead of each %%",
            )


def visibility_timeout_covers_draining(config: Config, worker_pools: WorkerPools) -> Iterator[Fault]:
    """The broker's visibility timeout is at least the longest drain limit: after the timeout, the broker delivers a
    task that is still running to a second worker."""
    value = dict(_values(config)).get(_VISIBILITY_TIMEOUT)
    if value is None:
        return
    seconds = as_whole_number(value)
    longest = max((pool.drain_limit_seconds for pool in worker_pools.values()), default=0)
    if seconds is None or seconds < longest:
        yield Fault(
            key=schema.key_of(("config", *_VISIBILITY_TIMEOUT)),
            given=shown(value),
            allowed=f"a whole number of seconds, at least the longest drainLimitHours ({longest // 3600} h): after the "
            "timeout, the broker delivers a task that is still running to a second worker",
            remedy=f"write {longest} or more, or leave it out for seven days",
        )


def parallelism_is_above_zero(config: Config, worker_pools: WorkerPools) -> Iterator[Fault]:
    """`core.parallelism` allows each scheduler at least one task: executors do not start with less
    (airflow/executors/base_executor.py).

    A value that leaves workers idle may be intended: it causes a warning.
    """
    value = dict(_values(config)).get(_PARALLELISM)
    tasks = as_whole_number(value) if value is not None else None
    if tasks is not None and tasks < 1:
        yield Fault(
            key=schema.key_of(("config", *_PARALLELISM)),
            given=shown(value),
            allowed="a whole number, at least 1: the tasks that one scheduler may run at a time",
            remedy=f"leave it out: one scheduler can then fill all {most_task_slots(worker_pools):,} slots of the "
            "pools",
        )


def pool_options_are_limits(config: Config) -> Iterator[Fault]:
    """Options for the size of connection pools set a limit: 0 or -1 would mean no limit, but the database has one."""
    for (section, option), least in POOL_OPTIONS.items():
        number = as_whole_number(config.get(section, {}).get(option, least))
        if number is not None and number < least:
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given=shown(number),
                allowed=f"a whole number, at least {least}: it counts towards the database's connections",
                remedy=f"set it to {least} or more; a lower value means no limit, or none at all",
            )


def large_xcoms_have_a_place(config: Config) -> Iterator[Fault]:
    """XComs above the limit are refused, or stored in S3 if there is a place for them; no limit refuses all."""
    path = config.get("common.io", {}).get("xcom_objectstorage_path", "")
    limit = as_whole_number(config.get("common.io", {}).get("xcom_objectstorage_threshold", -1))
    if path and not _S3_FOLDER.fullmatch(config_text(path)):
        yield Fault(
            key=schema.key_of(("config", *_XCOM_PATH)),
            given=shown(path),
            allowed="the URL of a folder in S3, where the nodes' IAM roles may read and write",
            remedy="write s3://<the bucket of task logs>/xcom; `pulumi stack output` prints the bucket's name",
        )
    if limit is not None and (limit < -1 or (limit == 0 and not path)):
        yield Fault(
            key=schema.key_of(("config", *_XCOM_THRESHOLD)),
            given=shown(limit),
            allowed="a whole number of bytes, at least 1; -1 for no limit; with xcom_objectstorage_path also 0, for "
            "none in the database",
            remedy="leave it out for 10 MiB, or write the size of the largest XCom that the database should store",
        )


def as_whole_number(value: OptionValue) -> int | None:
    """The whole number that Airflow reads here, written as a number or a string; None if it is not a whole number."""
    try:
        return int(config_text(value))
    except ValueError:
        return None


def default_queue_is_served(worker_pools: WorkerPools, config: Config) -> Iterator[Fault]:
    """A worker pool serves the default queue: `default`, or `operators.default_queue` in `airflow:config`."""
    queue = config.get("operators", {}).get("default_queue", _DEFAULT_QUEUE)
    served = {served for pool in worker_pools.values() for served in pool.queues}
    if worker_pools and queue not in served:
        chosen = "[operators] default_queue in airflow:config" if queue != _DEFAULT_QUEUE else "Airflow's default"
        yield Fault(
            key="airflow:workerPools",
            given=f"no pool with the queue {shown(queue)}",
            allowed=f"one pool that serves it: it is {chosen}, the queue of every task that names none",
            remedy=f"add {queue} to a pool's queues, or set operators.default_queue to a queue that a pool serves",
        )


def _is_boolean(text: str) -> bool:
    return text.lower().partition("#")[0].strip() in (*_TRUE, *_FALSE)


def _is_whole(text: str) -> bool:
    return as_whole_number(text) is not None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _is_json(text: str) -> bool:
    try:
        json.loads(text or "null")
    except ValueError:
        return False
    return True


# By the type of the option. They accept nothing that the method for this type in Airflow's parser refuses. They refuse
# what only some other readers accept, such as 64.0 for a whole number.
_READABLE: dict[str, Callable[[str], bool]] = {
    "boolean": _is_boolean,
    "integer": _is_whole,
    "seconds": lambda text: not text or _is_whole(text),
    "number": _is_number,
    "json": _is_json,
    "import": lambda text: not text or bool(_OBJECT_NAME.fullmatch(text)),
}
_ALLOWED = {
    "boolean": "true or false",
    "integer": "a whole number",
    "seconds": "a whole number of seconds",
    "number": "a number",
    "json": "JSON",
    "import": "the name of a Python object with its module, for example my_package.my_module.my_function",
}


def _advice(kind: str, text: str) -> str:
    match kind:
        case "boolean" if text.strip().lower() in _MEANT_AS_TRUE:
            return "write true"
        case "boolean" if text.strip().lower() in _MEANT_AS_FALSE:
            return "write false"
        case "boolean":
            return "write true or false"
        case "json":
            return 'write valid JSON in single quotes, with its keys and strings in double quotes: \'{"key": "value"}\''
        case "import":
            return "write module and object, separated by dots"
    return "write the number alone, in digits: no unit, and no fraction if a whole number is required"


def _values(config: Config) -> Iterator[tuple[Option, OptionValue]]:
    """The options that exist and may be set; other rules report the rest."""
    for section, option, value in options(config):
        if lookup.exists(section, option) and refusals.refusal(section, option) is None:
            yield (section, option), value


def every_slot_can_be_used(config: Config, masters: MasterSettings, worker_pools: WorkerPools) -> Iterator[str]:
    """A warning about a `core.parallelism` with which some task slots always stay empty."""
    parallelism = as_whole_number(config.get("core", {}).get("parallelism", ""))
    tasks = (parallelism or 0) * masters.count
    slots = most_task_slots(worker_pools)
    if parallelism is not None and tasks < slots:
        yield (
            f"airflow:config.core.parallelism: {parallelism}. The schedulers then run at most {tasks} tasks at a "
            f"time, but the pools have {slots} task slots at maxSize, of which {slots - tasks} are never used: leave "
            "parallelism out, or lower maxSize."
        )
