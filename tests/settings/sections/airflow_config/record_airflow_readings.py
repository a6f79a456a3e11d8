"""Records how Airflow's own parser reads values, for test_airflow_readings.py. Run it with a Python that has the lock:

uv venv --python 3.13 /tmp/airflow && uv pip install --python /tmp/airflow/bin/python -r node/locks/airflow.txt
AIRFLOW_HOME=/tmp/airflow /tmp/airflow/bin/python tests/settings/sections/airflow_config/record_airflow_readings.py
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow import __version__  # ty: ignore[import-not-found] - Airflow is in its own environment
from airflow.configuration import conf  # ty: ignore[import-not-found]

HERE = Path(__file__).parent
REGISTRY = json.loads((HERE.parents[3] / "node/airflow_options/registry.json").read_text())["options"]
READERS: dict[str, Callable[..., Any]] = {
    "boolean": conf.getboolean,
    "integer": conf.getint,
    "seconds": conf.gettimedelta,
    "number": conf.getfloat,
    "json": conf.getjson,
    "import": conf.getimport,
}
TEXTS = [
    *("", " ", "true", "True", "TRUE", "t", "T", "1", "false", "F", "0", "yes", "no", "on", "off", "y", "n", "none"),
    *("True # as always", "2", "-1", "+1", " 64 ", "1_000", "64.0", "1.5", "1e3", "0x10", "0o17", "010", "many"),
    *("30s", "1h", "1,000", "1.", ".5", "inf", "nan", "{}", "[]", "null", '{"a": 1}', "{'a': 1}", '{"a": 1,}', '"a"'),
    *("json.dumps", "json", "my backend", "json:dumps", "json.", ".json", "VERBOSE", "$NO_SUCH_VARIABLE", "7 days"),
]


def reads(read: Callable[..., Any], section: str, option: str, text: str) -> bool:
    """Whether a method of the parser accepts the text as the value of an option, set the way the nodes set it."""
    name = f"AIRFLOW__{section.upper().replace('.', '_')}__{option.upper()}"
    os.environ[name] = text
    try:
        read(section, option)
    except Exception:  # noqa: BLE001 - any exception ends the service that reads the option
        return False
    else:
        return True
    finally:
        del os.environ[name]


def starts(section: str, option: str, text: str) -> bool:
    """Whether the value passes the check at the start of every `airflow` command."""
    return reads(lambda *_: conf.validate(), section, option, text)


def main() -> None:
    """Write the record."""
    options = [(section, option, facts) for section, names in REGISTRY.items() for option, facts in names.items()]
    record = {
        "airflow": __version__,
        "types": {
            kind: {text: reads(read, "probe", "value", text) for text in TEXTS} for kind, read in READERS.items()
        },
        "refused by every option of the type": {
            kind: all(
                not reads(READERS[kind], section, option, "no such value")
                for section, option, facts in options
                if facts["type"] == kind
            )
            for kind in READERS
        },
        "choices": {
            f"{section}.{option}": {text: starts(section, option, text) for text in (*facts["choices"], "VERBOSE", "x")}
            for section, option, facts in options
            if (section, option) in conf.enums_options
        },
    }
    (HERE / "airflow_readings.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
