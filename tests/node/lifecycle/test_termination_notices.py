from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.node.fake_server import Answer, Request, serving
from tests.node.programs import module

metadata_service = module("airflow_node.metadata_service")
observation = module("lifecycle.observation")


class _Ec2:
    """Answers requests with the latest token."""

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
        monkeypatch.setattr(metadata_service, "SERVICE", server.url)
        yield answers


def _notice(end: datetime) -> str:
    return f'{{"action": "terminate", "time": "{end:%Y-%m-%dT%H:%M:%SZ}"}}'


def test_an_instance_in_service_has_no_notices(ec2: _Ec2):
    ec2.tree["autoscaling/target-lifecycle-state"] = "InService"
    assert observation.TerminationNotices().read() == observation.Notices()


def test_one_token_serves_many_requests(ec2: _Ec2):
    service = observation.TerminationNotices()
    for _ in range(5):
        service.read()
    assert ec2.tokens == 1


def test_a_token_that_is_refused_is_renewed(ec2: _Ec2):
    service = observation.TerminationNotices()
    service.read()
    ec2.tokens += 1
    with pytest.raises(OSError, match="401"):
        service.read()
    assert service.read() == observation.Notices()


def test_a_termination_is_read(ec2: _Ec2):
    ec2.tree["autoscaling/target-lifecycle-state"] = "Terminated"
    assert observation.TerminationNotices().read().terminating


def test_a_rebalance_recommendation_is_read(ec2: _Ec2):
    ec2.tree["events/recommendations/rebalance"] = '{"noticeTime": "2027-01-01T00:00:00Z"}'
    assert observation.TerminationNotices().read().rebalance


def test_the_end_of_a_spot_instance_is_read(ec2: _Ec2):
    ec2.tree["spot/instance-action"] = _notice(datetime.now(UTC) + timedelta(seconds=120))
    end = observation.TerminationNotices().read().spot_end
    assert end - time.monotonic() == pytest.approx(120, abs=5)


def test_setting_the_clock_does_not_move_the_end(ec2: _Ec2, monkeypatch: pytest.MonkeyPatch):
    ec2.tree["spot/instance-action"] = _notice(datetime.now(UTC) + timedelta(seconds=120))
    service = observation.TerminationNotices()
    before = service.read().spot_end
    now = time.time()
    monkeypatch.setattr(observation.time, "time", lambda: now + 3600)
    assert service.read().spot_end == before


def test_a_slow_clock_shows_no_more_than_two_minutes(ec2: _Ec2):
    ec2.tree["spot/instance-action"] = _notice(datetime.now(UTC) + timedelta(seconds=400))
    end = observation.TerminationNotices().read().spot_end
    assert end - time.monotonic() <= 120


def test_a_notice_that_cannot_be_read_leaves_no_time(ec2: _Ec2):
    ec2.tree["spot/instance-action"] = "soon"
    end = observation.TerminationNotices().read().spot_end
    assert end == pytest.approx(time.monotonic(), abs=5)


def test_a_service_that_is_away_raises_an_oserror(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metadata_service, "SERVICE", "http://127.0.0.1:1")
    with pytest.raises(OSError, match="refused"):
        observation.TerminationNotices().read()


def test_an_incomplete_answer_raises_an_oserror(monkeypatch: pytest.MonkeyPatch):
    with serving(lambda _: Answer(200, b"half", {"Content-Length": "8"})) as server:
        monkeypatch.setattr(metadata_service, "SERVICE", server.url)
        with pytest.raises(OSError, match="IncompleteRead"):
            observation.TerminationNotices().read()


def test_no_proxy_is_used(ec2: _Ec2, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    ec2.tree["autoscaling/target-lifecycle-state"] = "Terminated"
    assert observation.TerminationNotices().read().terminating
