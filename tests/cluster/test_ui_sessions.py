"""Who may use the UI: what a worker holds logs nobody in, and each master knows the sessions of the other."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from lab.cluster import Cluster
from lab.node import Node

ADMIN_ID = "1"
"""Of the first user, whom the database step has made."""

# Asked on the node itself, so that it is this master that answers and not whichever the load balancer chooses.
ASK = """
import http.client, json, sys
method, path, headers, body = json.loads(sys.argv[1])
connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=30)
connection.request(method, path, body, headers)
answer = connection.getresponse()
print(json.dumps({"status": answer.status, "headers": answer.getheaders(), "text": answer.read().decode()}))
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a master said to a browser."""

    status: int
    cookies: Mapping[str, str]
    text: str


def ask(
    master: Node, method: str, path: str, cookies: Mapping[str, str], form: Mapping[str, str] | None = None
) -> Answer:
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    request = json.dumps([method, path, headers, None if form is None else urlencode(form)])
    said = master.exec("python3", "-c", ASK, request)
    assert said.returncode == 0, said.stderr
    answer = json.loads(said.stdout)
    given = [value.partition(";")[0] for name, value in answer["headers"] if name.lower() == "set-cookie"]
    return Answer(status=answer["status"], cookies=dict(item.split("=", 1) for item in given), text=answer["text"])


def secrets_of(node: Node) -> dict[str, str]:
    """What the services of the node get, by variable."""
    lines = node.exec("cat /run/airflow/secrets.env").stdout.splitlines()
    values = {name: value for name, _, value in (line.partition("=") for line in lines)}
    return {name: re.sub(r"\\(.)", r"\1", value.removeprefix('"').removesuffix('"')) for name, value in values.items()}


def remembering(key: str) -> dict[str, str]:
    """The cookie by which Flask-Login knows a user again, signed with the key."""
    return {"remember_token": f"{ADMIN_ID}|{hmac.new(key.encode(), ADMIN_ID.encode(), hashlib.sha512).hexdigest()}"}


def session(key: str) -> dict[str, str]:
    """Flask's own session of a user who has logged in, signed with the key."""
    app = Flask("forger")
    app.secret_key = key
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return {"session": str(serializer.dumps({"_user_id": ADMIN_ID, "_fresh": True}))}


def logs_in(master: Node, cookies: Mapping[str, str]) -> bool:
    """Whether the UI takes the browser for somebody, and gives it the token that the API asks for."""
    return "_token" in ask(master, "GET", "/auth/", cookies).cookies


@pytest.fixture(scope="module")
def masters(cluster: Cluster) -> list[Node]:
    cluster.wait_ready()
    return cluster.nodes(role="master")


@pytest.mark.parametrize("forged", [remembering, session])
def test_no_secret_of_a_worker_logs_in_to_the_ui(
    cluster: Cluster, masters: list[Node], forged: Callable[[str], Mapping[str, str]]
) -> None:
    held = secrets_of(cluster.nodes(role="worker")[0])
    assert "AIRFLOW__API__SECRET_KEY" in held, "the look itself must work"
    assert [name for name, key in held.items() if logs_in(masters[0], forged(key))] == []


def test_a_cookie_that_is_signed_with_the_masters_key_does_log_in(masters: list[Node]) -> None:
    key = secrets_of(masters[0])["FLASK_SECRET_KEY"]
    assert logs_in(masters[0], remembering(key)), "or the refusals above prove nothing"


def test_a_login_on_one_master_is_valid_on_the_other(cluster: Cluster, masters: list[Node]) -> None:
    first, second = masters
    user, password = cluster.admin()
    page = ask(first, "GET", "/auth/login/", {})
    [token] = set(re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', page.text))
    form = {"username": user, "password": password, "csrf_token": token}
    entered = ask(second, "POST", "/auth/login/", page.cookies, form)
    assert entered.status == 302, f"the other master does not know its form: {entered.text[:500]}"
    assert logs_in(first, {**page.cookies, **entered.cookies})
