"""The Git bundle in the nodes' Airflow, with a host that wants credentials: git's own server behind HTTPS."""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.node import certificates
from tests.node.programs import python_path

USER, TOKEN = "deploy", "t0ken-of-the-team"
USE = """
import json, os, subprocess, sys
from pathlib import Path
from airflow.dag_processing.bundles.manager import DagBundlesManager

clone, host = map(Path, sys.argv[1:])


def bundle(name, version=None):
    return DagBundlesManager().get_bundle(name, version=version)


def push(word):
    (clone / "a.py").write_text(word)
    git = ["git", "-C", str(clone), "-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    for command in (["add", "a.py"], ["commit", "--quiet", "--message", word], ["push", "--quiet", "origin", "main"]):
        subprocess.run([*git, *command], check=True)
    return subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()


def look(of):
    return [of.get_current_version().version, (of.path / "a.py").read_text()]


def error(of):
    try:
        of.initialize()
    except Exception as error:
        return f"{error}: {error.__cause__}"


old = push("old")
team = bundle("team")
team.initialize()
found = {"first": look(team) == [old, "old"]}
new = push("new")
team.refresh()
found["new"] = [look(team) == [new, "new"], team.is_newest()]
run = bundle("team", old)
run.initialize()
found["run"] = [look(run) == [old, "old"], sorted(path.name for path in run.path.iterdir())]

found["stranger"] = error(bundle("stranger"))

(host / "away").touch()
push("later")
team.refresh()
again = bundle("team")
again.initialize()
found["away"] = [look(team) == look(again) == [new, "new"], again.is_newest()]
pinned = bundle("team", new)
pinned.initialize()
found["pinned"] = look(pinned) == [new, "new"]
found["never held"] = error(bundle("team", "f" * 40))
(host / "away").unlink()

os.environ["AIRFLOW_CONN_GIT_TEAM"] = os.environ["AIRFLOW_CONN_GIT_STRANGER"]
team = bundle("team")
team.initialize()
found["revoked"] = [look(team) == [new, "new"], team.is_newest()]
print(json.dumps(found))
"""


class _Host(BaseHTTPRequestHandler):
    """git-http-backend(1) for one user. While the file `away` is there, it hangs up."""

    folder: Path

    def do_GET(self) -> None:
        if (self.folder / "away").exists():
            self.close_connection = True
            return
        if self.headers["Authorization"] != f"Basic {base64.b64encode(f'{USER}:{TOKEN}'.encode()).decode()}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        request = {
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        command = ["git", "http-backend"]
        answer = subprocess.run(command, env=os.environ | request, input=body, capture_output=True, check=True).stdout
        headers, _, content = answer.partition(b"\r\n\r\n")
        length = f"Content-Length: {len(content)}".encode()
        self.wfile.write(b"\r\n".join([b"HTTP/1.0 200 OK", headers, length, b"", content]))

    do_POST = do_GET  # noqa: N815 - as the library calls it

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Be quiet."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a repository without commits, and the folder of its server."""
    folder = tmp_path_factory.mktemp("host")
    files = certificates.make(folder / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", folder / "dags.git"], check=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Host", (_Host,), {"folder": folder}))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}/dags.git", folder
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def found(nodes_python: Path, host: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What bundles of this repository are like at each step, the bundles' folder, and what Airflow has printed."""
    address, folder = host
    home = tmp_path_factory.mktemp("node")
    clone = ["git", "clone", "--quiet", folder / "dags.git", home / "clone"]
    subprocess.run(clone, check=True, stderr=subprocess.DEVNULL)  # a warning that it is empty
    bundles = [
        {
            "name": name,
            "classpath": "git_bundle.CommitDagBundle",
            "kwargs": {"repo_url": address, "tracking_ref": "main", "git_conn_id": f"git_{name}"},
        }
        for name in ("team", "stranger")
    ]
    environment = {
        "PYTHONPATH": python_path(),
        "AIRFLOW_HOME": str(home),
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_SSL_CAINFO": str(folder / "tls/ca.pem"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        "AIRFLOW_CONN_GIT_TEAM": json.dumps({"conn_type": "git", "login": USER, "password": TOKEN}),
        "AIRFLOW_CONN_GIT_STRANGER": json.dumps({"conn_type": "git", "login": USER, "password": "wr0ng-token"}),
    }
    command = [nodes_python, "-c", USE, home / "clone", folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout.splitlines()[-1])
    return steps | {"folder": home / "bundles", "printed": done.stdout + done.stderr}


def test_with_its_credentials_the_node_has_the_newest_commit(found: dict[str, Any]):
    assert found["first"]


def test_a_push_is_a_new_version_and_a_run_that_has_begun_keeps_its_own(found: dict[str, Any]):
    assert found["new"] == [True, True]
    assert found["run"] == [True, ["a.py"]], "a plain folder"


def test_with_wrong_credentials_the_error_says_so(found: dict[str, Any]):
    assert "Error cloning repository" in found["stranger"]
    assert "Authentication failed" in found["stranger"]


def test_while_the_host_is_away_the_node_goes_on_with_what_it_has(found: dict[str, Any]):
    assert found["away"] == [True, False], "it cannot be the newest for certain"
    assert found["pinned"], "a run can begin on it"
    assert re.search(r"f{40} is not on this node, and https://\S+ cannot be reached", found["never held"])


def test_so_it_does_when_its_credentials_are_revoked_and_says_why(found: dict[str, Any]):
    assert found["revoked"] == [True, False]
    assert re.search(r"team: https://\S+ cannot be reached: .*Authentication failed", found["printed"])


def test_the_token_is_neither_in_the_bundles_folder_nor_in_the_journal(found: dict[str, Any]):
    files = [path for path in found["folder"].rglob("*") if path.is_file()]
    assert any(path.name == "config" for path in files), "of the clone"
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in found["printed"]
