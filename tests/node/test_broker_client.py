from __future__ import annotations

import pytest
import redis

from tests.node import redis_server
from tests.node.programs import module

broker_client = module("airflow_node.broker_client")


def test_an_answer_beyond_all_bounds_is_not_read_and_the_next_one_is(broker: redis_server.Server):
    with broker.client(0) as client:
        client.flushall()
        client.set("large", "x" * (broker_client.ANSWER_BYTES + 1))
        client.set("small", "y")
    found = broker_client.connect(broker.url, timeout_seconds=5)
    with pytest.raises(broker_client.AnswerTooLargeError, match="more than 8 MiB"):
        found.get("large")
    assert found.get("small") == "y"
    assert [found.get("small") for _ in range(3)] == ["y"] * 3, "each command counts for itself"


def test_a_large_answer_within_the_bounds_is_read_whole(broker: redis_server.Server):
    text = "x" * (broker_client.ANSWER_BYTES - 100)
    with broker.client(0) as client:
        client.set("large", text)
    found = broker_client.connect(broker.url, timeout_seconds=5)
    assert (found.get("large"), found.get("large")) == (text, text)


def test_a_brokers_certificate_is_checked_and_its_answers_are_bounded():
    found = broker_client.connect("rediss://:x@broker.example:6379/0", timeout_seconds=1)
    pool = found.connection_pool
    assert pool.connection_kwargs["ssl_cert_reqs"] == "required"
    assert pool.connection_class is broker_client.BoundedTlsConnection


@pytest.mark.parametrize("text", ["OOM command not allowed", "NOAUTH Authentication required.", "READONLY"])
def test_a_broker_that_refuses_is_no_fault_of_a_key(text: str):
    assert broker_client.fault_of_key(redis.ResponseError(text)) is None
