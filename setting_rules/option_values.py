"""Whether Airflow can read the values in `airflow:config`, and whether they fit the cluster."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from node import airflow_options
from node.environment import config_text
from setting_rules import airflow_config, schema, task_slots
from setting_rules.faults import Fault, counted, shown
from setting_rules.values import nearest

if TYPE_CHECKING:
    from settings import Settings

Value = str | int | float | bool
Option = tuple[str, str]

_TIME_ZONE: Option = ("core", "default_timezone")
_PARALLELISM: Option = ("core", "parallelism")
_VISIBILITY_TIMEOUT: Option = ("celery_broker_transport_options", "visibility_timeout")

# Options whose value the connection budget is reckoned with, and the least that makes sense.
POOL_OPTIONS = {
    ("database", "sql_alchemy_pool_size"): 1,
    ("database", "sql_alchemy_max_overflow"): 0,
    ("api", "workers"): 1,
}

_TRUE = ("t", "true", "1")
_FALSE = ("f", "false", "0")
_MEANT_AS_TRUE = ("yes", "y", "on", "enabled", "enable")
_MEANT_AS_FALSE = ("no", "n", "off", "disabled", "disable")
_OBJECT_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def options_can_be_read(settings: Settings) -> Iterator[Fault]:
    """Each option has a value that Airflow can read as the option's type; otherwise no service would start."""
    for (section, option), value in _values(settings):
        kind = airflow_options.kind(section, option)
        if kind in _READABLE and not _READABLE[kind](config_text(value)):
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given="a text that is not JSON" if kind == "json" else shown(value),
                allowed=_ALLOWED[kind],
                remedy=_advice(kind, config_text(value)),
            )


def options_are_among_choices(settings: Settings) -> Iterator[Fault]:
    """Options with a fixed set of values have one of these; Airflow checks them at each start of a service."""
    for (section, option), value in _values(settings):
        choices = airflow_options.choices(section, option)
        if choices and value not in ("", *choices):
            meant = next((choice for choice in choices if choice and choice == config_text(value).upper()), None)
            meant = meant or nearest(config_text(value), filter(None, choices))
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given=shown(value),
                allowed=", ".join(filter(None, choices)),
                remedy=f"did you mean {meant}?" if meant else "write one of these",
            )


def time_zone_exists(settings: Settings) -> Iterator[Fault]:
    """The default time zone exists; in place of an unknown one Airflow takes UTC without a word."""
    value = dict(_values(settings)).get(_TIME_ZONE)
    if value is None or value == "system" or config_text(value).lower() == "utc":
        return
    zones = airflow_options.time_zones()
    if value not in zones:
        meant = nearest(config_text(value), zones)
        yield Fault(
            key=schema.key_of(("config", *_TIME_ZONE)),
            given=shown(value),
            allowed="the name of a time zone in the IANA database, for example Europe/Berlin; utc; system",
            remedy=f"write the name as the database has it; did you mean {meant}?"
            if meant
            else "write the name as the database has it",
        )


def percent_signs_are_single(settings: Settings) -> Iterator[Fault]:
    """No value doubles its percent signs, as airflow.cfg wants them: values here are not interpolated, and a log would
    show `%(asctime)s` instead of the time."""
    for (section, option), value in _values(settings):
        if "%%" in config_text(value):
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given="a text with %%",
                allowed="text with single percent signs: only in airflow.cfg they have to be doubled",
                remedy="write % instead of each %%",
            )


def visibility_timeout_covers_draining(settings: Settings) -> Iterator[Fault]:
    """The broker's visibility timeout is not below the longest drain limit: after it the broker hands a task that still
    runs to a second worker."""
    value = dict(_values(settings)).get(_VISIBILITY_TIMEOUT)
    if value is None:
        return
    seconds = whole_number(value)
    longest = max((pool.drain_limit_seconds for pool in settings.worker_pools.values()), default=0)
    if seconds is None or seconds < longest:
        yield Fault(
            key=schema.key_of(("config", *_VISIBILITY_TIMEOUT)),
            given=shown(value),
            allowed=f"a whole number of seconds, from the longest drainLimitHours ({longest // 3600} h) up: after that "
            "time the broker hands a task that still runs to a second worker",
            remedy=f"write {longest} or more; or leave it out, then it is seven days",
        )


def parallelism_fills_the_workers(settings: Settings) -> Iterator[Fault]:
    """All schedulers together may run as many tasks as the workers that are always there have slots, and as one worker
    of any pool has: with less, workers stand idle that the stack file asks for."""
    value = dict(_values(settings)).get(_PARALLELISM)
    tasks = whole_number(value) if value is not None else None
    if tasks is None:
        return
    masters, pools = settings.masters.count, settings.worker_pools.values()
    resting = sum(pool.min_size * pool.task_slots for pool in pools)
    needed = max(1, resting, *(pool.task_slots for pool in pools))
    if masters * tasks < needed:
        yield Fault(
            key=schema.key_of(("config", *_PARALLELISM)),
            given=f"{shown(value)}, which is {counted(masters * tasks, 'task')} with {counted(masters, 'scheduler')}",
            allowed=f"{-(-needed // masters)} or more: all workers at minSize, or one worker with the most slots, have "
            f"{counted(needed, 'task slot')}",
            remedy=f"leave it out, then one scheduler can fill all {task_slots.of_all_pools(settings):,} slots of the "
            "pools; to run fewer tasks, lower maxSize or the tasks at a time on one worker",
        )


def pool_options_are_limits(settings: Settings) -> Iterator[Fault]:
    """Options that size pools of connections are limits: 0 or -1 would mean none, and the database has one."""
    for (section, option), least in POOL_OPTIONS.items():
        number = whole_number(settings.config.get(section, {}).get(option, least))
        if number is not None and number < least:
            yield Fault(
                key=schema.key_of(("config", section, option)),
                given=shown(number),
                allowed=f"a whole number from {least} up: the database's connections are reckoned with it",
                remedy=f"set it to {least} or more; less would mean without limit, or none at all",
            )


def whole_number(value: Value) -> int | None:
    """The whole number that Airflow reads here, whether it is written as a number or as a text; None if it is none."""
    try:
        return int(config_text(value))
    except ValueError:
        return None


def _is_boolean(text: str) -> bool:
    return text.lower().partition("#")[0].strip() in (*_TRUE, *_FALSE)


def _is_whole(text: str) -> bool:
    return whole_number(text) is not None


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


# By the type of the option. They take nothing that the method of Airflow's parser refuses which reads the type; what
# some of its readers alone would take, such as 64.0 for a whole number, they refuse.
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
            return 'write valid JSON in single quotes, its keys and texts in double quotes: \'{"key": "value"}\''
        case "import":
            return "write module and object with dots between them"
    return "write the number alone, in digits: no unit, and no fraction where a whole number is wanted"


def _values(settings: Settings) -> Iterator[tuple[Option, Value]]:
    """The options that exist and may be set; of the others airflow_config says what is to be done."""
    for section, options in settings.config.items():
        for option, value in options.items():
            if airflow_options.exists(section, option) and airflow_config.refusal(section, option) is None:
                yield (section, option), value
