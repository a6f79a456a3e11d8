"""Memory and connections of database classes."""

from __future__ import annotations

import pytest

from aws_catalog import database_classes


@pytest.mark.parametrize(
    ("name", "gib"), [("db.t4g.micro", 1), ("db.m7g.large", 8), ("db.r7i.48xlarge", 1536), ("db.x2g.large", 32)]
)
def test_a_class_has_the_memory_of_its_instance_type(name: str, gib: float):
    assert database_classes.MEMORY_GIB[name] == gib


def test_every_class_has_memory():
    assert min(database_classes.MEMORY_GIB.values()) >= 1


@pytest.mark.parametrize("name", list(database_classes.MEMORY_GIB))
def test_connections_stay_below_rdss_formula_for_the_whole_memory(name: str):
    of_all_memory = int(database_classes.MEMORY_GIB[name] * 2**30 / 9_531_392)
    allowed = database_classes.max_connections(name)
    assert allowed <= min(0.93 * of_all_memory, 5000), "RDS and the operating system use a part of the memory"
    assert allowed >= min(0.65 * of_all_memory, 5000), (
        "with a lower limit, people would pay for memory that they do not need"
    )


def test_larger_classes_of_the_same_family_are_offered_smallest_first():
    assert database_classes.classes_holding(1000, like="db.t4g.medium") == ("db.t4g.xlarge", "db.t4g.2xlarge")
    assert database_classes.classes_holding(5001, like="db.t4g.medium") == ()
