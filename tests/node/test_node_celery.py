from __future__ import annotations

import pickle
import signal
import socket
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import celery.app.defaults
import pytest

from node.lock import LOCKS
from tests.node import celery_worker, frozen_connections, redis_server
from tests.node.celery_worker import QUEUES, until
from tests.node.programs import load

AIRFLOWS = "airflow.providers.celery.executors.default_celery"
SUPERVISOR = "airflow.sdk.execution_time.supervisor"
RESULTS = "celery.backends.database.models"
RESULT_COLUMN = SimpleNamespace(type=SimpleNamespace(pickler=pickle))
"""A substitute for Celery's table of results, which needs SQLAlchemy; only nodes have it."""


@contextmanager
def _airflow(settings: dict[str, Any]) -> Generator[None]:
    """A substitute for Airflow with these settings of Celery."""
    parts = AIRFLOWS.split(".")
    names = [".".join(parts[: count + 1]) for count in range(len(parts))]
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setitem(sys.modules, name, ModuleType(name))
        patch.setattr(sys.modules[AIRFLOWS], "DEFAULT_CELERY_CONFIG", settings, raising=False)
        table = SimpleNamespace(c=SimpleNamespace(result=RESULT_COLUMN))
        patch.setitem(sys.modules, RESULTS, ModuleType(RESULTS))
        patch.setattr(sys.modules[RESULTS], "Task", SimpleNamespace(__table__=table), raising=False)
        yield


def _configuration(settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Celery's settings on every node."""
    airflows = {"broker_transport_options": {"visibility_timeout": 604800}} | (settings or {})
    with _airflow(airflows):
        return load("python/node_celery.py").CONFIG


def _workers(settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Celery's settings on a worker."""
    shared = ModuleType("node_celery")
    shared.CONFIG = _configuration(settings)  # ty: ignore[missing-attribute]
    supervisor = ModuleType(SUPERVISOR)
    supervisor.ActivitySubprocess = type("ActivitySubprocess", (), {"wait": lambda _: 0})  # ty: ignore[missing-attribute]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "node_celery", shared)
        patch.setitem(sys.modules, SUPERVISOR, supervisor)
        return load("python/worker_celery.py").CONFIG


def test_airflows_own_settings_stay():
    found = _configuration({"task_acks_late": True})
    assert found["task_acks_late"] is True
    assert found["broker_transport_options"]["visibility_timeout"] == 604800


def test_celery_still_writes_results_but_never_reads_them(tmp_path: Path):
    _configuration()
    pickler, trace = RESULT_COLUMN.type.pickler, tmp_path / "it-ran"

    class Bait:
        def __reduce__(self) -> tuple[Any, ...]:
            return trace.touch, ()

    assert pickler.loads(pickler.dumps(Bait())) is None
    assert not trace.exists(), "any worker can write into the results that the schedulers read"


def test_the_users_settings_of_the_connection_win():
    found = _configuration({"broker_transport_options": {"socket_timeout": 99}})
    assert found["broker_transport_options"]["socket_timeout"] == 99
    assert found["broker_transport_options"]["socket_keepalive"] is True


def test_a_worker_imports_what_watches_over_it_and_what_the_user_wants():
    own = (*celery_worker.IMPORTS, "task_cgroups", "preload")
    assert _workers()["imports"] == own
    assert _workers({"imports": ["mine"]})["imports"] == ("mine", *own)


def test_a_worker_takes_no_message_that_it_cannot_start():
    assert _workers()["worker_enable_prefetch_count_reduction"] is False, "worker_report sees to it"


def test_a_lost_connection_is_noticed_within_half_a_minute():
    options = _configuration()["broker_transport_options"]
    # Checked once per interval, and given up an interval and the blocking read's own second after it was sent.
    assert 2 * options["health_check_interval"] + 1 + options["socket_timeout"] < 30


@pytest.fixture
def broker() -> Iterator[redis_server.Server]:
    with redis_server.running() as server:
        yield server


def test_a_broker_that_goes_silent_costs_neither_the_worker_nor_a_message(broker: redis_server.Server, tmp_path: Path):
    quick = {"health_check_interval": 1, "socket_timeout": 1}
    options = {**_configuration()["broker_transport_options"], **quick}
    with (
        frozen_connections.relay(broker.port) as relay,
        celery_worker.running(
            broker, tmp_path, url=broker.url.replace(f":{broker.port}/", f":{relay.port}/"), connection=options
        ) as worker,
    ):
        until(lambda: worker.consumes == QUEUES, "the worker consumes")
        relay.freeze()
        until(lambda: broker.blocked_clients() == 0, "the broker has forgotten what was asked on the old connections")
        worker.send("one")
        until(lambda: worker.started == ["one"], "it has noticed, and takes the message")


def test_celery_knows_every_setting():
    unknown = _workers().keys() - celery.app.defaults.DEFAULTS.keys()
    assert not unknown, "Celery ignores others without a word"


class _Cut(BaseException):
    """What Airflow's time-out of an operation raises."""


@contextmanager
def _cut_after(seconds: float) -> Generator[None]:
    def cut(*_: object) -> None:
        raise _Cut

    before = signal.signal(signal.SIGALRM, cut)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_only_airflows_time_out_ends_an_attempt_to_publish():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    app = celery.Celery("test", config_source=_configuration({"broker_url": f"redis://127.0.0.1:{port}/0"}))
    with pytest.raises(_Cut), _cut_after(1.5):
        app.send_task("execute_workload", ("{}",), queue="default")


def test_the_tests_run_the_nodes_celery():
    assert f"celery=={celery.__version__} " in (LOCKS / "airflow.txt").read_text()
