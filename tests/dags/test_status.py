"""`status` against a server that answers as Airflow's API does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dags.archive import packed_folder
from dags.bucket import ReleaseBucket
from dags.faults import DagsError
from dags.publication import publish
from dags.status import airflow_api, status
from tests.dags.conftest import MakeFolder

LOGIN = {"AIRFLOW_USERNAME": "ann", "AIRFLOW_PASSWORD": "p%:/"}
RUNS = "/api/v2/dags/~/dagRuns"
TASKS = f"{RUNS}/~/taskInstances"


class Airflow:
    """What the API answers, by path; pages are as short as the requests want them, or shorter."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {"/api/v2/dags": [], RUNS: [], TASKS: []}
        self.most = 100
        self.queries: list[dict[str, list[str]]] = []
        self.url = ""

    def answer(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        self.queries.append(query)
        found, first = self.lists[path], int(query["offset"][0])
        key = {"/api/v2/dags": "dags", RUNS: "dag_runs", TASKS: "task_instances"}[path]
        return {key: found[first : first + min(self.most, int(query["limit"][0]))], "total_entries": len(found)}


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    answers = Airflow()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            login = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            right = self.path == "/auth/token" and login == {"username": "ann", "password": "p%:/"}
            self._send(201 if right else 401, {"access_token": "token"} if right else {})

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if self.headers["Authorization"] != "Bearer token":
                self._send(401, {})
            elif url.path in answers.lists:
                self._send(200, answers.answer(url.path, parse_qs(url.query)))
            else:
                self._send(404, {})

        def _send(self, code: int, body: dict[str, Any]) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the base class names it so

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        answers.url = f"http://127.0.0.1:{server.server_port}/"
        Thread(target=server.serve_forever, daemon=True).start()
        yield answers
        server.shutdown()


def _dag(name: str, version: str | None, *, bundle: str = "dags", stale: bool = False) -> dict[str, Any]:
    parsed = "2026-11-27T12:00:00Z"
    return {
        "dag_id": name,
        "bundle_name": bundle,
        "bundle_version": version,
        "is_stale": stale,
        "last_parsed_time": parsed,
    }


def _run(dag: str, name: str, version: str | None, state: str = "running") -> dict[str, Any]:
    times = {"start_date": None, "run_after": "2026-11-27T11:00:00Z"}
    return {"dag_id": dag, "dag_run_id": name, "bundle_version": version, "state": state, **times}


def _task(dag: str, run: str, hostname: str | None) -> dict[str, Any]:
    return {"dag_id": dag, "dag_run_id": run, "hostname": hostname}


@pytest.fixture
def versions(bucket: ReleaseBucket, make_folder: MakeFolder) -> list[str]:
    """Two releases, the current one last."""
    found = list[str]()
    for name in ("old", "new"):
        with packed_folder(make_folder(name, {f"{name}.sql": ""})) as archive:
            found.append(publish(bucket, archive, by="ann").version)
    return found


def _lines(bucket: ReleaseBucket, airflow: Airflow) -> list[str]:
    return list(status(bucket, airflow_api(airflow.url, LOGIN)))


def test_status_says_which_release_is_current_which_is_parsed_and_who_runs_which(
    bucket: ReleaseBucket, airflow: Airflow, versions: list[str]
):
    old, new = versions
    airflow.lists = {
        "/api/v2/dags": [
            _dag("a", new),
            _dag("b", old),
            _dag("gone", old, stale=True),
            _dag("of another bundle", "f" * 64, bundle="other"),
        ],
        RUNS: [
            _run("a", "one", new),
            _run("a", "two", new, "queued"),
            *(_run("gone", f"run-{number}", old) for number in range(5)),
            _run("of another bundle", "x", "f" * 64),
        ],
        TASKS: [
            _task("a", "one", "10.80.1.4"),
            _task("gone", "run-0", "10.80.1.4"),
            _task("of another bundle", "x", "h"),
        ],
    }
    current, *rest = _lines(bucket, airflow)
    assert current.startswith(f"current  {new[:12]}  publication 2, 20")
    assert rest == [
        f"DAGs     {new[:12]}  1, last parsed 2026-11-27T12:00:00Z",
        f"DAGs     {old[:12]}  1, last parsed 2026-11-27T12:00:00Z; not yet as the current release has them",
        f"runs     {new[:12]}  1 running, 1 queued",
        f"runs     {old[:12]}  5 running",
        *(f"           gone run-{number}, since 2026-11-27T11:00:00Z" for number in range(3)),
        "           and 2 more",
        "worker   10.80.1.4        " + ", ".join(f"{version[:12]} (1 task)" for version in sorted(versions)),
    ]
    assert {"running", "queued"} == set(airflow.queries[1]["state"])


def test_all_pages_are_read_however_short_they_are(bucket: ReleaseBucket, airflow: Airflow, versions: list[str]):
    airflow.most = 7
    airflow.lists["/api/v2/dags"] = [_dag(f"dag-{number}", versions[-1]) for number in range(30)]
    assert f"DAGs     {versions[-1][:12]}  30, last parsed 2026-11-27T12:00:00Z" in _lines(bucket, airflow)


def test_without_dags_and_runs_status_says_so(bucket: ReleaseBucket, airflow: Airflow, versions: list[str]):
    assert versions
    assert _lines(bucket, airflow)[1:] == [
        "DAGs     none is in Airflow's database yet",
        "runs     none is running or queued",
    ]


def test_a_bundle_without_a_release_is_told_without_asking_airflow(bucket: ReleaseBucket, airflow: Airflow):
    assert _lines(bucket, airflow) == [f"{bucket.url} has no release yet."]
    assert airflow.queries == []


def test_a_token_is_used_as_it_is(bucket: ReleaseBucket, airflow: Airflow, versions: list[str]):
    assert versions
    assert len(list(status(bucket, airflow_api(airflow.url, {"AIRFLOW_CLI_TOKEN": "token"})))) == 3


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, r"There are no credentials for http://.*Set AIRFLOW_CLI_TOKEN"),
        ({"AIRFLOW_USERNAME": "ann"}, "There are no credentials"),
        ({**LOGIN, "AIRFLOW_PASSWORD": "wrong"}, r"refuses the credentials \(401\)"),
        ({"AIRFLOW_CLI_TOKEN": "old"}, r"refuses the credentials \(401\)"),
    ],
)
def test_credentials_that_do_not_suffice_are_told(airflow: Airflow, environment: dict[str, str], said: str):
    with pytest.raises(DagsError, match=said):
        airflow_api(airflow.url, environment)("/api/v2/dags?limit=1&offset=0")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "is no address of Airflow"),
        ("http://127.0.0.1:9", r"cannot be reached \(.*refused.*`pulumi stack output url` prints the address"),
    ],
)
def test_an_address_without_airflow_is_told(url: str, said: str):
    with pytest.raises(DagsError, match=said):
        airflow_api(url, LOGIN)


def test_an_answer_that_is_no_success_is_told(airflow: Airflow):
    with pytest.raises(DagsError, match="answers /nowhere with 404"):
        airflow_api(airflow.url, LOGIN)("/nowhere")
