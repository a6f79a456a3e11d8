from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from airflow_node.worker_registry import WorkerRegistry

from tests.node import redis_server
from tests.node.metadata import Metadata
from tests.node.scaling import fake_groups
from tests.node.scaling.master import GROUP, Master


@pytest.fixture
def registry(broker: redis_server.Server) -> Iterator[WorkerRegistry]:
    """The worker registry, on a broker without any data."""
    with broker.client(0) as client:
        client.flushall()
    found = WorkerRegistry.connect(broker.url, timeout_seconds=5)
    yield found
    found.close()


@pytest.fixture
def master(aws: boto3.Session, metadata: Metadata, registry: WorkerRegistry) -> Iterator[Master]:
    """A master of a cluster with one pool, which has no worker and may have eight."""
    fake_groups.create(aws, GROUP, minimum=0, maximum=8, desired=0)
    found = Master(metadata, registry)
    yield found
    found.database.close()
