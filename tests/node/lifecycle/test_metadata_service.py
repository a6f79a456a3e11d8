from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.node.fake_server import Answer, Request, serving
from tests.node.programs import module

client = module("airflow_node.metadata_service")
metadata_service = module("lifecycle.metadata_service")


class _Ec2:
    """Answers to those who show the token it gave last."""

    def __init__(self) -> None:
        self.tree: dict[str, str] = {}
        self.tokens = 0

    def __call__(self, request: Request) -> Answer:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if (request.method, request.path) == ("PUT", "/latest/api/token"):
            assert int(headers["x-aws-ec2-metadata-token-ttl-seconds"]) <= 21600, "more is refused"
            self.tokens += 1
            return Answer(200, f"token-{self.tokens}".encode())
        if headers.get("x-aws-ec2-metadata-token") != f"token-{self.tokens}":
            return Answer(401)
        found = self.tree.get(request.path.removeprefix("/latest/meta-data/"))
        return Answer(404) if found is None else Answer(200, found.encode())


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Ec2]:
    answers = _Ec2()
    with serving(answers) as server:
        monkeypatch.setattr(client, "SERVICE", server.url)
        yield answers


def _notice(end: datetime) -> str:
    return f'{{"action": "terminate", "time": "{end:%Y-%m-%dT%H:%M:%SZ}"}}'


def test_an_instance_in_service_has_nothing_to_fear(ec2: _Ec2):
    ec2.tree["autoscaling/target-lifecycle-state"] = "InService"
    assert metadata_service.MetadataService().outlook() == metadata_service.Outlook()


def test_one_token_serves_many_questions(ec2: _Ec2):
    service = metadata_service.MetadataService()
    for _ in range(5):
        service.outlook()
    assert ec2.tokens == 1


def test_a_token_that_is_refused_is_renewed(ec2: _Ec2):
    service = metadata_service.MetadataService()
    service.outlook()
    ec2.tokens += 1
    with pytest.raises(OSError, match="401"):
        service.outlook()
    assert service.outlook() == metadata_service.Outlook()


def test_a_termination_is_seen(ec2: _Ec2):
    ec2.tree["autoscaling/target-lifecycle-state"] = "Terminated"
    assert metadata_service.MetadataService().outlook().terminating


def test_a_recommendation_is_seen(ec2: _Ec2):
    ec2.tree["events/recommendations/rebalance"] = '{"noticeTime": "2027-01-01T00:00:00Z"}'
    assert metadata_service.MetadataService().outlook().rebalance


def test_a_spot_notice_names_the_end(ec2: _Ec2):
    ec2.tree["spot/instance-action"] = _notice(datetime.now(UTC) + timedelta(seconds=120))
    end = metadata_service.MetadataService().outlook().spot_end
    assert end - time.monotonic() == pytest.approx(120, abs=5)


def test_a_clock_that_is_set_does_not_move_the_end(ec2: _Ec2, monkeypatch: pytest.MonkeyPatch):
    ec2.tree["spot/instance-action"] = _notice(datetime.now(UTC) + timedelta(seconds=120))
    service = metadata_service.MetadataService()
    before = service.outlook().spot_end
    now = time.time()
    monkeypatch.setattr(metadata_service.time, "time", lambda: now + 3600)
    assert service.outlook().spot_end == before


def test_a_clock_that_is_behind_sees_no_more_time_than_there_is(ec2: _Ec2):
    ec2.tree["spot/instance-action"] = _notice(datetime.now(UTC) + timedelta(seconds=400))
    end = metadata_service.MetadataService().outlook().spot_end
    assert end - time.monotonic() <= 120


def test_a_notice_that_cannot_be_read_is_taken_seriously(ec2: _Ec2):
    ec2.tree["spot/instance-action"] = "soon"
    end = metadata_service.MetadataService().outlook().spot_end
    assert end == pytest.approx(time.monotonic(), abs=5)


def test_a_service_that_is_away_is_an_error_that_may_pass(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "SERVICE", "http://127.0.0.1:1")
    with pytest.raises(OSError, match="refused"):
        metadata_service.MetadataService().outlook()


def test_half_an_answer_is_an_error_that_may_pass(monkeypatch: pytest.MonkeyPatch):
    with serving(lambda _: Answer(200, b"half", {"Content-Length": "8"})) as server:
        monkeypatch.setattr(client, "SERVICE", server.url)
        with pytest.raises(OSError, match="IncompleteRead"):
            metadata_service.MetadataService().outlook()


def test_no_proxy_comes_between(ec2: _Ec2, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    ec2.tree["autoscaling/target-lifecycle-state"] = "Terminated"
    assert metadata_service.MetadataService().outlook().terminating
