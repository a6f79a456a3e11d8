"""Who uses which release: asked of Airflow's REST API, so that publishers need no access to nodes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from dags.bucket import ReleaseBucket
from dags.faults import DagsError

Get = Callable[[str], Any]
"""The answer of Airflow's API to a path."""
PAGE = 100
"""Airflow's `[api] maximum_page_limit`, which is not more unless an operator changes it."""
RUNS_SHOWN = 3
CREDENTIALS = (
    "Set AIRFLOW_CLI_TOKEN to a token of Airflow's API, or AIRFLOW_USERNAME and AIRFLOW_PASSWORD to the login of a "
    "user who may see the DAGs."
)


def status(bucket: ReleaseBucket, get: Get) -> Iterator[str]:
    """Lines for people: the current release, which one the DAGs in the database are of, and who still runs another."""
    pointer = bucket.read_pointer().pointer
    if pointer is None:
        yield f"{bucket.url} has no release yet."
        return
    now = pointer.current
    yield f"current  {now.version[:12]}  publication {now.sequence}, {now.published}, by {now.by}"
    dags = [dag for dag in _all(get, "/api/v2/dags?exclude_stale=false", "dags") if dag["bundle_name"] == bucket.bundle]
    yield from _of_dags([dag for dag in dags if not dag["is_stale"]], now.version)
    ids = {dag["dag_id"] for dag in dags}
    unfinished = _all(get, "/api/v2/dags/~/dagRuns?state=running&state=queued&order_by=run_after", "dag_runs")
    runs = [run for run in unfinished if run["dag_id"] in ids]
    yield from _of_runs(runs, now.version)
    yield from _of_workers(get, {(run["dag_id"], run["dag_run_id"]): run["bundle_version"] for run in runs})


def _of_dags(dags: list[Any], current: str) -> Iterator[str]:
    of_release: dict[str, list[Any]] = defaultdict(list)
    for dag in dags:
        of_release[dag["bundle_version"] or ""].append(dag)
    for version, found in of_release.items():
        parsed = max((dag["last_parsed_time"] or "" for dag in found), default="")
        note = "" if version == current else "; not yet as the current release has them"
        yield f"DAGs     {_short(version)}  {len(found)}, last parsed {parsed or 'never'}{note}"
    if not dags:
        yield "DAGs     none is in Airflow's database yet"


def _of_runs(runs: list[Any], current: str) -> Iterator[str]:
    of_release: dict[str, list[Any]] = defaultdict(list)
    for run in runs:
        of_release[run["bundle_version"] or ""].append(run)
    for version, found in sorted(of_release.items(), key=lambda item: item[0] != current):
        states = Counter(run["state"] for run in found)
        counts = ", ".join(f"{states[state]} {state}" for state in sorted(states, reverse=True))
        yield f"runs     {_short(version)}  {counts}"
        for run in found[:RUNS_SHOWN] if version != current else ():
            yield f"           {run['dag_id']} {run['dag_run_id']}, since {run['start_date'] or run['run_after']}"
        if version != current and len(found) > RUNS_SHOWN:
            yield f"           and {len(found) - RUNS_SHOWN} more"
    if not runs:
        yield "runs     none is running or queued"


def _of_workers(get: Get, versions: Mapping[tuple[str, str], str | None]) -> Iterator[str]:
    workers: dict[str, Counter[str]] = defaultdict(Counter)
    for task in _all(get, "/api/v2/dags/~/dagRuns/~/taskInstances?state=running", "task_instances"):
        run = (task["dag_id"], task["dag_run_id"])
        if run in versions:
            workers[task["hostname"] or "(no worker yet)"][_short(versions[run])] += 1
    for worker, tasks in sorted(workers.items()):
        counts = (f"{version} ({number} task{'s' * (number > 1)})" for version, number in sorted(tasks.items()))
        yield f"worker   {worker:<15}  {', '.join(counts)}"


def _short(version: str | None) -> str:
    return version[:12] if version else "(none)      "


def _all(get: Get, path: str, key: str) -> list[Any]:
    found: list[Any] = []
    while True:
        answer = get(f"{path}&limit={PAGE}&offset={len(found)}")
        found += answer[key]
        if not answer[key] or len(found) >= answer["total_entries"]:
            return found


def airflow_api(url: str, environment: Mapping[str, str]) -> Get:
    """Airflow's API at this URL, with the credentials in these variables; its failures raise DagsError."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise DagsError(f"--url {url} is no address of Airflow: give it as https://airflow.example.com.")
    token = environment.get("AIRFLOW_CLI_TOKEN")
    if not token:
        user, password = environment.get("AIRFLOW_USERNAME"), environment.get("AIRFLOW_PASSWORD")
        if not user or not password:
            raise DagsError(f"There are no credentials for {url}. {CREDENTIALS}")
        token = _call(url, "/auth/token", body={"username": user, "password": password})["access_token"]
    return lambda path: _call(url, path, token=token)


def _call(url: str, path: str, *, token: str = "", body: Mapping[str, str] | None = None) -> Any:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url.rstrip("/") + path, data=data, headers=headers)  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise DagsError(f"Airflow at {url} refuses the credentials ({error.code}). {CREDENTIALS}") from None
        raise DagsError(
            f"Airflow at {url} answers {path.partition('?')[0]} with {error.code} {error.reason}."
        ) from None
    except ValueError:
        raise DagsError(f"What answers at {url} is not Airflow's API: check --url.") from None
    except OSError as error:
        raise DagsError(
            f"Airflow at {url} cannot be reached ({getattr(error, 'reason', error)}). Its load balancer may be open to "
            "your VPN only; `pulumi stack output url` prints the address, for --url."
        ) from None
