"""The context of a cluster for tests of components."""

from __future__ import annotations

from components.context import Context
from settings import RetentionSettings


def context(*, protect: bool = True, **retention: int) -> Context:
    """The context of a cluster. Retention has the settings' defaults, except for the given values."""
    return Context(
        cluster="airflow-prod",
        account_id="111122223333",
        region="eu-west-1",
        protect=protect,
        retention=RetentionSettings(**retention),
    )
