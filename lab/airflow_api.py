"""Airflow's public API as users call it: by HTTP, through the load balancer."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

TERMINAL = {"success", "failed"}


class AirflowApi:
    """A client that is logged in as the first admin."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._token = ""

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One call; 4xx and 5xx raise `urllib.error.HTTPError`. An expired token is renewed."""
        if not self._token:
            self._token = self._send("POST", "/auth/token", self._login)["access_token"]
        try:
            return self._send(method, path, body)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            self._token = self._send("POST", "/auth/token", self._login)["access_token"]
            return self._send(method, path, body)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the lab's own http address
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"}
            | ({"Authorization": f"Bearer {self._token}"} if self._token else {}),
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            text = answer.read()
        return json.loads(text) if text else None

    def get(self, path: str) -> Any:
        return self.request("GET", path)

    def answers(self) -> bool:
        """Whether a master responds and can read the database."""
        try:
            return bool(self.get("/api/v2/dags?limit=1"))
        except OSError:
            return False

    def wait_for_dag(self, dag_id: str, timeout: float = 300) -> None:
        """Wait until the DAG has been parsed and stored, without which it cannot run; then unpause it."""

        def parsed() -> bool:
            try:
                # The DAG's row comes first, and its code a moment later.
                self.get(f"/api/v2/dags/{dag_id}/details")
                self.request("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
                return False
            return True

        wait_until(parsed, timeout, f"DAG {dag_id} to be parsed")

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, run_id: str | None = None) -> str:
        """Start a run, under a name of the caller's choice or of Airflow's; returns the name."""
        given = {"logical_date": None, "conf": conf or {}} | ({"dag_run_id": run_id} if run_id else {})
        return self.request("POST", f"/api/v2/dags/{dag_id}/dagRuns", given)["dag_run_id"]

    def run_state(self, dag_id: str, run_id: str) -> str:
        return self.get(f"/api/v2/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}")["state"]

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 900) -> str:
        state = ""

        def ended() -> bool:
            nonlocal state
            try:
                state = self.run_state(dag_id, run_id)
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                return False  # a master that has just been killed may still be in rotation
            return state in TERMINAL

        wait_until(
            ended, timeout, f"run {run_id} of {dag_id} to end", lambda: f"state {state}: {self.summary(dag_id, run_id)}"
        )
        return state

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}/taskInstances?limit=200"
        return self.get(path)["task_instances"]

    def summary(self, dag_id: str, run_id: str) -> str:
        return ", ".join(
            f"{task['task_id']}[{task['map_index']}]={task['state']}/{task['try_number']}@{task['hostname']}"
            for task in self.task_instances(dag_id, run_id)
        )

    def log(self, dag_id: str, run_id: str, task: Mapping[str, Any]) -> str:
        """All lines of the task's last try, and where the api-server found them."""
        answer = self.get(
            f"/api/v2/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}/taskInstances/{task['task_id']}"
            f"/logs/{max(1, task['try_number'])}?map_index={task['map_index']}&full_content=true"
        )
        return "\n".join(_events(answer["content"]))

    def uploaded_log(self, dag_id: str, run_id: str, task: Mapping[str, Any]) -> str:
        """The log in S3 of a task that has ended. The worker uploads it a moment after Airflow has the task's state."""
        log = ""

        def uploaded() -> bool:
            nonlocal log
            log = self.log(dag_id, run_id, task)
            # Not in the middle of a line: of a long log on the worker, the first line says where it will be.
            return any(line.startswith("s3://") for line in log.splitlines())

        wait_until(uploaded, 60, f"the log of {task['task_id']} to be in S3", lambda: log)
        return log


def _events(content: Any) -> Iterator[str]:
    for event in content if isinstance(content, list) else [content]:
        if isinstance(event, Mapping):
            yield " ".join([str(event.get("event", "")), *map(str, event.get("sources", []))])
        else:
            yield str(event)


def wait_until(condition: Callable[[], bool], timeout: float, what: str, state: Callable[[], str] = lambda: "") -> None:
    """Poll until the condition holds; the TimeoutError after `timeout` seconds contains `what` and the last state."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:.0f} s for {what}. {state()}")
        time.sleep(0.5)
