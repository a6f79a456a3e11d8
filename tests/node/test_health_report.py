from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.node import certificates
from tests.node.fake_server import Answer, serving
from tests.node.programs import module
from tests.node.redis_server import Server

health_report = module("airflow_node.health_report")
node_checks = module("health.node_checks")
server_certificate = module("airflow_node.server_certificate")
MetricsFile = module("airflow_node.metrics_file").MetricsFile


def _answer(report: Any) -> tuple[int, dict[str, Any]]:
    status, body = report.answer()
    return status, json.loads(body)


def test_a_node_is_healthy_if_every_check_passes():
    file = MetricsFile(None)
    report = health_report.HealthReport(file)
    report.show({"scheduler": None, "broker": None})
    assert _answer(report) == (HTTPStatus.OK, {"healthy": True, "checks": {"scheduler": "ok", "broker": "ok"}})
    assert file.registry.get_sample_value("airflow_node_healthy") == 1
    report.show({"scheduler": None, "broker": "Connection refused"})
    status, content = _answer(report)
    assert (status, content["healthy"]) == (HTTPStatus.SERVICE_UNAVAILABLE, False)
    assert content["checks"] == {"scheduler": "ok", "broker": "Connection refused"}
    assert file.registry.get_sample_value("airflow_node_healthy") == 0
    assert file.registry.get_sample_value("airflow_node_check", {"check": "broker"}) == 0
    assert file.registry.get_sample_value("airflow_node_check", {"check": "scheduler"}) == 1


def test_a_report_that_is_not_renewed_is_no_longer_believed():
    now = 100.0
    report = health_report.HealthReport(MetricsFile(None), lambda: now)
    assert _answer(report)[0] == HTTPStatus.SERVICE_UNAVAILABLE, "there is none yet"
    report.show({"scheduler": None})
    assert _answer(report)[0] == HTTPStatus.OK
    now += health_report.VALID_SECONDS
    status, content = _answer(report)
    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "hangs" in content["checks"]["report"]


def test_this_machine_can_ask_for_it():
    report = health_report.HealthReport(MetricsFile(None))
    server = report.serve(port=0)
    host, port = server.server_address[:2]
    assert host == "127.0.0.1"
    try:
        report.show({"scheduler": None})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            assert json.load(answer)["healthy"] is True
        report.show({"scheduler": "is failed"})
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
    finally:
        server.shutdown()
        server.server_close()


def test_the_clock_is_compared_with_the_brokers(broker: Server, monkeypatch: pytest.MonkeyPatch):
    checks = node_checks.Broker(broker.url)
    assert checks.troubles(0.0) == {"broker": None, "clock": None}
    real = node_checks.time.time
    monkeypatch.setattr(node_checks.time, "time", lambda: real() + 3600)
    assert checks.troubles(1.0) == {"broker": None, "clock": None}, "not asked again at once"
    assert checks.troubles(20.0)["clock"] in {f"differs from the broker's by {3600 + off:+.0f} s" for off in (-1, 0, 1)}


def test_a_broker_that_does_not_answer_is_named_and_the_clock_stays_as_it_was(
    broker: Server, monkeypatch: pytest.MonkeyPatch
):
    checks = node_checks.Broker(broker.url)
    checks.troubles(0.0)

    def fail() -> None:
        raise redis.ConnectionError("Connection refused")

    monkeypatch.setattr(checks._client, "time", fail)
    assert checks.troubles(20.0) == {"broker": "Connection refused", "clock": None}


def test_the_certificate_of_a_server_has_an_end(tmp_path: Path):
    made = certificates.make(tmp_path / "tls")
    with serving(lambda _: Answer(200), made) as server:
        port = server.server_address[1]
        days = (server_certificate.expiry("127.0.0.1", port, authorities=str(made.authority)) - time.time()) / 86400
        assert 1.9 < days <= 2
        with pytest.raises(OSError, match="certificate verify failed"):
            server_certificate.expiry("127.0.0.1", port)


def test_the_certificate_of_postgresql_is_asked_for_in_its_protocol(tmp_path: Path):
    made = certificates.make(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked: list[bytes] = []

        def answer() -> None:
            client, _ = listener.accept()
            asked.append(client.recv(8))
            client.sendall(b"S")
            with contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) as secure:
                secure.recv(1)

        server = threading.Thread(target=answer)
        server.start()
        port = listener.getsockname()[1]
        end = server_certificate.expiry("127.0.0.1", port, authorities=str(made.authority), postgresql=True)
        server.join()
    assert asked == [b"\0\0\0\x08\x04\xd2\x16\x2f"]
    assert end > time.time()


def test_a_master_shows_what_it_depends_on(broker: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    secrets = tmp_path / "secrets.env"
    secrets.touch()
    monkeypatch.setattr(node_checks, "SECRETS", secrets)
    file = MetricsFile(None)
    report = node_checks.NodeReport(
        file, broker_url=broker.url, database_url="postgresql://u:p@127.0.0.1:1/d", authorities="/nowhere"
    )
    report.show(0.0, {"scheduler": None}, database="the metadata database does not answer", ages={"scheduler": -20.0})

    def value(name: str, **labels: str) -> float | None:
        return file.registry.get_sample_value(f"airflow_{name}", labels)

    assert value("node_check", check="database") == 0
    assert value("node_check", check="broker") == 1
    assert value("node_check", check="scheduler") == 1
    assert value("node_check", check="resources") is not None
    assert value("service_heartbeat_age_seconds", service="scheduler") == -20
    assert value("secrets_timestamp_seconds") == secrets.stat().st_mtime
    assert value("certificate_expiry_timestamp_seconds", server="database") is None, "it does not answer"
