from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import pulumi
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from components.data_store import DataStore
from components.secrets import (
    DESCRIPTIONS,
    Secrets,
    SecretsArgs,
    broker_url,
    database_admin,
    database_dsn,
    fernet_key,
    result_backend,
)
from engine.program import deploy
from engine.recording import Recording
from tests.components.contexts import context

SECRET = "aws:secretsmanager/secret:Secret"
VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
RANDOM_PASSWORD = "random:index/randomPassword:RandomPassword"

HOST = "airflow-prod-metadata.c9xk2m4example.eu-west-1.rds.amazonaws.com"
BROKER = "master.airflow-prod-broker.abc123.euw1.cache.amazonaws.com"
ADMIN_SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:rds!db-1-AbCdEf"

URLS = ("database-dsn", "result-backend", "broker-url")

HOSTILE = [
    "p%41@:/#?w& d",
    "tok/en%2B@#?:&x",
    "a$HOME",
    "${PATH}",
    "100%",
    "%%",
    "~/x",
    "quo\"te'd`",
    "back\\slash",
    "[::1]:5432/other",
    "äöü-π-🔑",
    "line\nbreak\ttab",
    " leading and trailing ",
]


def build(*, protect: bool = True) -> Secrets:
    return Secrets(
        "secrets",
        SecretsArgs(
            context=context(protect=protect),
            database=DataStore(address=HOST, port=5432, credential=ADMIN_SECRET),
            broker=DataStore(address=BROKER, port=6379, credential=pulumi.Output.secret("token")),
        ),
    )


def secrets(*, protect: bool = True) -> Recording:
    _, recording = deploy(lambda: build(protect=protect))
    return recording


def value(recording: Recording, key: str) -> str:
    return recording.named(VERSION, f"secrets-{key}-value").inputs["secretString"]


@pytest.mark.parametrize("password", HOSTILE)
@pytest.mark.parametrize("url", [database_dsn, result_backend, broker_url])
def test_a_url_contains_the_password_host_and_port_unchanged_for_any_password(
    url: Callable[[str, str, int], str], password: str
):
    parts = urlsplit(url(password, HOST, 5432))
    assert unquote(parts.password or "") == password
    assert (parts.hostname, parts.port) == (HOST, 5432)


@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_a_url_has_no_character_that_is_special_to_a_shell_systemd_or_airflow(password: str):
    for url in (database_dsn, result_backend, broker_url):
        text = url(password, HOST, 5432)
        assert not set(text) & set("$\"'\\`# \n\t{}"), (
            "Airflow expands $NAME in values; systemd reads quotes and backslashes"
        )
        assert text.isascii()


def test_each_database_url_names_its_own_role_and_database():
    assert database_dsn("p", "db", 5432) == "postgresql+psycopg2://airflow:p@db:5432/airflow"
    assert result_backend("p", "db", 5432) == "db+postgresql+psycopg2://celery_results:p@db:5432/celery_results"


def test_the_dsn_does_not_set_tls_because_the_environment_does():
    assert "?" not in database_dsn("p", "db", 5432), "sslmode in the URL breaks Airflow's async engine"


def test_the_broker_url_requires_tls_and_names_no_user():
    assert broker_url("t", "redis", 6379) == "rediss://:t@redis:6379/0"


@given(st.text(string.ascii_letters + string.digits, min_size=43, max_size=43))
def test_every_generated_value_is_a_valid_fernet_key(characters: str):
    key = fernet_key(characters)
    assert len(base64.urlsafe_b64decode(key)) == 32
    assert Fernet(key).decrypt(Fernet(key).encrypt(b"password")) == b"password"


def test_the_fernet_key_is_generated_with_the_length_that_its_encoding_needs():
    assert len(value(secrets(), "fernet-key")) == len(Fernet.generate_key())


def test_a_secret_of_the_cluster_says_where_the_admins_password_is():
    assert json.loads(database_admin("db", 5432, ADMIN_SECRET)) == {
        "host": "db",
        "port": 5432,
        "secretArn": ADMIN_SECRET,
    }


def test_there_is_one_secret_for_each_value_and_each_has_its_value():
    recording = secrets()
    named = {item.id: item.inputs["name"] for item in recording.of_type(SECRET)}
    assert set(named.values()) == {f"airflow-prod/{key}" for key in DESCRIPTIONS}
    filled = {named[item.inputs["secretId"]] for item in recording.of_type(VERSION)}
    assert filled == set(named.values())
    assert all(item.inputs["secretString"] for item in recording.of_type(VERSION))


def test_no_value_is_readable_in_the_state():
    recording = secrets()
    assert not [item.name for item in recording.of_type(VERSION) if "secretString" not in item.secret_inputs]
    values = {value(recording, key) for key in DESCRIPTIONS}
    for resource in recording.resources:
        plain = json.dumps({key: text for key, text in resource.inputs.items() if key not in resource.secret_inputs})
        assert not [text for text in values if text in plain], f"{resource.name} shows a secret"


def test_no_two_secrets_are_the_same():
    recording = secrets()
    made = [
        value(recording, key)
        for key in ("fernet-key", "jwt-secret-key", "api-secret-key", "flask-secret-key", "admin-password")
    ]
    made += [urlsplit(value(recording, key)).password or "" for key in URLS]
    assert len(set(made)) == len(made), "no secret may reveal another"


def test_a_protected_stack_keeps_the_key_that_stored_connections_need():
    recording = secrets(protect=True)
    guarded = {
        item.name for item in (*recording.of_type(SECRET), *recording.of_type(RANDOM_PASSWORD)) if item.options.protect
    }
    assert guarded == {"secrets-fernet-key", "secrets-fernet-key-value"}
    assert all(item.inputs["recoveryWindowInDays"] == 30 for item in recording.of_type(SECRET))


def test_an_unprotected_stack_can_be_recreated_under_the_same_name_at_once():
    recording = secrets(protect=False)
    assert not [item.name for item in recording.resources if item.options.protect]
    assert all(item.inputs["recoveryWindowInDays"] == 0 for item in recording.of_type(SECRET))


def test_every_secret_has_an_arn_for_policies_and_a_value():
    made, recording = deploy(build)
    assert set(made.arns) == set(DESCRIPTIONS)
    assert made.names["database-dsn"] == "airflow-prod/database-dsn"
    assert len(recording.of_type(VERSION)) == len(DESCRIPTIONS)
